"""Builds the view of a record: cleans, truncates and formats everything once."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Final

from readiness.model import figures
from readiness.model.clean import line
from readiness.model.errors import NoData
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import (
    Change,
    CheckResult,
    RunRecord,
    Setting,
    SignoffNote,
    SuiteResult,
    SuiteState,
    TargetFacts,
)
from readiness.report import groups
from readiness.report.groups import expiry
from readiness.report.overview import coverage_of, overview
from readiness.report.richtext import rich, spans
from readiness.report.trends import Drift, Trends
from readiness.report.view import (
    CHANGE_HEADINGS,
    ORDER,
    VERDICT_SHAPES,
    ChangeGroup,
    ChangeLine,
    Checklist,
    DriftLine,
    Figure,
    Fix,
    Group,
    Reason,
    Row,
    Signoff,
    Since,
    Suite,
    View,
    change_text,
)

_LONGEST_ANCHOR: Final = 80
_SIGNED: Final = "signoff.manual-items"
# More changes than this usually mean a new suite, or an earlier partial run.
_MOST_NEW: Final = 10
_MOST_DRIFTS: Final = 10
# What a figure takes on the page besides its name and source.
_FIGURE: Final = 60
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Room:
    """Limits on the shown evidence.

    Attributes:
        source: characters of a source.
        passed_source: the same for checks that passed.
        passed_figures: figures of a check that passed; judged ones come first.
        passed_pictures: whether distributions and events of what passed are drawn.
    """

    source: int = 400
    passed_source: int = 400
    passed_figures: int = 1000
    passed_pictures: bool = True

    def figures(self, check: CheckResult) -> tuple[Measurement, ...]:
        """The figures of a check that are shown."""
        if check.outcome is not Outcome.PASS:
            return check.measurements
        judged_first = sorted(check.measurements, key=lambda m: m.limit is None)
        return tuple(judged_first[: self.passed_figures])

    def weight(self, record: RunRecord) -> int:
        """About how many characters the figures of what passed and the configuration take."""
        passed = (check for check in record.checks if check.outcome is Outcome.PASS)
        configuration = _configuration(record.run.configuration, record.run.config_file)
        return sum(map(len, configuration)) + sum(
            _FIGURE + len(m.name) + min(len(m.source), self.passed_source)
            for check in passed
            for m in self.figures(check)
        )


def build(record: RunRecord, room: Room | None = None, trends: Trends | None = None) -> View:
    """Build the view of a record.

    Args:
        record: the run.
        room: limits on the shown evidence.
        trends: the last runs of its checks, if they are known.
    """
    room, trends = room or Room(), trends or Trends()
    record = groups.with_causes(record)
    day = figures.in_utc(record.run.started).date()
    today = figures.in_utc(record.run.finished).date()
    anchors = _anchors(record.checks)
    note = line(record.target.note, 2000)
    reasons = _reasons(record, anchors)
    places = {setting.key: setting.origin for setting in record.run.configuration}
    return View(
        verdict=record.verdict,
        shape=VERDICT_SHAPES[record.verdict],
        title=f"{line(record.target.name, 100)} · {line(record.target.environment, 100)}"
        f" · release {line(record.target.release, 100)}",
        overview=overview(
            record,
            (reason.text for reason in reasons if not reason.of_check),
            anchors,
            groups.cause_anchors(record),
            groups.decision_anchors(record),
        ),
        reasons=reasons,
        banners=tuple(_banners(record)),
        note=note,
        facts=tuple((name, value) for name, value in _facts(record, note) if value),
        counts=record.counts,
        total=len(record.checks),
        suites=_suites(record, _Rows(anchors, day, room, trends, places)),
        since=_since(record, anchors),
        trends=trends,
        drifts=tuple(_drift(drift, anchors) for drift in trends.drifts[:_MOST_DRIFTS]),
        incidents=tuple((line(i.kind, 80), line(i.message)) for i in record.incidents),
        causes=groups.cause_groups(record, anchors),
        decisions=groups.decided(record, anchors, today),
        found_not_applicable=groups.found_not_applicable(record, anchors),
        not_asked=groups.not_asked(record.not_asked),
        signoffs=tuple(_signoff(s, record.target, today) for s in record.signoffs),
        checklists=tuple(_checklists(record)),
        record_sha256=line(record.record_sha256, 64),
        links=tuple((line(k, 100), line(v, 500)) for k, v in record.target.links.items()),
        settings=len(record.run.configuration),
        configuration=tuple(_configuration(record.run.configuration, record.run.config_file)),
    )


def _configuration(settings: Iterable[Setting], file: str) -> Iterator[str]:
    """The keys by table, each after its line in the file, as `  12 url = "http://..."`."""
    for table, found in groupby(settings, key=lambda one: one.key.rpartition(".")[0]):
        yield f"[{line(table, 200)}]"
        for setting in found:
            place = line(setting.origin, 60).removeprefix(f"{file}:")
            key = setting.key.removeprefix(f"{table}.")
            yield f"{place:>4} {line(key, 200)} = {line(setting.value, 200)}"


def anchor(check: str, subject: str = "") -> str:
    """The stable anchor of a check on a subject: `backup.restores--orders-db`."""
    return f"{_slug(check)}--{_slug(subject)}" if subject else _slug(check)


@lru_cache(maxsize=4096)
def _slug(text: str) -> str:
    slug = _UNSAFE.sub("-", text)[:_LONGEST_ANCHOR]
    if slug == text:
        return slug
    # Names that differ only in removed characters must not share an anchor.
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
    # A suite without any answer is a reason of its own; its checks say the same one by one.
    unjudged = {c.suite for c in record.checks if c.decides and c.outcome in groups.UNJUDGED}
    suites = tuple(f"Suite {' '.join(suite.split())} is not verified" for suite in unjudged)
    return tuple(
        Reason(
            line(text),
            known.get(_named(text), ""),
            of_check=_named(text) in known or text.startswith(suites),
        )
        for text in record.reasons
    )


def _named(reason: str) -> str:
    return re.split(r" (?:failed|could not be judged|did not run)\b", reason, maxsplit=1)[0]


def _banners(record: RunRecord) -> Iterator[str]:
    run = record.run
    if run.report_only:
        yield (
            "--report-only: the exit code of this run is 0 whatever the verdict,"
            " so no pipeline was stopped."
        )
    if run.selection.partial:
        chosen = line(run.selection.reason, 400)
        yield "Only some of the checks were selected" + (f": {chosen}" if chosen else ".")
    if run.interrupted:
        yield "The run was interrupted before it finished."
    yield from (line(note, 600) for note in run.notes)


def _facts(record: RunRecord, note: str) -> Iterator[tuple[str, str]]:
    target, run = record.target, record.run
    yield "Target", line(target.name, 200)
    yield "Environment", line(target.environment, 200)
    yield "Release", line(target.release, 200)
    yield "Image", line(target.image, 300)
    yield "Note", note
    yield "Measured", _span(run.started, run.finished)
    yield "Took", figures.duration(run.duration_s)
    yield "Run by", " on ".join(line(part, 200) for part in (run.user, run.host) if part)
    yield "Selection", _selection(record)
    yield "Profile", line(coverage_of(record).profile, 40)
    yield "Tool", f"readiness {line(run.tool_version, 60)}"
    yield "Run", line(run.id, 100)
    yield "Target fingerprint", line(target.fingerprint, 200)
    yield "Configuration", line(run.config_file, 300)
    yield "Configuration SHA-256", line(run.config_sha256, 64)


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


def _suites(record: RunRecord, rows: "_Rows") -> tuple[Suite, ...]:
    ordered = sorted(record.checks, key=lambda c: (c.suite, c.id, c.subject))
    checks = {name: tuple(found) for name, found in groupby(ordered, key=lambda c: c.suite)}
    declared = {suite.name: suite for suite in record.suites}
    unknown = {
        name: SuiteResult(name=name, state=SuiteState.VERIFIED) for name in checks.keys() - declared
    }
    named = sorted((declared | unknown).items())
    return tuple(
        _suite(suite, f"a{place}", checks.get(name, ()), rows)
        for place, (name, suite) in enumerate(named)
    )


def _suite(suite: SuiteResult, mark: str, checks: tuple[CheckResult, ...], rows: "_Rows") -> Suite:
    counts = dict.fromkeys(ORDER, 0)
    for check in checks:
        counts[check.outcome] += 1
    return Suite(
        name=line(suite.name, 100),
        anchor=f"suite-{_slug(suite.name)}",
        mark=mark,
        state=suite.state.value.replace("-", " "),
        reason=line(suite.reason),
        judged=_judged(checks),
        counts=counts,
        groups=tuple(rows.group(tuple(found)) for _, found in groupby(checks, key=lambda c: c.id)),
    )


def _judged(checks: Iterable[CheckResult]) -> str:
    """What found by itself that it does not apply is not among those to be judged."""
    asked = [c for c in checks if c.outcome is not Outcome.NOT_APPLICABLE or c.decision]
    judged = sum(check.is_judged for check in asked)
    return f"{judged:,} of {len(asked):,} judged" if asked else ""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Builds groups and rows."""

    anchors: Mapping[tuple[str, str], str]
    day: date
    room: Room
    trends: Trends
    places: Mapping[str, str]

    def group(self, checks: tuple[CheckResult, ...]) -> Group:
        first = checks[0]
        return Group(
            id=line(first.id, 200),
            anchor=anchor(first.id),
            suite=line(first.suite, 100),
            requirement=line(first.title, 300),
            failure_title=line(first.failure_title, 300),
            severity=first.severity.value,
            effect=first.effect.value,
            decides=first.severity.decides,
            why=rich(first.why),
            fixes=_fixes(checks),
            rows=tuple(map(self.row, checks)),
        )

    def row(self, check: CheckResult) -> Row:
        waiver = check.waiver
        kept = self.room.figures(check)
        is_passed = check.outcome is Outcome.PASS
        longest = self.room.passed_source if is_passed else self.room.source
        message = line(check.message)
        return Row(
            name=line(check.name, 300),
            subject=line(check.subject, 200),
            anchor=self.anchors[check.id, check.subject],
            outcome=check.outcome,
            message=message,
            took=figures.duration(check.duration_s) if check.duration_s else "",
            started=figures.clock(check.started, self.day) if check.started else "",
            figures=tuple(self.figure(check, m, longest) for m in kept),
            left_out=len(check.measurements) - len(kept),
            waiver=f"accepted by {line(waiver.approver, 100)} for {line(waiver.owner, 100)}"
            f" until {waiver.expires}: {line(waiver.reason, 500)}"
            if waiver
            else "",
            text=spans(message),
            observed_only=groups.observed_only(check),
            follows=tuple(line(name, 300) for name in check.explained_by),
            past=self.trends.of(check),
        )

    def decided(self, setting: str) -> str:
        """The key that decided, and where the file sets it."""
        text = line(setting, 200)
        key = text.strip("`")
        return f"{text}, {line(self.places[key], 200)}" if key in self.places else text

    def figure(self, check: CheckResult, measurement: Measurement, longest: int) -> Figure:
        observed, limit = figures.observed_and_limit(
            measurement.value, measurement.limit, measurement.unit
        )
        return Figure(
            name=line(measurement.name, 200),
            observed=observed,
            limit=limit,
            holds=_holds(measurement),
            samples=figures.number(measurement.samples),
            source=_source(measurement.source, longest),
            at=figures.clock(measurement.at, self.day),
            setting=spans(self.decided(measurement.limit.setting)) if measurement.limit else (),
            measurement=measurement,
            past=self.trends.points(check, measurement),
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


def _drift(drift: Drift, anchors: Mapping[tuple[str, str], str]) -> DriftLine:
    check, measurement = drift.check, drift.measurement
    observed, limit = figures.observed_and_limit(
        measurement.value, measurement.limit, measurement.unit
    )
    left = f"about {drift.days_left:,} days at this rate" if drift.days_left else ""
    return DriftLine(
        name=line(measurement.name, 200),
        check=line(check.name, 300),
        anchor=anchors[check.id, check.subject],
        observed=observed,
        limit=limit,
        used=f"{drift.used * 100:.0f} %",
        left=left,
        measurement=measurement,
        past=drift.past,
    )


def _since(record: RunRecord, anchors: Mapping[tuple[str, str], str]) -> Since | None:
    changes = record.changes
    if changes is None:
        return None
    groups = []
    for kind, heading in CHANGE_HEADINGS.items():
        lines = tuple(_change(c, anchors) for c in changes.items if c.kind == kind)
        if lines:
            folded = kind == "new" and len(lines) > _MOST_NEW
            groups.append(ChangeGroup(heading, lines, folded))
    since = f"run {line(changes.since_run, 100)} of {figures.when(changes.since)}"
    return Since(f"{since}, which was {changes.since_verdict}", tuple(groups))


def _fixes(checks: Iterable[CheckResult]) -> tuple[Fix, ...]:
    """How to fix the failures of a check, once where it is the same for all subjects."""
    found: dict[str, list[str]] = {}
    for check in checks:
        if check.has_missed and check.fix:
            found.setdefault(check.fix, []).append(line(check.subject, 200))
    names = [", ".join(subjects) if len(found) > 1 else "" for subjects in found.values()]
    return tuple(Fix(name, rich(text)) for name, text in zip(names, found, strict=True))


def _change(change: Change, anchors: Mapping[tuple[str, str], str]) -> ChangeLine:
    name = f"{change.check}[{change.subject}]" if change.subject else change.check
    known = anchors.get((change.check, change.subject), "")
    return ChangeLine(line(name, 300), known, change_text(change))


def _checklists(record: RunRecord) -> Iterator[Checklist]:
    signed = {c.subject for c in record.checks if c.id == _SIGNED and c.outcome is Outcome.PASS}
    for guide in record.guides:
        steps = tuple(line(step, 500) for step in guide.steps)
        yield Checklist(line(guide.item, 200), guide.item in signed, steps)


def _signoff(signoff: SignoffNote, target: TargetFacts, today: date) -> Signoff:
    notes = [expiry(signoff.expires, today)]
    if signoff.release != target.release:
        notes.append("for another release")
    elif signoff.image.rpartition("@")[2] != target.image.rpartition("@")[2]:
        notes.append("for another image")
    evidence = line(signoff.evidence, 500)
    return Signoff(
        line(signoff.item, 200), line(signoff.person, 200), evidence,
        bool(re.fullmatch(r"https?://[^\s<>\"'`\\]+", evidence)), line(signoff.release, 200),
        signoff.expires.isoformat(), ", ".join(note for note in notes if note), signoff.by_key,
    )  # fmt: skip
