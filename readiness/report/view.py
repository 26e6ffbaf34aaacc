"""The view model: what every output shows, worked out once from the record.

All text in it is clean (see `clean`) and bounded; each output only has to escape it for its own
syntax. Nothing here decides anything: verdict, reasons, outcomes and counts are the record's.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Final

from readiness.errors import NoData
from readiness.evidence import Outcome
from readiness.measurement import Measurement
from readiness.record import (
    Change,
    CheckResult,
    RunRecord,
    SignoffNote,
    SuiteResult,
    SuiteState,
    Verdict,
    WaiverState,
)
from readiness.report import figures
from readiness.report.clean import line
from readiness.report.richtext import RichText, rich

SOON_DAYS: Final = 14
_LONGEST_ANCHOR: Final = 80
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")

SHAPES: Final[Mapping[Outcome, str]] = {
    Outcome.PASS: "✓",
    Outcome.NOT_APPLICABLE: "–",
    Outcome.WARN: "▲",
    Outcome.WAIVED: "◐",
    Outcome.NOT_RUN: "○",
    Outcome.ERROR: "◆",
    Outcome.FAIL: "✗",
}
VERDICT_SHAPES: Final[Mapping[Verdict, str]] = {
    Verdict.READY: "✓",
    Verdict.NOT_READY: "✗",
    Verdict.INCOMPLETE: "◆",
}
# Worst first: the order in which every output lists and counts.
ORDER: Final = (
    Outcome.FAIL,
    Outcome.ERROR,
    Outcome.NOT_RUN,
    Outcome.WAIVED,
    Outcome.WARN,
    Outcome.PASS,
    Outcome.NOT_APPLICABLE,
)
HEADINGS: Final[Mapping[Outcome, str]] = {
    Outcome.FAIL: "Failed",
    Outcome.ERROR: "Could not be measured",
    Outcome.NOT_RUN: "Did not run",
    Outcome.WAIVED: "Failed, and accepted by a waiver",
    Outcome.WARN: "Warnings",
    Outcome.PASS: "Passed",
    Outcome.NOT_APPLICABLE: "Not applicable",
}
CHANGE_HEADINGS: Final[Mapping[str, str]] = {
    "newly-failing": "Newly failing",
    "still-failing": "Still failing",
    "fixed": "Fixed",
    "limit-changed": "Limits that changed",
    "new": "New checks",
    "removed": "Checks that are gone",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement as it is shown.

    Attributes:
        name: what was measured.
        observed: the value with its unit.
        limit: what it was held against, such as `≤ 100 ms`; empty where nothing was.
        holds: whether it held; None where nothing was judged.
        samples: how many observations, with separators.
        source: the query, address or command.
        at: when, without the date where it is the day of the run.
        measurement: the exact figures, for a picture of them.
    """

    name: str
    observed: str
    limit: str
    holds: bool | None
    samples: str
    source: str
    at: str
    measurement: Measurement

    def __str__(self) -> str:
        limit = f", limit {self.limit}" if self.limit else ""
        return f"{self.name}: observed {self.observed}{limit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One check on one subject."""

    name: str
    subject: str
    anchor: str
    outcome: Outcome
    message: str
    took: str
    started: str
    figures: tuple[Figure, ...]
    left_out: int
    waiver: str

    @property
    def needs_reading(self) -> bool:
        """Whether it is more than a line among those that passed."""
        return self.outcome not in {Outcome.PASS, Outcome.NOT_APPLICABLE}


@dataclass(frozen=True, slots=True)
class Group:
    """One check on all its subjects: what they have in common is said once."""

    id: str
    anchor: str
    suite: str
    title: str
    severity: str
    effect: str
    decides: bool
    why: RichText
    fix: RichText
    rows: tuple[Row, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of its rows."""
        return min((row.outcome for row in self.rows), key=ORDER.index)

    @property
    def was_measured(self) -> bool:
        """Whether its `fix` helps: it mends a failure, and not a question without an answer."""
        return self.outcome not in {Outcome.ERROR, Outcome.NOT_RUN}

    @property
    def common_source(self) -> str:
        """The source of all figures, where several subjects were asked the same."""
        sources = {figure.source for row in self.rows for figure in row.figures}
        return sources.pop() if len(sources) == 1 and len(self.rows) > 1 else ""

    @property
    def common_figure(self) -> Figure | None:
        """The one figure, where each subject passed by one of the same name and limit."""
        found = [figure for row in self.rows for figure in row.figures]
        if self.needs_reading or any(len(r.figures) != 1 or r.left_out for r in self.rows):
            return None
        return found[0] if len({(f.name, f.limit) for f in found}) == 1 else None

    @property
    def has_figures(self) -> bool:
        """Whether anything was measured at all."""
        return any(row.figures for row in self.rows)

    @property
    def tally(self) -> str:
        """What its rows ended as, in words: `1 fail, 3 pass`."""
        return tally(count_rows(self.rows))

    @property
    def needs_reading(self) -> bool:
        """Whether any of its rows is more than a pass."""
        return any(row.needs_reading for row in self.rows)

    def only(self, outcome: Outcome) -> "Group":
        """The same check, with the rows of one outcome."""
        rows = tuple(row for row in self.rows if row.outcome == outcome)
        return Group(
            self.id, self.anchor, self.suite, self.title, self.severity, self.effect,
            self.decides, self.why, self.fix, rows,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite, its counts and its checks."""

    name: str
    anchor: str
    state: str
    reason: str
    counts: Mapping[Outcome, int]
    groups: tuple[Group, ...]

    @property
    def total(self) -> int:
        """How many checks the suite has in the record."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence that decided, and the anchor of the check it is about."""

    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver, what it did, and how long it holds."""

    name: str
    state: str
    owner: str
    approver: str
    reason: str
    expires: str
    note: str


@dataclass(frozen=True, slots=True)
class Signoff:
    """A sign-off, with what is odd about it."""

    item: str
    person: str
    evidence: str
    link: bool
    release: str
    expires: str
    note: str


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One difference to the earlier record."""

    name: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Differences of one kind."""

    heading: str
    lines: tuple[ChangeLine, ...]


@dataclass(frozen=True, slots=True)
class Since:
    """What the run is compared with, and how it differs."""

    text: str
    groups: tuple[ChangeGroup, ...]


@dataclass(frozen=True, slots=True)
class View:
    """All that an output shows, in the order in which it shows it."""

    verdict: Verdict
    shape: str
    title: str
    reasons: tuple[Reason, ...]
    banners: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    counts: Mapping[Outcome, int]
    total: int
    suites: tuple[Suite, ...]
    since: Since | None
    incidents: tuple[tuple[str, str], ...]
    waivers: tuple[Waiver, ...]
    signoffs: tuple[Signoff, ...]
    record_sha256: str

    def groups(self, outcome: Outcome) -> tuple[Group, ...]:
        """The checks with this outcome, those that decide first."""
        every = (group for suite in self.suites for group in suite.groups)
        kept = (group.only(outcome) for group in every)
        return tuple(sorted((g for g in kept if g.rows), key=lambda g: not g.decides))


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the evidence is shown.

    Attributes:
        source: characters of a source.
        passed_source: the same, for what passed.
        passed_figures: figures of a check that passed; those that were judged come first.
    """

    source: int = 400
    passed_source: int = 400
    passed_figures: int = 1000


def build(record: RunRecord, room: Room | None = None) -> View:
    """Make the view of a record, with as much of the evidence as there is room for."""
    room = room or Room()
    day = figures.in_utc(record.run.started).date()
    today = figures.in_utc(record.run.finished).date()
    anchors = _anchors(record.checks)
    return View(
        verdict=record.verdict,
        shape=VERDICT_SHAPES[record.verdict],
        title=f"{line(record.target.name, 100)} · {line(record.target.environment, 100)}"
        f" · release {line(record.target.release, 100)}",
        reasons=_reasons(record, anchors),
        banners=tuple(_banners(record)),
        facts=tuple((name, value) for name, value in _facts(record) if value),
        counts=record.counts,
        total=len(record.checks),
        suites=_suites(record, anchors, day, room),
        since=_since(record, anchors),
        incidents=tuple((line(i.kind, 80), line(i.message)) for i in record.incidents),
        waivers=tuple(_waiver(w, today) for w in record.waivers),
        signoffs=tuple(_signoff(s, record.target.release, today) for s in record.signoffs),
        record_sha256=line(record.record_sha256, 64),
    )


def tally(counts: Mapping[Outcome, int]) -> str:
    """Counts in words, worst first, without those that are none: `1 fail, 3 pass`."""
    return ", ".join(f"{counts[o]:,} {o}" for o in ORDER if counts[o]) or "no checks"


def count_rows(rows: Iterable[Row]) -> dict[Outcome, int]:
    """How many rows ended in each outcome."""
    counts = dict.fromkeys(ORDER, 0)
    for row in rows:
        counts[row.outcome] += 1
    return counts


def anchor(check: str, subject: str = "") -> str:
    """The stable anchor of a check on a subject: `backup.restore-row-parity--orders-db`."""
    return f"{_slug(check)}--{_slug(subject)}" if subject else _slug(check)


@lru_cache(maxsize=4096)
def _slug(text: str) -> str:
    slug = _UNSAFE.sub("-", text)[:_LONGEST_ANCHOR]
    if slug == text:
        return slug
    # Two names that differ only in what was left out must not share an anchor.
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{slug.strip('-')}-{digest[:8]}"


def _anchors(checks: Iterable[CheckResult]) -> dict[tuple[str, str], str]:
    return {(c.id, c.subject): anchor(c.id, c.subject) for c in checks}


def _reasons(record: RunRecord, anchors: Mapping[tuple[str, str], str]) -> tuple[Reason, ...]:
    known = {
        " ".join(c.name.split()): anchors[c.id, c.subject]
        for c in record.checks
        if c.outcome in {Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN}
    }
    return tuple(Reason(line(text), known.get(_named(text), "")) for text in record.reasons)


def _named(reason: str) -> str:
    return re.split(r" (?:failed|could not be judged|did not run)\b", reason, maxsplit=1)[0]


def _banners(record: RunRecord) -> Iterator[str]:
    run = record.run
    if run.report_only:
        yield (
            "Report only: the exit code of this run is 0 whatever the verdict."
            " No pipeline was stopped by it."
        )
    if run.selection.partial:
        chosen = line(run.selection.reason, 400)
        yield "Only a part of the checks was selected" + (f": {chosen}" if chosen else ".")
    if run.interrupted:
        yield "The run was interrupted before it was finished."


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    target, run = record.target, record.run
    yield "Target", line(target.name, 200)
    yield "Environment", line(target.environment, 200)
    yield "Release", line(target.release, 200)
    yield "Measured", _span(run.started, run.finished)
    yield "Took", figures.duration(run.duration_s)
    yield "Run by", " on ".join(line(part, 200) for part in (run.user, run.host) if part)
    yield "Selection", _selection(record)
    yield "Tool", f"readiness {line(run.tool_version, 60)}"
    yield "Run", line(run.id, 100)
    yield "Fingerprint of the target", line(target.fingerprint, 200)
    yield "Configuration", line(run.config_file, 300)
    yield "SHA-256 of the configuration", line(run.config_sha256, 64)


def _span(started: datetime, finished: datetime) -> str:
    begin, end = figures.in_utc(started), figures.in_utc(finished)
    if begin.date() != end.date():
        return f"{figures.when(begin)} to {figures.when(end)}"
    return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S} UTC"


def _selection(record: RunRecord) -> str:
    chosen = record.run.selection
    parts = (("suites", chosen.suites), ("only", chosen.select), ("without", chosen.ignore))
    text = "; ".join(f"{word} {', '.join(names)}" for word, names in parts if names)
    return line(text, 600) or "all checks"


def _suites(
    record: RunRecord, anchors: Mapping[tuple[str, str], str], day: date, room: Room
) -> tuple[Suite, ...]:
    ordered = sorted(record.checks, key=lambda c: (c.suite, c.id, c.subject))
    checks = {name: tuple(found) for name, found in groupby(ordered, key=lambda c: c.suite)}
    declared = {suite.name: suite for suite in record.suites}
    unknown = {
        name: SuiteResult(name=name, state=SuiteState.VERIFIED) for name in checks.keys() - declared
    }
    return tuple(
        _suite(suite, checks.get(name, ()), anchors, day, room)
        for name, suite in sorted((declared | unknown).items())
    )


def _suite(
    suite: SuiteResult,
    checks: tuple[CheckResult, ...],
    anchors: Mapping[tuple[str, str], str],
    day: date,
    room: Room,
) -> Suite:
    counts = dict.fromkeys(ORDER, 0)
    for check in checks:
        counts[check.outcome] += 1
    groups = tuple(
        _group(tuple(found), anchors, day, room)
        for _, found in groupby(checks, key=lambda c: c.id)
    )
    return Suite(
        line(suite.name, 100), f"suite-{_slug(suite.name)}", suite.state.value.replace("-", " "),
        line(suite.reason), counts, groups,
    )  # fmt: skip


def _group(
    checks: tuple[CheckResult, ...],
    anchors: Mapping[tuple[str, str], str],
    day: date,
    room: Room,
) -> Group:
    first = checks[0]
    return Group(
        id=line(first.id, 200),
        anchor=anchor(first.id),
        suite=line(first.suite, 100),
        title=line(first.title, 300),
        severity=first.severity.value,
        effect=first.effect.value,
        decides=first.severity.decides,
        why=rich(first.why),
        fix=rich(first.fix),
        rows=tuple(_row(c, anchors[c.id, c.subject], day, room) for c in checks),
    )


def _row(check: CheckResult, at: str, day: date, room: Room) -> Row:
    waiver = check.waiver
    kept, longest = check.measurements, room.source
    if check.outcome is Outcome.PASS:
        judged_first = sorted(kept, key=lambda m: m.limit is None)
        kept, longest = tuple(judged_first[: room.passed_figures]), room.passed_source
    return Row(
        name=line(check.name, 300),
        subject=line(check.subject, 200),
        anchor=at,
        outcome=check.outcome,
        message=line(check.message),
        took=figures.duration(check.duration_s) if check.duration_s else "",
        started=figures.clock(check.started, day) if check.started else "",
        figures=tuple(_figure(m, day, longest) for m in kept),
        left_out=len(check.measurements) - len(kept),
        waiver=f"accepted by {line(waiver.approver, 100)} for {line(waiver.owner, 100)}"
        f" until {waiver.expires}: {line(waiver.reason, 500)}"
        if waiver
        else "",
    )


def _figure(measurement: Measurement, day: date, longest_source: int) -> Figure:
    observed, limit = figures.observed_and_limit(
        measurement.value, measurement.limit, measurement.unit
    )
    return Figure(
        name=line(measurement.name, 200),
        observed=observed,
        limit=limit,
        holds=_holds(measurement),
        samples=figures.number(measurement.samples),
        source=_source(measurement.source, longest_source),
        at=figures.clock(measurement.at, day),
        measurement=measurement,
    )


def _source(source: str, longest: int) -> str:
    text = line(source, 4000)
    return f"{text[: longest - 1]}…" if len(text) > longest else text or "source not given"


def _holds(measurement: Measurement) -> bool | None:
    if measurement.limit is None:
        return None
    try:
        return measurement.limit.holds(measurement.value)
    except NoData:
        return None


def _since(record: RunRecord, anchors: Mapping[tuple[str, str], str]) -> Since | None:
    changes = record.changes
    if changes is None:
        return None
    groups = []
    for kind, heading in CHANGE_HEADINGS.items():
        lines = tuple(_change(c, anchors) for c in changes.items if c.kind == kind)
        if lines:
            groups.append(ChangeGroup(heading, lines))
    since = f"run {line(changes.since_run, 100)} of {figures.when(changes.since)}"
    return Since(f"{since}, which was {changes.since_verdict}", tuple(groups))


def _change(change: Change, anchors: Mapping[tuple[str, str], str]) -> ChangeLine:
    name = f"{change.check}[{change.subject}]" if change.subject else change.check
    known = anchors.get((change.check, change.subject), "")
    return ChangeLine(line(name, 300), known, change_text(change))


def change_text(change: Change) -> str:
    """What a change says behind the name of its check."""
    before, after = line(change.before, 300), line(change.after, 300)
    if change.kind == "still-failing":
        return f"{after or 'failing'} since {before}" if before else after
    return " → ".join(part for part in (before, after) if part)


def _waiver(waiver: WaiverState, today: date) -> Waiver:
    name = f"{waiver.check}[{waiver.subject}]" if waiver.subject else waiver.check
    return Waiver(
        line(name, 300), waiver.state, line(waiver.owner, 200), line(waiver.approver, 200),
        line(waiver.reason), waiver.expires.isoformat(), _expiry(waiver.expires, today),
    )  # fmt: skip


def _signoff(signoff: SignoffNote, release: str, today: date) -> Signoff:
    notes = [_expiry(signoff.expires, today)]
    if signoff.release != release:
        notes.append("for another release")
    evidence = line(signoff.evidence, 500)
    return Signoff(
        line(signoff.item, 200), line(signoff.person, 200), evidence,
        bool(re.fullmatch(r"https?://[^\s<>\"'`\\]+", evidence)), line(signoff.release, 200),
        signoff.expires.isoformat(), ", ".join(note for note in notes if note),
    )  # fmt: skip


def _expiry(expires: date, today: date) -> str:
    days = (expires - today).days
    if days < 0:
        return "expired"
    if days > SOON_DAYS:
        return ""
    return f"expires in {days} days" if days != 1 else "expires in 1 day"
