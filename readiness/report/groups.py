"""What has one reason, as one group: causes of errors, decisions, what is not asked for."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from readiness.model.clean import line
from readiness.model.decision import Decision, Kind
from readiness.model.evidence import Outcome
from readiness.model.record import CauseNote, CheckResult, NotAsked, RunRecord
from readiness.report.richtext import RichText, Span, rich, spans
from readiness.report.steps import causes, steps

UNJUDGED: Final = frozenset({Outcome.ERROR, Outcome.NOT_RUN})
SOON_DAYS: Final = 14
_UNKNOWN: Final = "no reason is recorded"


@dataclass(frozen=True, slots=True)
class Member:
    """One check of a group.

    Attributes:
        name: `area.slug[subject]`.
        anchor: of the check on the page.
        title: the requirement.
        at_risk: what is true if it fails.
        severity: how much it weighs.
        decides: whether it can decide the verdict.
        outcome: how it ended.
        message: what happened, where it says more than the group.
        follows: the names of failures that explain it.
        suite: its area.
        here: whether its evidence stands here, and not with an earlier group.
    """

    name: str
    anchor: str
    title: str
    at_risk: str
    severity: str
    decides: bool
    outcome: Outcome
    message: str
    follows: tuple[str, ...]
    suite: str
    here: bool = True


@dataclass(frozen=True, slots=True)
class Cause:
    """Why checks could not be judged, and the checks that it blocks."""

    anchor: str
    what: tuple[Span, ...]
    remedy: RichText
    members: tuple[Member, ...]

    @property
    def decides(self) -> bool:
        """Whether any of its checks can decide the verdict."""
        return any(member.decides for member in self.members)

    @property
    def own(self) -> int:
        """How many checks stand here."""
        return sum(member.here for member in self.members)

    @property
    def suites(self) -> tuple[str, ...]:
        """The areas of its checks."""
        return tuple(dict.fromkeys(member.suite for member in self.members))


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and the checks that it covers.

    Attributes:
        label: what it does: `waiver`, `not applicable`, `observe only`.
        what: the check, area or pattern that it names.
        state: its effect in the run.
        expires: the last day on which it counts.
        note: says that it has expired, or will soon.
    """

    anchor: str
    kind: Kind
    label: str
    what: str
    state: str
    owner: str
    approver: str
    reason: str
    expires: str
    note: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a check, and its anchor if it is in the record."""

    name: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """Checks that share the reason why they were not judged."""

    reason: str
    members: tuple[Named, ...]


def cause_anchors(record: RunRecord) -> dict[str, str]:
    """The anchors of causes, by their text."""
    found = causes(_unjudged(record))
    return {cause.what: f"cause-{number}" for number, cause in enumerate(found, start=1)}


def cause_groups(record: RunRecord, anchors: Mapping[tuple[str, str], str]) -> tuple[Cause, ...]:
    """The causes of what could not be judged, those that decide first."""
    named = cause_anchors(record)
    # The same order as that of the steps, as far as both have a cause.
    order = {step.text: place for place, step in enumerate(steps(record))}
    found = sorted(
        causes(_unjudged(record)).items(),
        key=lambda pair: (order.get(pair[0].what, len(order)), -len(pair[1])),
    )
    seen: set[str] = set()
    groups = []
    for cause, mine in found:
        members = tuple(_member(check, anchors, cause.what, seen) for check in mine)
        seen |= {member.anchor for member in members}
        groups.append(
            Cause(named[cause.what], spans(line(cause.what)), rich(cause.remedy), members)
        )
    return tuple(groups)


def with_causes(record: RunRecord) -> RunRecord:
    """The record, with a cause for each check that could not be judged.

    Records of an older tool have none: the message stands for it.
    """
    if all(check.causes for check in record.checks if check.outcome in UNJUDGED):
        return record
    checks = tuple(
        check.model_copy(update={"causes": (CauseNote(what=check.message or _UNKNOWN),)})
        if check.outcome in UNJUDGED and not check.causes
        else check
        for check in record.checks
    )
    return record.model_copy(update={"checks": checks})


def decision_anchors(record: RunRecord) -> dict[Decision, str]:
    """The anchors of decisions."""
    return {one: f"decision-{number}" for number, one in enumerate(record.decisions, start=1)}


def decided(
    record: RunRecord, anchors: Mapping[tuple[str, str], str], today: date
) -> tuple[Decided, ...]:
    """The decisions of the configuration, each with the checks that it covers in this run."""
    named = decision_anchors(record)
    members: dict[tuple[object, ...], list[Member]] = {}
    for check in record.checks:
        for one in (check.waiver, check.decision):
            if one:
                members.setdefault(_same(one), []).append(_member(check, anchors))
    return tuple(
        Decided(
            anchor=named[one],
            kind=one.kind,
            label=one.kind.value.replace("-", " "),
            what=line(one.what, 300),
            state=one.state,
            owner=line(one.owner, 200),
            approver=line(one.approver, 200),
            reason=line(one.reason),
            expires=one.expires.isoformat(),
            note=expiry(one.expires, today),
            members=tuple(members.get(_same(one), ())),
        )
        for one in named
    )


def found_not_applicable(
    record: RunRecord, anchors: Mapping[tuple[str, str], str]
) -> tuple[Reasoned, ...]:
    """What does not apply without a decision: the checks found so, by their message."""
    return _by_reason(
        (line(check.message), Named(line(check.name, 300), anchors[check.id, check.subject]))
        for check in record.checks
        if check.outcome is Outcome.NOT_APPLICABLE and not _is_listed(check, record)
    )


def not_asked(checks: Iterable[NotAsked]) -> tuple[Reasoned, ...]:
    """What neither the profile nor the file asks for, by reason."""
    return _by_reason(
        (line(one.reason), Named(line(f"{one.id}[{one.subject}]" if one.subject else one.id, 300)))
        for one in checks
    )


def observed_only(check: CheckResult) -> bool:
    """Whether a decision says that it does not decide yet."""
    return check.decision is not None and check.decision.kind is Kind.OBSERVE_ONLY


def expiry(expires: date, today: date) -> str:
    """That a date has passed or will soon; empty if neither."""
    days = (expires - today).days
    if days < 0:
        return "expired"
    if days > SOON_DAYS:
        return ""
    return f"expires in {days} days" if days != 1 else "expires in 1 day"


def _unjudged(record: RunRecord) -> Iterator[CheckResult]:
    return (c for c in record.checks if c.outcome in UNJUDGED and not observed_only(c))


def _same(one: Decision) -> tuple[object, ...]:
    # The state is known at the end only: a check may hold the decision as it was before.
    return one.kind, one.what, one.owner, one.reason, one.expires


def _is_listed(check: CheckResult, record: RunRecord) -> bool:
    one = check.decision
    if one is None or one.kind is not Kind.NOT_APPLICABLE:
        return False
    return any(_same(one) == _same(other) for other in record.decisions)


def _by_reason(pairs: Iterable[tuple[str, Named]]) -> tuple[Reasoned, ...]:
    found: dict[str, list[Named]] = {}
    for reason, name in pairs:
        found.setdefault(reason or _UNKNOWN, []).append(name)
    return tuple(Reasoned(reason, tuple(names)) for reason, names in found.items())


def _member(
    check: CheckResult,
    anchors: Mapping[tuple[str, str], str],
    cause: str = "",
    seen: Collection[str] = (),
) -> Member:
    message, at = line(check.message), anchors[check.id, check.subject]
    return Member(
        name=line(check.name, 300),
        anchor=at,
        title=line(check.title, 300),
        at_risk=line(check.failure_title, 300),
        severity=check.severity.value,
        decides=check.decides,
        outcome=check.outcome,
        message="" if cause and _repeats(message, line(cause)) else message,
        follows=tuple(line(name, 300) for name in check.explained_by),
        suite=line(check.suite, 100),
        here=at not in seen,
    )


def _repeats(message: str, cause: str) -> bool:
    """Whether a message says what its cause says; the place before it may be more precise."""
    return message in cause or cause.split(": ", 1)[-1] in message
