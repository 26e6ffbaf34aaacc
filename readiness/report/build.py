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
from readiness.model.decision import Decision as Decided
from readiness.model.errors import NoData
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import (
    Change,
    CheckResult,
    RunRecord,
    SignoffNote,
    SuiteResult,
    SuiteState,
)
from readiness.report.richtext import rich
from readiness.report.view import (
    CHANGE_HEADINGS,
    ORDER,
    VERDICT_SHAPES,
    ChangeGroup,
    ChangeLine,
    Decision,
    Figure,
    Group,
    Reason,
    Row,
    Signoff,
    Since,
    Suite,
    View,
    change_text,
)

SOON_DAYS: Final = 14
_LONGEST_ANCHOR: Final = 80
# More changes than this usually mean a new suite, or an earlier partial run.
_MOST_NEW: Final = 10
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Room:
    """Limits on the shown evidence.

    Attributes:
        source: characters of a source.
        passed_source: the same for checks that passed.
        passed_figures: figures of a check that passed; judged ones come first.
    """

    source: int = 400
    passed_source: int = 400
    passed_figures: int = 1000


def build(record: RunRecord, room: Room | None = None) -> View:
    """Build the view of a record within these limits."""
    room = room or Room()
    day = figures.in_utc(record.run.started).date()
    today = figures.in_utc(record.run.finished).date()
    anchors = _anchors(record.checks)
    note = line(record.target.note, 2000)
    return View(
        verdict=record.verdict,
        shape=VERDICT_SHAPES[record.verdict],
        title=f"{line(record.target.name, 100)} · {line(record.target.environment, 100)}"
        f" · release {line(record.target.release, 100)}",
        reasons=_reasons(record, anchors),
        banners=tuple(_banners(record)),
        note=note,
        facts=tuple((name, value) for name, value in _facts(record, note) if value),
        counts=record.counts,
        total=len(record.checks),
        suites=_suites(record, anchors, day, room),
        since=_since(record, anchors),
        incidents=tuple((line(i.kind, 80), line(i.message)) for i in record.incidents),
        decisions=tuple(_decision(d, today) for d in record.decisions),
        signoffs=tuple(_signoff(s, record.target.release, today) for s in record.signoffs),
        record_sha256=line(record.record_sha256, 64),
    )


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
    return tuple(Reason(line(text), known.get(_named(text), "")) for text in record.reasons)


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


def _facts(record: RunRecord, note: str) -> Iterator[tuple[str, str]]:
    target, run = record.target, record.run
    yield "Target", line(target.name, 200)
    yield "Environment", line(target.environment, 200)
    yield "Release", line(target.release, 200)
    yield "Note", note
    yield "Measured", _span(run.started, run.finished)
    yield "Took", figures.duration(run.duration_s)
    yield "Run by", " on ".join(line(part, 200) for part in (run.user, run.host) if part)
    yield "Selection", _selection(record)
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
        _group(tuple(found), anchors, day, room) for _, found in groupby(checks, key=lambda c: c.id)
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
        requirement=line(first.title, 300),
        failure_title=line(first.failure_title, 300),
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
            folded = kind == "new" and len(lines) > _MOST_NEW
            groups.append(ChangeGroup(heading, lines, folded))
    since = f"run {line(changes.since_run, 100)} of {figures.when(changes.since)}"
    return Since(f"{since}, which was {changes.since_verdict}", tuple(groups))


def _change(change: Change, anchors: Mapping[tuple[str, str], str]) -> ChangeLine:
    name = f"{change.check}[{change.subject}]" if change.subject else change.check
    known = anchors.get((change.check, change.subject), "")
    return ChangeLine(line(name, 300), known, change_text(change))


def _decision(decision: Decided, today: date) -> Decision:
    return Decision(
        decision.kind, line(decision.what, 300), decision.state, line(decision.owner, 200),
        line(decision.approver, 200), line(decision.reason), decision.expires.isoformat(),
        _expiry(decision.expires, today),
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
