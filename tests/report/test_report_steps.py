"""What to do, in order: a failure stands for all that follows from it, and nothing is hidden."""

import pytest

from readiness.model.record import CheckResult
from readiness.report.steps import steps
from readiness.run import catalogue
from tests.support.records import make_check, make_record


def failed(name: str, *explained_by: str, outcome: str = "fail") -> CheckResult:
    check = make_check(name, "shop", outcome, severity="blocker")
    return check.model_copy(update={"explained_by": tuple(f"{n}[shop]" for n in explained_by)})


def shown(*checks: CheckResult) -> dict[str, list[str]]:
    return {s.checks[0].id: [c.id for c in s.explained] for s in steps(make_record(checks))}


def test_what_follows_from_a_failure_stands_with_it() -> None:
    found = shown(failed("a.one"), failed("a.two", "a.one"), failed("b.one"))
    assert found == {"a.one": ["a.two"], "b.one": []}


@pytest.mark.parametrize("outcome", ["fail", "error"])
def test_a_chain_of_failures_stands_with_its_first(outcome: str) -> None:
    last = failed("a.three", "a.two", outcome=outcome)
    assert shown(failed("a.one"), failed("a.two", "a.one"), last) == {"a.one": ["a.three", "a.two"]}


def test_failures_that_explain_each_other_are_not_hidden() -> None:
    assert set(shown(failed("a.one", "a.two"), failed("a.two", "a.one"))) == {"a.one", "a.two"}


def test_an_explanation_that_passed_hides_nothing() -> None:
    good = make_check("a.one", "shop", "pass", severity="blocker")
    assert set(shown(good, failed("a.two", "a.one"))) == {"a.two"}


def test_each_explained_check_exists() -> None:
    specs = {entry.spec.id: entry.spec for entry in catalogue.entries()}
    named = {other for spec in specs.values() for other in spec.explains}
    assert named
    assert named <= specs.keys()
