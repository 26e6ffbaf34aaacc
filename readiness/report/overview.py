"""The first screen: may it be shipped, how much was judged, what changed, what to do in order."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from readiness.model import figures
from readiness.model.clean import clean, line
from readiness.model.decision import Decision, Kind
from readiness.model.evidence import Outcome
from readiness.model.record import Change, Changes, Coverage, RunRecord, Verdict
from readiness.model.verdict import coverage
from readiness.report.richtext import Span, command, paragraph, rich, spans
from readiness.report.steps import Step, steps

_UNJUDGED: Final = frozenset({Outcome.ERROR, Outcome.NOT_RUN})
_LONGEST: Final = 180
_MOST_CHECKS: Final = 4
_MOST_MOVED: Final = 2
_UNJUDGED_NOW: Final = "no longer judged"
_COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "newly-failing": ("new failure", "new failures"),
    _UNJUDGED_NOW: (_UNJUDGED_NOW, _UNJUDGED_NOW),
    "not-applicable": ("became not applicable", "became not applicable"),
    "still-failing": ("still failing", "still failing"),
    "fixed": ("fixed", "fixed"),
    "limit-changed": ("limit changed", "limits changed"),
    "new": ("new check", "new checks"),
    "removed": ("no longer required", "no longer required"),
}
_KINDS: Final = {
    Kind.WAIVER: ("waiver", "waivers"),
    Kind.OBSERVE_ONLY: ("observe-only decision", "observe-only decisions"),
}


@dataclass(frozen=True, slots=True)
class Link:
    """A text and its anchor on the page."""

    text: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Todo:
    """One step.

    Attributes:
        number: its place in the order.
        severity: the highest severity among its checks.
        kind: `failure` or `cause`.
        text: what is wrong.
        checks: the checks that it releases, the first few.
        more: how many more there are.
        command: the first commands of the remedy, to paste.
        hint: the first sentence of the remedy where it has no commands.
        unblocks: how many checks it releases, in words.
        anchor: where its evidence is.
    """

    number: int
    severity: str
    kind: str
    text: tuple[Span, ...]
    checks: tuple[Link, ...]
    more: int
    command: str
    hint: tuple[Span, ...]
    unblocks: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first screen.

    Attributes:
        ship: whether to ship, and why.
        when: the time of the verdict.
        profile: what required the checks.
        conditions: what else decided and is not about one check.
        coverage: how much was judged, in parts.
        excused: how much does not apply, in words; empty for nothing.
        excused_by: the decisions behind it.
        accepted: waivers and what is only observed, with their dates.
        since: what changed, in one line.
        steps: what to do, in order.
    """

    ship: str
    when: str
    profile: str
    conditions: tuple[str, ...]
    coverage: tuple[str, ...]
    excused: str
    excused_by: tuple[Link, ...]
    accepted: tuple[Link, ...]
    since: str
    steps: tuple[Todo, ...]


def overview(
    record: RunRecord,
    conditions: Iterable[str],
    anchors: Mapping[tuple[str, str], str],
    causes: Mapping[str, str],
    decisions: Mapping[Decision, str],
) -> Overview:
    """The first screen of a record.

    Args:
        record: the run.
        conditions: the reasons of the verdict that are not about one check.
        anchors: by check and subject.
        causes: anchors by the text of the cause.
        decisions: anchors by decision.
    """
    covered = coverage_of(record)
    return Overview(
        ship=ship(record),
        when=f"{figures.in_utc(record.run.finished):%d %b %Y %H:%M} UTC",
        profile=line(covered.profile, 40),
        conditions=() if record.verdict is Verdict.READY else tuple(conditions),
        coverage=tuple(_coverage(covered)),
        excused=f"{figures.counted(covered.excused, 'required check')}"
        f" by {figures.counted(covered.decisions, 'decision')}"
        if covered.excused
        else "",
        excused_by=tuple(_dated(record, (Kind.NOT_APPLICABLE,), decisions)),
        accepted=tuple(_dated(record, tuple(_KINDS), decisions)),
        since=since(record.changes),
        steps=tuple(
            _todo(number, step, anchors, causes)
            for number, step in enumerate(steps(record), start=1)
        ),
    )


def coverage_of(record: RunRecord) -> Coverage:
    """The coverage of a record; counted again where an older tool wrote none."""
    covered = record.coverage
    return covered if covered.required or not record.checks else coverage(record)


def ship(record: RunRecord) -> str:
    """Whether to ship, in one sentence."""
    if record.verdict is Verdict.READY:
        reason = line(record.reasons[0]) if record.reasons else "nothing that is required failed."
        return f"Ship: {reason[:1].lower()}{reason[1:]}"
    deciding = [check for check in record.checks if check.decides]
    failed = sum(check.outcome is Outcome.FAIL for check in deciding)
    unjudged = sum(check.outcome in _UNJUDGED for check in deciding)
    parts = []
    if failed:
        parts.append(figures.counted(failed, "required failure"))
    if unjudged:
        parts.append(f"{figures.counted(unjudged, 'required check')} could not be judged")
    begin = "Do not ship" if record.verdict is Verdict.NOT_READY else "Do not ship yet"
    return f"{begin}: {'; '.join(parts) or 'the run is incomplete'}."


def since(changes: Changes | None) -> str:
    """What changed since the last READY, in one line; empty if there is nothing to compare with."""
    if changes is None:
        return ""
    counts = Counter(map(_kind, changes.items))
    parts = [
        figures.counted(counts[kind], one, many)
        for kind, (one, many) in _COUNTED.items()
        if counts[kind]
    ]
    moved = [item for item in changes.items if item.kind == "figure-moved"]
    parts += [
        f"{line(item.subject or item.check, 60)}: {line(item.before, 80)} → {line(item.after, 40)}"
        for item in moved[:_MOST_MOVED]
    ]
    return f"{_since(changes)}: {', '.join(parts) or 'nothing changed'}"


def _kind(change: Change) -> str:
    unjudged = change.kind == "newly-failing" and change.after in _UNJUDGED
    return _UNJUDGED_NOW if unjudged else change.kind


def _since(changes: Changes) -> str:
    release = line(changes.since_release, 60)
    day = f"{figures.in_utc(changes.since):%d %b %Y}"
    known = ", ".join(part for part in (release, day) if part)
    if changes.since_verdict is Verdict.READY:
        return f"Since the last READY ({known})"
    return f"Since the last run ({known}, {changes.since_verdict}; no READY on record)"


def _coverage(covered: Coverage) -> Iterator[str]:
    yield f"Judged {covered.judged:,} of {covered.required:,} required"
    if covered.observed:
        yield f"{covered.observed:,} only observed"
    if covered.not_asked:
        yield f"{covered.not_asked:,} not asked for"
    if covered.min_coverage:
        yield f"at least {covered.min_coverage * 100:.3g} % agreed"


def _dated(
    record: RunRecord, kinds: tuple[Kind, ...], anchors: Mapping[Decision, str]
) -> Iterator[Link]:
    """One link for each owner and day of decisions that were applied."""
    found: dict[tuple[Kind, str, date], list[Decision]] = {}
    for one in record.decisions:
        if one.kind in kinds and one.state == "applied":
            found.setdefault((one.kind, one.owner, one.expires), []).append(one)
    for (kind, owner, expires), mine in found.items():
        if kind is Kind.NOT_APPLICABLE:
            what = ", ".join(line(one.what, 60) for one in mine[:_MOST_CHECKS])
            what += f" and {len(mine) - _MOST_CHECKS} more" if len(mine) > _MOST_CHECKS else ""
        else:
            what = figures.counted(len(mine), *_KINDS[kind])
        yield Link(f"{what} until {_day(expires)} ({line(owner, 60)})", anchors.get(mine[0], ""))


def _day(day: date | datetime) -> str:
    return f"{day:%d %b %Y}"


def _todo(
    number: int, step: Step, anchors: Mapping[tuple[str, str], str], causes: Mapping[str, str]
) -> Todo:
    found = filter(None, (command(rich(text)) for text in (step.about, step.remedy)))
    given = "\n".join(map(clean, step.commands)) or next(found, "")
    shown = [Link(line(c.name, 120), anchors[c.id, c.subject]) for c in step.checks]
    first = step.checks[0]
    failure = step.kind == "failure"
    return Todo(
        number=number,
        severity=step.severity.value,
        kind=step.kind,
        text=spans(short(step.text or first.headline)),
        checks=tuple(shown[:_MOST_CHECKS]),
        more=max(0, len(shown) - _MOST_CHECKS),
        command=given,
        hint=() if given else paragraph(rich(short(clean(step.remedy)))),
        unblocks=_unblocks(step),
        anchor=anchors[first.id, first.subject] if failure else causes.get(step.text, ""),
    )


def _unblocks(step: Step) -> str:
    own = figures.counted(len(step.checks), "check")
    return f"{own} + {len(step.explained)} that follow" if step.explained else own


def short(text: str) -> str:
    """The text on one line, cut at a word; the whole stands with the evidence."""
    whole = line(text, 4000)
    if len(whole) <= _LONGEST:
        return whole
    return f"{whole[:_LONGEST].rsplit(' ', 1)[0].rstrip(' ;:,')} …"
