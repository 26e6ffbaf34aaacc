"""The verdict and its exit code: pure functions of the facts of a run, computed nowhere else."""

from collections.abc import Iterator
from enum import IntEnum
from typing import assert_never

from readiness.model.check import Severity
from readiness.model.decision import Kind
from readiness.model.evidence import Outcome
from readiness.model.record import Coverage, Facts, RunRecord, SuiteState, Verdict, ordered, seal

_UNJUDGED = {Outcome.ERROR, Outcome.NOT_RUN}


def judge(facts: Facts) -> RunRecord:
    """Judge a run (CONTRACT: verdict) and seal its record.

    NOT READY if a blocker or major failed without a valid waiver; else INCOMPLETE if anything
    required could not be judged, if no blocker was judged, or if less was judged than agreed; else
    READY. Warnings, minors and what is only observed never decide.
    """
    # In the order of the record, so that judging it again gives the same reasons.
    facts = facts.model_copy(update={"checks": ordered(facts.checks)})
    covered = coverage(facts)
    failed = list(_failures(facts))
    unjudged = list(_gaps(facts, covered))
    if failed:
        return seal(facts, Verdict.NOT_READY, failed + unjudged, covered)
    if unjudged:
        return seal(facts, Verdict.INCOMPLETE, unjudged, covered)
    return seal(facts, Verdict.READY, _all_well(facts), covered)


def coverage(facts: Facts) -> Coverage:
    """How much of what the verdict requires was judged.

    A check that found by itself that it does not apply is not required.
    """
    deciding = [check for check in facts.checks if check.decides]
    excusing = [
        check.decision
        for check in deciding
        if check.outcome is Outcome.NOT_APPLICABLE and check.decision
    ]
    judged = sum(check.is_judged for check in deciding)
    missing = sum(check.outcome in _UNJUDGED for check in deciding)
    return Coverage(
        profile=facts.policy.profile,
        required=judged + missing + len(excusing),
        judged=judged,
        excused=len(excusing),
        decisions=len({(d.what, d.owner, d.reason) for d in excusing}),
        observed=sum(
            check.decision is not None and check.decision.kind is Kind.OBSERVE_ONLY
            for check in facts.checks
        ),
        not_asked=len(facts.not_asked),
        min_coverage=facts.policy.min_coverage,
    )


def _failures(facts: Facts) -> Iterator[str]:
    for check in facts.checks:
        if check.outcome is Outcome.FAIL and check.decides:
            yield _sentence(f"{check.name} failed", check.message)


def _gaps(facts: Facts, covered: Coverage) -> Iterator[str]:
    if facts.run.interrupted:
        yield "The run was interrupted before it finished."
    for incident in facts.incidents:
        yield _sentence(incident.message)
    yield from _too_little(facts, covered)
    if facts.run.selection.partial:
        yield _sentence("Only some of the checks were selected", facts.run.selection.reason)
    observed = {c.suite for c in facts.checks} - {c.suite for c in facts.checks if c.decides}
    not_verified = {s.name for s in facts.suites if s.state is SuiteState.NOT_VERIFIED} - observed
    for suite in facts.suites:
        if suite.name in not_verified:
            yield _sentence(f"Suite {suite.name} is not verified", suite.reason)
    for check in facts.checks:
        if check.outcome is Outcome.NOT_RUN and check.suite in not_verified:
            continue  # reported once, for the suite
        if check.outcome in _UNJUDGED and check.decides:
            verb = "could not be judged" if check.outcome is Outcome.ERROR else "did not run"
            yield _sentence(f"{check.name} {verb}", check.message)


def _too_little(facts: Facts, covered: Coverage) -> Iterator[str]:
    if not any(check.is_judged for check in facts.checks):
        yield "No check was judged."
    elif not any(
        check.is_judged and check.decides and check.severity is Severity.BLOCKER
        for check in facts.checks
    ):
        yield "No blocker was judged: what was measured cannot show that the target is ready."
    least = covered.min_coverage
    if least and covered.judged < least * covered.required:
        share = f"{covered.judged} of {covered.required} required checks were judged"
        yield f"Coverage is below `min_coverage` of [gate]: {share}, {least:.0%} are agreed."


def _all_well(facts: Facts) -> Iterator[str]:
    required = [c for c in facts.checks if c.decides and c.is_judged]
    waived = sum(c.outcome is Outcome.WAIVED for c in required)
    if waived:
        passed = f"{len(required) - waived} of {len(required)} required checks passed"
        yield f"{passed}; {waived} failed and are waived."
    else:
        yield f"All {len(required)} required checks were judged, and none failed."
    if not_asked := [s.name for s in facts.suites if s.state is SuiteState.NOT_ASKED]:
        names = ", ".join(not_asked)
        yield f"Not part of this verdict, as the file declares nothing for it: {names}."


def _sentence(what: str, detail: str = "") -> str:
    text = f"{what}: {detail}" if detail else what
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


class ExitCode(IntEnum):
    """The exit codes; part of the public interface."""

    READY = 0
    NOT_READY = 1
    NOTHING_JUDGED = 2
    INCOMPLETE = 3
    INTERRUPTED = 130


def exit_code(record: RunRecord) -> ExitCode:
    """The exit code of a run that was judged.

    130 if the user interrupted it; otherwise 0 with `--report-only`.
    """
    if record.run.interrupted:
        return ExitCode.INTERRUPTED
    if record.run.report_only:
        return ExitCode.READY
    match record.verdict:
        case Verdict.READY:
            return ExitCode.READY
        case Verdict.NOT_READY:
            return ExitCode.NOT_READY
        case Verdict.INCOMPLETE:
            return ExitCode.INCOMPLETE
        case _ as never:
            assert_never(never)
