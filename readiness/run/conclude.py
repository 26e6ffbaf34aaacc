"""Concludes a run: ledger and configuration become the record, the reports and the exit code.

Every run ends here, whether it finished, was killed or was refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from readiness.config.base.tables import Config
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.exitcodes import ExitCode, exit_code
from readiness.model.measurement import now
from readiness.model.record import (
    CheckResult,
    Facts,
    RunFacts,
    RunRecord,
    SignoffNote,
    SuiteResult,
    SuiteState,
    TargetFacts,
    load,
)
from readiness.model.verdict import judge
from readiness.report import diff, history
from readiness.run import waivers
from readiness.run.ledger import OR_NOT, Ledger, Planned

_JUDGED = {Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.WAIVED, Outcome.ERROR}


@dataclass(frozen=True, slots=True)
class Ending:
    """What to do with the record.

    Attributes:
        reports: the folder of the reports and of earlier records.
        baseline: a record to compare with instead of the latest of the history.
        record_only: whether to write the record only, without reports.
        environ: environment variables that say whether this is a GitHub Actions job; None: ours.
    """

    reports: Path
    baseline: Path | None = None
    record_only: bool = False
    environ: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        code: the exit code.
        record: the record; None if nothing was judged.
        refusal: why nothing was judged, or why the reports could not be written.
        ledger: the ledger of the run.
    """

    code: int
    record: RunRecord | None
    refusal: str
    ledger: Ledger


def refused(refusal: str, ledger: Ledger) -> Ended:
    """The end of a refused run."""
    return Ended(ExitCode.NOTHING_JUDGED, None, refusal, ledger)


def finish(ledger: Ledger, config: Config, ending: Ending) -> Ended:
    """Judge the ledger and write record and reports; never raises a `ReadinessError`."""
    from readiness.report import write_all, write_record

    try:
        record = conclude(ledger, config, ending.reports, baseline=ending.baseline)
    except ReadinessError as error:
        return refused(str(error), ledger)
    try:
        if ending.record_only:
            write_record(record, ending.reports)
        else:
            write_all(record, ending.reports, environ=ending.environ)
    except ReadinessError as error:
        return Ended(ExitCode.INCOMPLETE, record, str(error), ledger)
    return Ended(exit_code(record), record, "", ledger)


def conclude(
    ledger: Ledger, config: Config, reports: Path, *, baseline: Path | None = None
) -> RunRecord:
    """Judge the ledger.

    Args:
        ledger: of a run that has begun.
        config: the target, for waivers, sign-offs and what is not applicable.
        reports: the folder of the reports and of earlier records.
        baseline: a record to compare with instead of the latest of the history.

    Raises:
        RecordError: the baseline cannot be read.
    """
    target, run = begun(ledger)
    results, states = waivers.apply(ledger.results(), config.waiver, run.started.date())
    facts = Facts(
        target=target,
        run=run.ended(now(), interrupted=ledger.interrupted, partial=ledger.partial),
        checks=tuple(results),
        suites=tuple(_suites(ledger.plan.values(), results, config)),
        incidents=tuple(ledger.incidents),
        waivers=tuple(states),
        signoffs=tuple(SignoffNote(**s.model_dump()) for s in config.signoff),
    )
    earlier = load(baseline) if baseline else history.latest(reports, target.name)
    if earlier:
        facts = facts.model_copy(update={"changes": diff.changes(earlier, facts)})
    return judge(facts)


def begun(ledger: Ledger) -> tuple[TargetFacts, RunFacts]:
    """The facts from the start of the run."""
    if ledger.begun is None:
        raise ValueError("the run has not begun")
    return (
        TargetFacts.model_validate(ledger.begun["target"]),
        RunFacts.model_validate(ledger.begun["run"]),
    )


def _suites(
    plan: Iterable[Planned], results: Sequence[CheckResult], config: Config
) -> Iterable[SuiteResult]:
    planned = list(plan)
    for name in sorted({p.suite for p in planned} | _declared_away(config)):
        mine = [p for p in planned if p.suite == name]
        outcomes = {r.outcome for r in results if r.suite == name}
        reason = config.gate.not_applicable.get(name, "")
        if reason:
            yield SuiteResult(name=name, state=SuiteState.NOT_APPLICABLE, reason=reason)
        elif outcomes & _JUDGED:
            yield SuiteResult(name=name, state=SuiteState.VERIFIED)
        elif outcomes and outcomes <= {Outcome.NOT_APPLICABLE}:
            yield SuiteResult(
                name=name,
                state=SuiteState.NOT_APPLICABLE,
                reason="every check in it is declared not applicable",
            )
        else:
            yield SuiteResult(name=name, state=SuiteState.NOT_VERIFIED, reason=_why_not(mine))


def _declared_away(config: Config) -> set[str]:
    return {name for name in config.gate.not_applicable if "." not in name}


def _why_not(planned: Sequence[Planned]) -> str:
    selected = [p for p in planned if p.selected]
    if not selected:
        return "not selected"
    if all(p.undeclared for p in selected):
        missing = ", ".join(sorted({p.undeclared.partition(" with ")[0] for p in selected}))
        return f"Not configured: {missing}, {OR_NOT}"
    reasons = sorted({p.reason for p in selected if p.reason})
    return "; ".join(reasons) or "no check ran"
