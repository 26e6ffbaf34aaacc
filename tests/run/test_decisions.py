from datetime import date

import pytest

from readiness.config.base.tables import Config, NotApplicable, ObserveOnly, Waiver
from readiness.model.check import Effect, Severity
from readiness.model.decision import Decision
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult
from readiness.run.decisions import apply, misnamed, unknown_ids

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


def written(
    subject: str = "", expires: date = TODAY, owner: str = "Ann", check: str = "backup.age"
) -> Waiver:
    return Waiver(
        check=check, subject=subject, owner=owner, approver="Bob", reason="R", expires=expires
    )


def waiver(
    subject: str = "", expires: date = TODAY, owner: str = "Ann", check: str = "backup.age"
) -> Decision:
    return written(subject, expires, owner, check).decision


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
def test_a_waiver_of_something_else_changes_nothing(other: Decision) -> None:
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


def configuration(**tables: object) -> Config:
    return Config.model_validate({"target": {"name": "shop"}, **tables})


KNOWN = {("backup.age", "orders"), ("backup.age", "users"), ("security.tls", "")}


def test_a_waiver_that_matches_nothing() -> None:
    waivers = [written(check="backup.agee"), written("order"), written("x", check="security.tls")]
    origins = {"waiver[0].check": "readiness.toml:7"}
    found = misnamed(configuration(waiver=waivers), KNOWN, origins=origins)
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
    waivers = [written(), written("orders"), written(check="security.tls")]
    assert misnamed(configuration(waiver=waivers), KNOWN) == []


def test_unknown_ids() -> None:
    found = unknown_ids(["backup.age", "zzz"], {"backup.age"}, "--select")
    assert [(p.where, p.message) for p in found] == [("--select", "unknown check 'zzz'.")]


def excused(what: str, review: date = TODAY) -> NotApplicable:
    return NotApplicable(what=what, reason="R", owner="Ann", approver="Bob", review=review)


def observed(what: str, until: date = TODAY) -> ObserveOnly:
    return ObserveOnly(what=what, reason="R", owner="Ann", until=until)


@pytest.mark.parametrize(
    "what", ["backup.age", "backup.age[orders]", "backup", "backup.*", "*", "backup.a?e[ord*]"]
)
def test_a_decision_names_a_check_an_area_or_a_pattern(what: str) -> None:
    failed = result()
    [judged], [state] = apply([failed], [observed(what).decision], TODAY)
    assert judged.outcome is Outcome.FAIL
    assert not judged.decides
    assert state.state == "applied"


@pytest.mark.parametrize("what", ["backup.ag", "back", "database.*", "backup.age[users]", "ackup*"])
def test_a_decision_about_something_else_changes_nothing(what: str) -> None:
    [judged], [state] = apply([result()], [observed(what).decision], TODAY)
    assert judged.decides
    assert state.state == "unused"


def test_observing_ends_on_its_last_day() -> None:
    [judged], [state] = apply([result()], [observed("backup", date(2026, 3, 9)).decision], TODAY)
    assert judged.decides
    assert state.state == "expired"


def test_a_check_that_does_not_apply_names_its_decision() -> None:
    [made] = excused("backup").decisions
    [judged], [state] = apply([result(Outcome.NOT_APPLICABLE)], [made], TODAY)
    assert judged.decision == made
    assert state.state == "applied"


def test_what_was_judged_is_not_excused() -> None:
    [judged], [state] = apply([result()], excused("backup").decisions, TODAY)
    assert judged.decides
    assert state.state == "unused"


def test_a_waiver_accepts_only_the_error_that_it_names() -> None:
    named = Waiver(
        check="backup.age", owner="Ann", approver="Bob", reason="R", expires=TODAY,
        error="refused the connection",
    ).decision  # fmt: skip
    lost = result(Outcome.ERROR)
    refused = lost.model_copy(update={"message": "http://db:1: refused the connection"})
    judged, _ = apply([refused, lost, result()], [named], TODAY)
    assert [r.outcome for r in judged] == [Outcome.WAIVED, Outcome.ERROR, Outcome.FAIL]


def test_decisions_that_match_nothing() -> None:
    several = excused("backup").model_copy(update={"what": ["backup.*", "bakcup.age"]})
    config = configuration(
        not_applicable=[excused("backupp"), excused("backup"), several],
        observe_only=[observed("scal.*")],
    )
    found = misnamed(config, KNOWN, origins={"not_applicable[0].what": "readiness.toml:9"})
    assert [(p.where, p.message) for p in found] == [
        (
            "readiness.toml:9 [[not_applicable]] what",
            "unknown check, area or pattern 'backupp'. Did you mean 'backup'?",
        ),
        (
            "[[not_applicable]] what",
            "unknown check, area or pattern 'bakcup.age'. Did you mean 'backup.age'?",
        ),
        ("[[observe_only]] what", "unknown check, area or pattern 'scal.*'."),
    ]
