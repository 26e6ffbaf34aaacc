"""C: how mistakes in configurations have passed what they must not, and that they do not here."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.plugin.gates import CONFIG, FAIL, PASS, XDIST, Gate, not_applicable

WAIVER = """
[[waiver]]
check = "own.bad"
owner = "Ada"
approver = "Grace"
reason = "the new index is built on Thursday"
expires = {expires}
"""


@pytest.fixture
def soon() -> str:
    """A day in a month."""
    return (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("[sevices.api]\nurl = 'http://x'\n", "services"),
        ("[gate]\nchek_timeout_s = 3\n", "check_timeout_s"),
        ("[target]\nname = 'again'\n", "target"),
        ("[gate]\nsuites = []\nsuites = []\n", "suites"),
        ("[signoffs]\nrequired = []\n", "required"),
        ("[services.api]\nurl = '${NO_SUCH_VARIABLE}'\n", "NO_SUCH_VARIABLE"),
        (
            "[services.api]\nurl = 'http://x'\nbearer = '${NO_SUCH_SECRET}'\n",
            "NO_SUCH_SECRET",
        ),
        ("[services.api]\nurl = 'http://x'\nbearer = 'in-the-clear'\n", "bearer"),
    ],
    ids=[
        "c1-section", "c1-key", "c2-table", "c2-key", "c3-empty", "c4-unset", "c9-secret",
        "c9-literal",
    ],
)  # fmt: skip
def test_a_mistake_judges_nothing_and_is_named(gate: Gate, addition: str, words: str) -> None:
    run = gate(PASS, config=CONFIG + addition)
    assert run.code == 2
    assert words in run.text
    assert "Traceback" not in run.text
    assert "in-the-clear" not in run.text
    assert not run.has_record


@XDIST  # the workers hand over what they planned, and a waiver is compared with that
@pytest.mark.parametrize(
    "change",
    [
        ("own.bad", "own.bda"),
        ('check = "own.bad"', 'check = "own.bad"\nsubject = "dmeo"'),
    ],
    ids=["check", "subject"],
)
def test_c5_a_waiver_that_matches_nothing_judges_nothing(
    gate: Gate, soon: str, change: tuple[str, str]
) -> None:
    run = gate(FAIL, config=CONFIG + WAIVER.format(expires=soon).replace(*change))
    assert run.code == 2
    assert "Did you mean" in run.text
    assert not run.has_record


def test_c5_an_unknown_check_in_not_applicable_is_refused(gate: Gate) -> None:
    run = gate(PASS, config=CONFIG + not_applicable({"own.godo": "a typo"}))
    assert run.code == 2
    assert "own.good" in run.text


def test_c6_an_expired_waiver_does_not_count(gate: Gate) -> None:
    run = gate(FAIL, config=CONFIG + WAIVER.format(expires="2024-01-31"))
    assert (run.code, run.verdict) == (1, "NOT READY")
    assert "expired" in " ".join(run.record["reasons"])
    assert "Ada" in run.files["reports/readiness.html"]


def test_c7_c8_a_waived_failure_has_its_own_outcome_and_is_shown(gate: Gate, soon: str) -> None:
    run = gate(PASS + FAIL, config=CONFIG + WAIVER.format(expires=soon))
    assert (run.code, run.verdict) == (0, "READY")
    assert run.record["counts"]["waived"] == 1
    assert run.record["counts"]["pass"] == 1
    for name in ("readiness.html", "readiness.md"):
        page = run.files[f"reports/{name}"]
        assert "Ada" in page
        assert soon in page


def test_c7_an_unused_waiver_is_shown(gate: Gate, soon: str) -> None:
    run = gate(
        PASS + FAIL.replace("figure(3)", "figure(1)"), config=CONFIG + WAIVER.format(expires=soon)
    )
    assert run.record["decisions"][0]["state"] == "unused"
    assert "unused" in run.files["reports/readiness.html"]


def test_an_error_cannot_be_waived(gate: Gate, soon: str) -> None:
    source = FAIL.replace("evidence.judge", "raise ValueError('x')\n    evidence.judge")
    run = gate(source, config=CONFIG + WAIVER.format(expires=soon))
    assert (run.code, run.outcomes) == (3, {"own.bad[demo]": "error"})
