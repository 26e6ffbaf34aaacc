"""The verdict: a pure function of the facts of a run. Nothing else computes one."""

from collections.abc import Iterator

from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, Facts, RunRecord, SuiteState, Verdict, ordered, seal

_UNJUDGED = {Outcome.ERROR, Outcome.NOT_RUN}


def judge(facts: Facts) -> RunRecord:
    """Judge a run (CONTRACT: verdict) and seal its record.

    NOT READY if a blocker or major failed without a valid waiver; else INCOMPLETE if anything
    required could not be judged; else READY. Warnings and minors never decide.
    """
    # In the order of the record, so that judging it again gives the same reasons.
    facts = facts.model_copy(update={"checks": ordered(facts.checks)})
    failed = list(_failures(facts))
    unjudged = list(_gaps(facts))
    if failed:
        return seal(facts, Verdict.NOT_READY, failed + unjudged)
    if unjudged:
        return seal(facts, Verdict.INCOMPLETE, unjudged)
    return seal(facts, Verdict.READY, [_all_well(facts)])


def _failures(facts: Facts) -> Iterator[str]:
    for check in facts.checks:
        if check.outcome is Outcome.FAIL and check.severity.decides:
            yield _sentence(f"{check.name} failed", check.message)


def _gaps(facts: Facts) -> Iterator[str]:
    if facts.run.interrupted:
        yield "The run was interrupted before it finished."
    for incident in facts.incidents:
        yield _sentence(incident.message)
    if not any(_was_judged(check) for check in facts.checks):
        yield "No check was judged."
    if facts.run.selection.partial:
        yield _sentence("Only some of the checks were selected", facts.run.selection.reason)
    not_verified = {s.name for s in facts.suites if s.state is SuiteState.NOT_VERIFIED}
    for suite in facts.suites:
        if suite.name in not_verified:
            yield _sentence(f"Suite {suite.name} is not verified", suite.reason)
    for check in facts.checks:
        if check.outcome is Outcome.NOT_RUN and check.suite in not_verified:
            continue  # reported once, for the suite
        if check.outcome in _UNJUDGED and check.severity.decides:
            verb = "could not be judged" if check.outcome is Outcome.ERROR else "did not run"
            yield _sentence(f"{check.name} {verb}", check.message)


def _was_judged(check: CheckResult) -> bool:
    return check.outcome in {Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.WAIVED}


def _all_well(facts: Facts) -> str:
    required = [c for c in facts.checks if c.severity.decides and _was_judged(c)]
    waived = sum(c.outcome is Outcome.WAIVED for c in required)
    suites = sum(s.state is SuiteState.VERIFIED for s in facts.suites)
    text = (
        f"All {len(required)} required checks in {suites} suites were judged; none failed"
        if not waived
        else f"{len(required) - waived} of {len(required)} required checks passed;"
        f" {waived} accepted by a waiver, in {suites} suites"
    )
    return f"{text}."


def _sentence(what: str, detail: str = "") -> str:
    text = f"{what}: {detail}" if detail else what
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
