"""How a verdict could be declared, excused or shortened to READY."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.plugin.gates import CONFIG, FAIL, PASS, Gate

SOON = (datetime.now(UTC) + timedelta(days=30)).date()
PAST = "2020-01-01"
MAJOR = PASS.replace("good", "fine").replace("blocker", "major")
ABSENT = """
@check("own.absent", title="t", why="w", fix="f", severity="blocker", each="backup")
def test_absent(backup, evidence):
    evidence.judge("value", figure(1), at_most(2))
"""
TWO_CAUSES = """
from readiness.model.errors import NotPermitted, Unreachable

@check("own.blind", title="t", why="w", fix="f", severity="blocker")
def test_blind(evidence):
    with evidence.attempt():
        raise Unreachable("refused the connection", where="http://one:9090/api/v1/query?x=1")
    with evidence.attempt():
        raise NotPermitted("the role sees nothing; sessions cannot be judged", remedy="grant it")
"""
GATE = "[gate]\nprofile = {profile}\n"


def excused(what: str, review: object = SOON) -> str:
    return (
        f'[[not_applicable]]\nwhat = "{what}"\nreason = "r"\nowner = "Ada"\napprover = "Bo"\n'
        f"review = {review}\n"
    )


def observed(what: str, until: object = SOON) -> str:
    return f'[[observe_only]]\nwhat = "{what}"\nreason = "r"\nowner = "Ada"\nuntil = {until}\n'


def test_a_run_whose_blockers_are_all_excused_is_not_ready(gate: Gate) -> None:
    run = gate(PASS + MAJOR, config=CONFIG + excused("own.good"))
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert "No blocker was judged" in run.record["reasons"][0]
    assert run.record["coverage"]["excused"] == 1


def test_a_run_that_is_only_observed_is_not_ready(gate: Gate) -> None:
    run = gate(PASS + FAIL, config=CONFIG + observed("*"))
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes == {"own.good[demo]": "pass", "own.bad[demo]": "fail"}
    assert run.record["coverage"]["observed"] == 2


def test_observing_that_has_ended_decides(gate: Gate) -> None:
    assert gate(PASS + FAIL, config=CONFIG + observed("own.bad")).code == 0
    run = gate(PASS + FAIL, config=CONFIG + observed("own.bad", PAST))
    assert (run.code, run.record["decisions"][0]["state"]) == (1, "expired")


def test_a_decision_that_has_expired_excuses_nothing(gate: Gate) -> None:
    full = CONFIG + GATE.format(profile='"full"')
    assert gate(PASS + ABSENT, config=full + excused("own.absent")).code == 0
    run = gate(PASS + ABSENT, config=full + excused("own.absent", PAST))
    assert (run.code, run.outcomes["own.absent"]) == (3, "not-run")
    [absent] = [check for check in run.record["checks"] if check["id"] == "own.absent"]
    assert f"Ada's decision expired on {PAST}" in absent["message"]


def test_a_check_that_is_excused_for_another_subject_is_judged(gate: Gate) -> None:
    run = gate(PASS + FAIL, config=CONFIG + excused("own.bad[other]"))
    assert run.code == 2
    assert "own.bad[other]" in run.text


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        ('["own.good"]', 0),  # what is declared nowhere is not asked for
        ('["own.good", "own.absent"]', 3),  # the profile requires it
        ('["own.good", "own.abesnt"]', 2),  # the profile lost a check
        ('"full"', 3),
    ],
)
def test_a_profile_requires_what_it_names(gate: Gate, profile: str, code: int) -> None:
    run = gate(PASS + ABSENT, config=CONFIG + GATE.format(profile=profile))
    assert run.code == code
    assert code != 2 or "Did you mean 'own.absent'?" in run.text


def test_less_coverage_than_agreed_is_not_ready(gate: Gate) -> None:
    least = CONFIG + "[gate]\nmin_coverage = 0.6\n" + excused("own.fine")
    run = gate(PASS + MAJOR, config=least)
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert gate(PASS + MAJOR, config=least.replace("0.6", "0.5")).code == 0


def test_one_cause_does_not_hide_another(gate: Gate) -> None:
    run = gate(PASS + TWO_CAUSES)
    [blind] = [check for check in run.record["checks"] if check["id"] == "own.blind"]
    assert [cause["what"] for cause in blind["causes"]] == [
        "http://one:9090: refused the connection",
        "the role sees nothing",
    ]
    for name in ("readiness.html", "readiness.md", "readiness.pr.md"):
        page = run.files[f"reports/{name}"]
        assert "refused the connection" in page, name
        assert "the role sees nothing" in page, name


def test_a_waiver_of_one_error_does_not_accept_another(gate: Gate) -> None:
    waiver = (
        '[[waiver]]\ncheck = "own.blind"\nowner = "Ada"\napprover = "Bo"\nreason = "r"\n'
        f'expires = {SOON}\nerror = "{{error}}"\n'
    )
    for error in ("timed out", "refused the connection"):  # its second cause is not accepted
        other = gate(PASS + TWO_CAUSES, config=CONFIG + waiver.format(error=error))
        assert (other.code, other.outcomes["own.blind[demo]"]) == (3, "error")
    one = TWO_CAUSES.rpartition("    with")[0]
    named = gate(PASS + one, config=CONFIG + waiver.format(error="refused the connection"))
    assert (named.code, named.outcomes["own.blind[demo]"]) == (0, "waived")
