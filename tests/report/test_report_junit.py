from xml.etree import ElementTree as ET

import pytest

from readiness.model.record import RunRecord, SuiteResult, SuiteState
from readiness.report import junit
from tests.support.records import make_check, make_record, small_record


def _root(record: RunRecord) -> ET.Element:
    return ET.fromstring(junit.render(record))  # noqa: S314 - we have just written it


def _kind(case: ET.Element) -> str:
    return next((e.tag for e in case if e.tag in {"failure", "error", "skipped"}), "passed")


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
    root = _root(make_record([make_check(outcome=outcome, message="because")]))
    case = root.find("testsuite[@name='performance']/testcase")
    assert case is not None
    assert _kind(case) == kind
    assert case.get("name") == "performance.query-latency[orders-db]"
    if kind != "passed":
        assert "because" in str(case[0].get("message"))


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
    values = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert values["verdict"] == "NOT READY"
    assert values["release"] == "2026.11.3"
    case = root.find("testsuite[@name='readiness']/testcase")
    assert case is not None
    assert _kind(case) == "failure"


def test_a_run_that_is_incomplete_is_never_all_green() -> None:
    suites = [SuiteResult(name="backup", state=SuiteState.NOT_VERIFIED, reason="not configured")]
    root = _root(make_record(suites=suites))
    assert root.get("errors") == "1"
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert "Suite backup is not verified: not configured." in str(error.text)


def test_a_ready_run_is_all_green() -> None:
    root = _root(make_record())
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
