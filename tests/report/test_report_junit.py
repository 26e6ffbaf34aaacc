"""JUnit agrees with the verdict: what decides is a failure or an error, nothing else is."""

from datetime import date
from xml.etree import ElementTree as ET

import pytest

from readiness.model.decision import Decision, Kind
from readiness.model.record import RunRecord, SuiteResult, SuiteState
from readiness.report import machines
from tests.support.records import make_check, make_record, small_record

GOOD = make_check("backup.restores", severity="blocker")
OBSERVED = Decision(
    kind=Kind.OBSERVE_ONLY, what="performance", owner="ana", reason="new", expires=date(2027, 1, 1)
)


def _root(record: RunRecord) -> ET.Element:
    return ET.fromstring(machines.junit(record))  # noqa: S314 - we have just written it


def _kind(case: ET.Element) -> str:
    return next((e.tag for e in case if e.tag in {"failure", "error", "skipped"}), "passed")


def _case(record: RunRecord) -> ET.Element:
    case = _root(record).find("testsuite[@name='performance']/testcase")
    assert case is not None
    return case


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("pass", "passed"),
        ("warn", "passed"),
        ("fail", "failure"),
        ("error", "error"),
        ("not-run", "error"),
        ("waived", "skipped"),
        ("not-applicable", "skipped"),
    ],
)
def test_outcomes(outcome: str, kind: str) -> None:
    case = _case(make_record([make_check(outcome=outcome, message="because")]))
    assert _kind(case) == kind
    assert case.get("name") == "performance.query-latency[orders-db]"
    if kind != "passed":
        found = case.find(kind)
        assert found is not None
        assert "because" in str(found.get("message"))


@pytest.mark.parametrize(
    ("outcome", "kind"), [("fail", "passed"), ("error", "skipped"), ("not-run", "skipped")]
)
@pytest.mark.parametrize("why", ["minor", "observed"])
def test_what_does_not_decide_turns_no_build_red(outcome: str, kind: str, why: str) -> None:
    check = make_check(
        outcome=outcome, message="because", severity="minor" if why == "minor" else "major"
    )
    if why == "observed":
        check = check.model_copy(update={"decision": OBSERVED})
    record = make_record([GOOD, check])
    assert record.verdict == "READY"
    root = _root(record)
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    case = _case(record)
    assert _kind(case) == kind
    assert f"{outcome}: because\nIt does not decide the verdict" in case.findtext("system-out", "")
    values = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert values["outcome"] == outcome
    assert values["decides"] == "no"


def test_totals_are_sums_and_each_suite_is_there() -> None:
    root = _root(small_record())
    assert [s.get("name") for s in root] == [
        "readiness", "backup", "database", "deployment", "monitoring", "performance", "security",
    ]  # fmt: skip
    for suite in root:
        kinds = [_kind(case) for case in suite.iter("testcase")]
        assert int(suite.get("tests", "")) == len(kinds)
        assert int(suite.get("failures", "")) == kinds.count("failure")
        assert int(suite.get("errors", "")) == kinds.count("error")
        assert int(suite.get("skipped", "")) == kinds.count("skipped")
    assert int(root.get("tests", "")) == len(list(root.iter("testcase")))


def test_the_verdict_is_a_property_and_a_case() -> None:
    root = _root(small_record())
    values = {p.get("name"): p.get("value") for p in root[0].iter("property")}
    assert values["verdict"] == "NOT READY"
    assert values["release"] == "2026.11.3"
    assert values["profile"] == "full"
    assert values["coverage"] == "judged 4 of 6 required"
    case = root.find("testsuite[@name='readiness']/testcase")
    assert case is not None
    assert _kind(case) == "failure"


def test_every_suite_has_its_time_and_host() -> None:
    for suite in _root(small_record()):
        assert suite.get("timestamp") == "2026-11-20T14:03:07"
        assert suite.get("hostname") == "ci-runner-7"


def test_a_run_that_is_incomplete_is_never_all_green() -> None:
    suites = [SuiteResult(name="backup", state=SuiteState.NOT_VERIFIED, reason="not configured")]
    root = _root(make_record(suites=suites))
    assert root.get("errors") == "1"
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert "Suite backup is not verified: not configured." in str(error.text)


def test_a_ready_run_is_all_green() -> None:
    root = _root(make_record([GOOD]))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
