"""The verdict, as CONTRACT defines it: a pure function of the facts."""

from datetime import UTC, datetime

import pytest

from readiness.model.check import Severity
from readiness.model.evidence import Outcome
from readiness.model.record import (
    CheckResult,
    Facts,
    Incident,
    RunFacts,
    Selection,
    SuiteResult,
    SuiteState,
    TargetFacts,
    Verdict,
)
from readiness.model.verdict import judge

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def check(outcome: Outcome, severity: Severity = Severity.MAJOR, name: str = "a.b") -> CheckResult:
    return CheckResult(
        id=name, subject="s", suite=name.partition(".")[0], title="t", severity=severity,
        effect="observe", outcome=outcome, message="because",
    )  # fmt: skip


def facts(*checks: CheckResult, partial: bool = False, **more: object) -> Facts:
    run = RunFacts(
        id="r", started=NOON, finished=NOON, duration_s=0, tool_version="0", config_sha256="",
        selection=Selection(partial=partial), interrupted=bool(more.pop("interrupted", False)),
    )  # fmt: skip
    target = TargetFacts(name="t", environment="e", release="1", fingerprint="f")
    suites = (SuiteResult(name="a", state=SuiteState.VERIFIED),)
    return Facts.model_validate(
        {"target": target, "run": run, "checks": checks, "suites": suites} | more
    )


@pytest.mark.parametrize(
    ("outcome", "severity", "verdict"),
    [
        (Outcome.PASS, Severity.BLOCKER, Verdict.READY),
        (Outcome.WARN, Severity.BLOCKER, Verdict.READY),
        (Outcome.WAIVED, Severity.BLOCKER, Verdict.READY),
        (Outcome.FAIL, Severity.BLOCKER, Verdict.NOT_READY),
        (Outcome.FAIL, Severity.MAJOR, Verdict.NOT_READY),
        (Outcome.FAIL, Severity.MINOR, Verdict.READY),
        (Outcome.ERROR, Severity.BLOCKER, Verdict.INCOMPLETE),
        (Outcome.ERROR, Severity.MAJOR, Verdict.INCOMPLETE),
        (Outcome.ERROR, Severity.MINOR, Verdict.READY),
        (Outcome.NOT_RUN, Severity.MAJOR, Verdict.INCOMPLETE),
        (Outcome.NOT_RUN, Severity.MINOR, Verdict.READY),
    ],
)
def test_one_check_beside_a_pass(outcome: Outcome, severity: Severity, verdict: Verdict) -> None:
    record = judge(facts(check(Outcome.PASS, name="a.ok"), check(outcome, severity)))
    assert record.verdict is verdict
    assert record.reasons


def test_a_failure_outweighs_what_could_not_be_judged_and_both_are_told() -> None:
    record = judge(facts(check(Outcome.FAIL, name="a.bad"), check(Outcome.ERROR, name="a.lost")))
    assert record.verdict is Verdict.NOT_READY
    assert [reason.split()[0] for reason in record.reasons] == ["a.bad[s]", "a.lost[s]"]


@pytest.mark.parametrize(
    "more",
    [
        {"partial": True},
        {"interrupted": True},
        {"incidents": (Incident(kind="worker-lost", message="gw1 was lost"),)},
        {"suites": (SuiteResult(name="b", state=SuiteState.NOT_VERIFIED, reason="not there"),)},
    ],
    ids=["partial", "interrupted", "incident", "suite"],
)
def test_what_keeps_a_run_of_passes_from_ready(more: dict[str, object]) -> None:
    assert judge(facts(check(Outcome.PASS))).verdict is Verdict.READY
    assert judge(facts(check(Outcome.PASS), **more)).verdict is Verdict.INCOMPLETE  # type: ignore[arg-type]


@pytest.mark.parametrize("checks", [(), (check(Outcome.NOT_APPLICABLE),)], ids=["none", "n/a"])
def test_nothing_judged_is_never_ready(checks: tuple[CheckResult, ...]) -> None:
    assert judge(facts(*checks)).verdict is Verdict.INCOMPLETE


def test_a_suite_that_is_not_configured_is_told_once() -> None:
    suites = (SuiteResult(name="a", state=SuiteState.NOT_VERIFIED, reason="no [backup.NAME]"),)
    record = judge(facts(check(Outcome.NOT_RUN), check(Outcome.NOT_RUN), suites=suites))
    assert sum("a.b" in reason for reason in record.reasons) == 0
    assert sum("Suite a" in reason for reason in record.reasons) == 1


def test_a_record_that_is_judged_again_gives_the_same_reasons() -> None:
    record = judge(facts(check(Outcome.FAIL, name="b.late"), check(Outcome.FAIL, name="a.early")))
    again = judge(record)
    assert (again.verdict, again.reasons) == (record.verdict, record.reasons)
    assert record.reasons[0].startswith("a.early")
