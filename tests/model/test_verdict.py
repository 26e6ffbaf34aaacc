"""The verdict, as CONTRACT defines it: a pure function of the facts."""

from datetime import UTC, datetime

import pytest

from readiness.model.check import Severity
from readiness.model.decision import Decision, Kind
from readiness.model.evidence import Outcome
from readiness.model.record import (
    CheckResult,
    Facts,
    Incident,
    NotAsked,
    Policy,
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


PASSED = check(Outcome.PASS, Severity.BLOCKER, "a.ok")


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
    record = judge(facts(PASSED, check(outcome, severity)))
    assert record.verdict is verdict
    assert record.reasons


def test_a_failure_outweighs_what_could_not_be_judged_and_both_are_told() -> None:
    record = judge(facts(check(Outcome.FAIL, name="a.bad"), check(Outcome.ERROR, name="a.lost")))
    assert record.verdict is Verdict.NOT_READY
    assert [reason.split()[0] for reason in record.reasons if "[s]" in reason] == [
        "a.bad[s]",
        "a.lost[s]",
    ]


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
    assert judge(facts(PASSED)).verdict is Verdict.READY
    assert judge(facts(PASSED, **more)).verdict is Verdict.INCOMPLETE  # type: ignore[arg-type]


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


def decided(kind: Kind, what: str = "a") -> Decision:
    day = NOON.date()
    return Decision(kind=kind, what=what, owner="Ann", approver="Bob", reason="R", expires=day)


def with_decision(result: CheckResult, kind: Kind) -> CheckResult:
    return result.model_copy(update={"decision": decided(kind)})


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.WARN, Outcome.WAIVED])
@pytest.mark.parametrize("severity", [Severity.MAJOR, Severity.MINOR])
def test_without_a_judged_blocker_nothing_is_ready(outcome: Outcome, severity: Severity) -> None:
    record = judge(facts(check(outcome, severity)))
    assert record.verdict is Verdict.INCOMPLETE
    assert record.reasons[0].startswith("No blocker was judged")


def test_a_blocker_that_is_only_observed_is_no_judged_blocker() -> None:
    observed = with_decision(PASSED, Kind.OBSERVE_ONLY)
    assert judge(facts(observed, check(Outcome.PASS))).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN])
def test_what_is_only_observed_does_not_decide(outcome: Outcome) -> None:
    observed = with_decision(check(outcome, Severity.BLOCKER, "b.new"), Kind.OBSERVE_ONLY)
    suites = (SuiteResult(name="b", state=SuiteState.NOT_VERIFIED, reason="no check ran"),)
    record = judge(facts(PASSED, observed, suites=suites))
    assert record.verdict is Verdict.READY
    assert (record.coverage.required, record.coverage.observed) == (1, 1)


def test_coverage_counts_what_decides() -> None:
    excused = with_decision(check(Outcome.NOT_APPLICABLE, name="a.n"), Kind.NOT_APPLICABLE)
    record = judge(
        facts(
            PASSED,
            check(Outcome.FAIL, name="a.f"),
            check(Outcome.ERROR, name="a.e"),
            check(Outcome.ERROR, Severity.MINOR, "a.minor"),
            check(Outcome.NOT_APPLICABLE, name="a.found-by-itself"),
            excused,
            excused.model_copy(update={"subject": "t"}),
            policy=Policy(profile="core"),
            not_asked=(NotAsked(id="b.c", reason="r"),),
        )
    )
    assert str(record.coverage) == (
        "judged 2 of 5 required; 2 declared not applicable by 1 decision"
    )
    assert (record.coverage.profile, record.coverage.not_asked) == ("core", 1)


@pytest.mark.parametrize(("least", "verdict"), [(0.5, Verdict.READY), (0.51, Verdict.INCOMPLETE)])
def test_less_coverage_than_agreed_is_incomplete(least: float, verdict: Verdict) -> None:
    excused = with_decision(check(Outcome.NOT_APPLICABLE, name="a.n"), Kind.NOT_APPLICABLE)
    record = judge(facts(PASSED, excused, policy=Policy(profile="core", min_coverage=least)))
    assert record.verdict is verdict
    if verdict is Verdict.INCOMPLETE:
        assert "1 of 2 required checks were judged, 51% are agreed" in record.reasons[0]
