from datetime import date

import pytest

from readiness.config.base.tables import Waiver
from readiness.model.check import Effect, Severity
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult
from readiness.run.waivers import apply, unknown_ids, unmatched

TODAY = date(2026, 3, 10)


def result(outcome: Outcome = Outcome.FAIL, subject: str = "orders") -> CheckResult:
    return CheckResult(
        id="backup.age",
        subject=subject,
        suite="backup",
        title="t",
        severity=Severity.BLOCKER,
        effect=Effect.OBSERVE,
        outcome=outcome,
        message="age 30 h; limit 26",
    )


def waiver(
    subject: str = "", expires: date = TODAY, owner: str = "Ann", check: str = "backup.age"
) -> Waiver:
    return Waiver(
        check=check, subject=subject, owner=owner, approver="Bob", reason="R", expires=expires
    )


def test_a_failure_is_accepted_through_the_last_day() -> None:
    [judged], [state] = apply([result()], [waiver()], TODAY)
    assert judged.outcome is Outcome.WAIVED
    assert judged.message == "age 30 h; limit 26"
    assert judged.waiver is not None
    assert (judged.waiver.owner, judged.waiver.approver) == ("Ann", "Bob")
    assert state.state == "applied"


def test_after_it_the_check_fails_again_and_names_the_owner() -> None:
    [judged], [state] = apply([result()], [waiver(expires=date(2026, 3, 9))], TODAY)
    assert judged.outcome is Outcome.FAIL
    assert judged.waiver is None
    assert judged.message == "age 30 h; limit 26 (waiver of Ann expired on 2026-03-09)"
    assert state.state == "expired"


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.FAIL])
def test_nothing_but_a_failure_is_waived(outcome: Outcome) -> None:
    before = result(outcome)
    [judged], [state] = apply([before], [waiver()], TODAY)
    assert judged == before
    assert state.state == "unused"


@pytest.mark.parametrize(
    "other", [waiver("users"), waiver(check="backup.size"), waiver(check="backup")]
)
def test_a_waiver_of_something_else_changes_nothing(other: Waiver) -> None:
    [judged], [state] = apply([result()], [other], TODAY)
    assert judged.outcome is Outcome.FAIL
    assert state.state == "unused"


def test_the_waiver_of_the_very_subject_goes_first() -> None:
    results, states = apply(
        [result(), result(subject="users")],
        [waiver(owner="All"), waiver("orders", owner="One"), waiver("users", date(2026, 1, 1))],
        TODAY,
    )
    owners = [r.waiver.owner if r.waiver else "" for r in results]
    assert owners == ["One", "All"]
    assert [s.state for s in states] == ["applied", "applied", "expired"]


KNOWN = {("backup.age", "orders"), ("backup.age", "users"), ("security.tls", "")}


def test_a_waiver_that_matches_nothing() -> None:
    waivers = [waiver(check="backup.agee"), waiver("order"), waiver("x", check="security.tls")]
    found = unmatched(waivers, KNOWN, origins={"waiver[0].check": "readiness.toml:7"})
    assert [(p.where, p.message, p.remedy) for p in found] == [
        (
            "readiness.toml:7 [[waiver]] check",
            "unknown check 'backup.agee'. Did you mean 'backup.age'?",
            "list all ids: readiness list",
        ),
        (
            "[[waiver]] subject",
            "backup.age has no subject 'order'. Did you mean 'orders'?",
            "use one of: orders, users",
        ),
        ("[[waiver]] subject", "security.tls has no subject 'x'", "remove 'subject'"),
    ]


def test_waivers_that_match() -> None:
    assert unmatched([waiver(), waiver("orders"), waiver(check="security.tls")], KNOWN) == []


def test_unknown_ids() -> None:
    found = unknown_ids(["backup.age", "zzz"], {"backup.age"}, "--select")
    assert [(p.where, p.message) for p in found] == [("--select", "unknown check 'zzz'.")]
