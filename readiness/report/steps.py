"""What to do next: failures and shared causes, in the order of the blockers that they release."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from readiness.model.check import LABEL, Severity
from readiness.model.evidence import Outcome
from readiness.model.figures import counted
from readiness.model.record import CauseNote, CheckResult, RunRecord

_UNJUDGED: Final = frozenset({Outcome.ERROR, Outcome.NOT_RUN})
_SEVERITIES: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        kind: `failure`, a check that failed; `cause`, why checks could not be judged.
        severity: the highest severity among its checks.
        text: the failure's message, or the cause.
        remedy: the fix of the check, or the remedy of the cause; may hold commands.
        checks: the checks that it makes pass or judges.
        explained: further checks that failed or could not be judged because of this failure.
    """

    kind: Literal["failure", "cause"]
    severity: Severity
    text: str
    remedy: str
    checks: tuple[CheckResult, ...]
    explained: tuple[CheckResult, ...] = ()

    @property
    def about(self) -> str:
        """The remedy, from the first part on that is about what was missed."""
        missed = self.checks[0].missed if self.kind == "failure" else ()
        rows = self.remedy.splitlines()
        labels = ((n, LABEL.match(row.lstrip())) for n, row in enumerate(rows))
        parts = (n for n, label in labels if label and {*label[1].split(", ")} & {*missed})
        return "\n".join(rows[next(parts, 0) :])

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run for what a failure missed, with all names, to be pasted."""
        return self.checks[0].commands if self.kind == "failure" else ()

    @property
    def blockers(self) -> int:
        """How many blockers it releases."""
        released = (*self.checks, *self.explained)
        return sum(check.severity is Severity.BLOCKER for check in released)

    @property
    def unblocks(self) -> str:
        """How many checks it releases, as `9 checks`."""
        return counted(len(self.checks) + len(self.explained), "check")


def steps(record: RunRecord) -> tuple[Step, ...]:
    """Everything to do until the run is READY, most urgent first.

    Only what decides the verdict is among them. A failure that another one explains stands with
    that one.
    """
    deciding = [check for check in record.checks if check.decides]
    failed = {check.name: check for check in deciding if check.outcome is Outcome.FAIL}
    # The failures at the start of each chain; a circle has none, and hides nothing.
    first = [check for check in failed.values() if not failed.keys() & set(check.explained_by)]
    explains: dict[str, set[str]] = {}
    for check in deciding:
        for name in check.explained_by:
            explains.setdefault(name, set()).add(check.name)
    follows = {check.name: _follows(check, deciding, explains) for check in first}
    explained = {check.name for found in follows.values() for check in found}
    found = [
        *_failures([c for c in deciding if c.name not in explained], follows),
        *_causes(c for c in deciding if c.outcome in _UNJUDGED and c.name not in explained),
    ]
    return tuple(sorted(found, key=_urgency))


def causes(checks: Iterable[CheckResult]) -> dict[CauseNote, tuple[CheckResult, ...]]:
    """The checks that could not be judged, by their causes, in the order of the record."""
    found: dict[str, tuple[CauseNote, list[CheckResult]]] = {}
    for check in checks:
        # A record of an earlier version has no causes.
        for cause in check.causes or _message_of(check):
            # Remedies may differ by a path or a table: the first one stands for all.
            _, mine = found.setdefault(cause.what, (cause, []))
            if check not in mine:
                mine.append(check)
    return {cause: tuple(mine) for cause, mine in found.values()}


def _message_of(check: CheckResult) -> tuple[CauseNote, ...]:
    unjudged = check.outcome in _UNJUDGED
    return (CauseNote(what=check.message or f"{check.name} did not report"),) if unjudged else ()


def _follows(
    check: CheckResult, deciding: Sequence[CheckResult], explains: Mapping[str, set[str]]
) -> tuple[CheckResult, ...]:
    """What a failure explains, and what that explains in its turn."""
    known, new = {check.name}, {check.name}
    while new:
        new = set().union(*(explains.get(name, ()) for name in new)) - known
        known |= new
    if len(known) == 1:
        return ()
    return tuple(c for c in deciding if c.name in known and c is not check)


def _failures(
    checks: Iterable[CheckResult], explained: Mapping[str, tuple[CheckResult, ...]]
) -> Iterator[Step]:
    for check in checks:
        if check.outcome is Outcome.FAIL:
            follows = explained.get(check.name, ())
            severity = _highest((check, *follows))
            yield Step("failure", severity, check.message, check.fix, (check,), follows)


def _causes(checks: Iterable[CheckResult]) -> Iterator[Step]:
    for cause, mine in causes(checks).items():
        yield Step("cause", _highest(mine), cause.what, cause.remedy, mine)


def _highest(checks: Iterable[CheckResult]) -> Severity:
    return min((check.severity for check in checks), key=_SEVERITIES.index)


def _urgency(step: Step) -> tuple[int, int, int, str]:
    released = len(step.checks) + len(step.explained)
    return (-step.blockers, _SEVERITIES.index(step.severity), -released, step.text)
