"""Concludes a run: ledger and configuration become the record, the reports and the exit code.

Every run ends here, whether it finished, was killed or was refused.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from readiness.config.base.signoffs import Signoff
from readiness.config.base.tables import Config
from readiness.lib import signoffs
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.measurement import now
from readiness.model.record import (
    CheckResult,
    Facts,
    Guide,
    RunFacts,
    RunRecord,
    SignoffNote,
    SuiteResult,
    SuiteState,
    TargetFacts,
    load,
)
from readiness.model.verdict import ExitCode, exit_code, judge
from readiness.report import diff, history
from readiness.run import decisions
from readiness.run.ending import Ended, Ending, refused
from readiness.run.ledger import OR_NOT, Ledger, Planned
from readiness.run.past import Past, Whose, past, stored
from readiness.run.profile import policy

_MISSED = frozenset({Outcome.FAIL, Outcome.WAIVED})
_JUDGED = {Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.WAIVED, Outcome.ERROR}


def finish(ledger: Ledger, config: Config, ending: Ending) -> Ended:
    """Judge the ledger and write record and reports; never raises a `ReadinessError`."""
    from readiness.report import write_all, write_record

    shared = None if ending.record_only else config.gate.history
    target, _ = begun(ledger)
    whose = Whose(target.name, target.environment, policy(config).profile)
    found = past(shared, whose, ending.reports)
    try:
        record = conclude(ledger, config, found, baseline=ending.baseline)
    except ReadinessError as error:
        return refused(str(error), ledger)
    try:
        if ending.record_only:
            write_record(record, ending.reports)
        else:
            write_all(
                record,
                ending.reports,
                environ=ending.environ,
                evidence=ending.evidence,
                past=found.kept,
            )
    except ReadinessError as error:
        return Ended(ExitCode.INCOMPLETE, record, str(error), ledger)
    note = stored(shared, record, found)
    return Ended(exit_code(record), record, "", ledger, note)


def conclude(
    ledger: Ledger, config: Config, found: Past, *, baseline: Path | None = None
) -> RunRecord:
    """Judge the ledger.

    Args:
        ledger: of a run that has begun.
        config: the target, for decisions and sign-offs.
        found: where earlier records are.
        baseline: a record to compare with instead of the latest of the history.

    Raises:
        RecordError: the baseline cannot be read.
    """
    target, run = begun(ledger)
    results, decided = decisions.apply(ledger.results(), config.decisions, run.started.date())
    results = _linked(results, ledger.plan.values())
    facts = Facts(
        target=target,
        run=run.ended(now(), interrupted=ledger.interrupted, partial=ledger.partial).model_copy(
            update={"notes": (found.note,) if found.note else ()}
        ),
        checks=tuple(results),
        suites=tuple(_suites(ledger.plan.values(), results)),
        incidents=tuple(ledger.incidents),
        policy=policy(config),
        decisions=tuple(decided),
        not_asked=tuple(ledger.not_asked()),
        signoffs=tuple(_note(s) for s in config.signoff),
        guides=tuple(_guides(config)),
    )
    earlier = load(baseline) if baseline else history.baseline(found.kept, facts)
    if earlier:
        facts = facts.model_copy(update={"changes": diff.changes(earlier, facts)})
    return judge(facts)


def _note(signoff: Signoff) -> SignoffNote:
    plain = signoff.model_dump(include={"item", "person", "evidence", "release", "expires"})
    return SignoffNote(**plain, image=signoff.image or "", by_key=bool(signoff.signature))


def _guides(config: Config) -> Iterable[Guide]:
    if policy := config.signoffs:
        for item in policy.required:
            if steps := signoffs.guide(item, policy):
                yield Guide(item=item, steps=steps)


def _linked(results: Sequence[CheckResult], plan: Collection[Planned]) -> list[CheckResult]:
    """Link what missed or could not be judged to the failures that explain it.

    Of failures on subjects of the same kind only those on the same subject count: one database
    explains nothing about another.
    """
    kinds = {p.id: p.spec.each for p in plan}
    explains = {p.id: frozenset(p.spec.explains) for p in plan if p.spec.explains}
    failed = [r for r in results if r.outcome in _MISSED and r.id in explains]

    def linked(result: CheckResult) -> CheckResult:
        if result.outcome not in _MISSED | {Outcome.ERROR}:
            return result
        found = [other for other in failed if result.id in explains[other.id]]
        found = [other for other in found if other.subject == result.subject] or [
            other for other in found if kinds[other.id] != kinds[result.id]
        ]
        names = tuple(other.name for other in found)
        return result.model_copy(update={"explained_by": names}) if names else result

    return [linked(result) for result in results]


def begun(ledger: Ledger) -> tuple[TargetFacts, RunFacts]:
    """The facts from the start of the run."""
    if ledger.begun is None:
        raise ValueError("the run has not begun")
    return (
        TargetFacts.model_validate(ledger.begun["target"]),
        RunFacts.model_validate(ledger.begun["run"]),
    )


def _suites(plan: Iterable[Planned], results: Sequence[CheckResult]) -> Iterable[SuiteResult]:
    planned = list(plan)
    for name in sorted({p.suite for p in planned}):
        mine = [p for p in planned if p.suite == name]
        outcomes = {r.outcome for r in results if r.suite == name}
        if not any(p.asked for p in mine):
            missing = ", ".join(
                sorted({p.undeclared.partition(" with ")[0] or p.reason for p in mine})
            )
            reason = f"not declared: {missing}"
            yield SuiteResult(name=name, state=SuiteState.NOT_ASKED, reason=reason)
        elif outcomes & _JUDGED:
            yield SuiteResult(name=name, state=SuiteState.VERIFIED)
        elif outcomes and outcomes <= {Outcome.NOT_APPLICABLE}:
            reasons = sorted({p.reason for p in mine if p.settled == "not-applicable"})
            reason = "; ".join(reasons) or "every check in it is not applicable"
            yield SuiteResult(name=name, state=SuiteState.NOT_APPLICABLE, reason=reason)
        else:
            yield SuiteResult(name=name, state=SuiteState.NOT_VERIFIED, reason=_why_not(mine))


def _why_not(planned: Sequence[Planned]) -> str:
    selected = [p for p in planned if p.selected and p.asked]
    if not selected:
        return "not selected"
    if all(p.undeclared for p in selected):
        missing = ", ".join(sorted({p.undeclared.partition(" with ")[0] for p in selected}))
        return f"Not configured: {missing}, {OR_NOT}"
    reasons = sorted({p.reason for p in selected if p.reason})
    return "; ".join(reasons) or "no check ran"
