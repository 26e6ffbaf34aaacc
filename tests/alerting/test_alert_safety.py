"""A synthetic alert must never wake a person, nor hold a real alert back."""

import pytest

from readiness.areas.alerting.routes.config import Config, parse
from readiness.areas.alerting.routes.reach import refuse_unless_contained
from readiness.model.errors import SafetyRefusal

LABELS = {"alertname": "ReadinessProbe", "severity": "critical", "readiness_probe": "rd1"}
RECEIVERS = "receivers: [{name: probe}, {name: pager}, {name: other}]\n"


def config(routes: str, inhibit: str = "[]") -> Config:
    return parse(
        f"route: {{receiver: other, routes: {routes}}}\ninhibit_rules: {inhibit}\n{RECEIVERS}"
    )


def refuse(found: Config) -> None:
    refuse_unless_contained(
        found, LABELS, receiver="probe", unique="readiness_probe", where="http://am:9093"
    )


PROBE_FIRST = """[{matchers: ['readiness_probe!=""'], receiver: probe},
                  {matchers: ['severity="critical"'], receiver: pager}]"""


def test_a_route_of_its_own_that_stands_first_is_safe() -> None:
    refuse(config(PROBE_FIRST))


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param("[]", id="no route of its own"),
        pytest.param(
            """[{matchers: ['severity="critical"'], receiver: pager},
                {matchers: ['readiness_probe!=""'], receiver: probe}]""",
            id="a real route stands before it",
        ),
        pytest.param(
            """[{matchers: ['readiness_probe!=""'], receiver: probe, continue: true},
                {matchers: ['severity="critical"'], receiver: pager}]""",
            id="it continues",
        ),
        pytest.param(
            """[{matchers: ['readiness_probe="other"'], receiver: probe}]""",
            id="its matcher means another probe",
        ),
        pytest.param(
            """[{matchers: ['readiness_probe!=""'], receiver: pager}]""",
            id="it leads to a real receiver",
        ),
    ],
)
def test_whatever_reaches_anybody_else_is_refused(routes: str) -> None:
    with pytest.raises(SafetyRefusal, match="only probe is allowed: nothing was sent") as refused:
        refuse(config(routes))
    assert "readiness_probe!=" in refused.value.remedy


@pytest.mark.parametrize("equal", ["[]", "[namespace]", "[severity]"])
def test_an_alert_that_would_inhibit_real_ones_is_refused(equal: str) -> None:
    rule = f"""[{{source_matchers: ['severity="critical"'],
                  target_matchers: ['severity="warning"'], equal: {equal}}}]"""
    with pytest.raises(SafetyRefusal, match="would inhibit real alerts"):
        refuse(config(PROBE_FIRST, rule))


@pytest.mark.parametrize("equal", ["[alertname]", "[alertname, instance]", "[readiness_probe]"])
def test_an_inhibition_that_cannot_match_a_real_alert_is_allowed(equal: str) -> None:
    rule = f"""[{{source_matchers: ['severity="critical"'],
                  target_matchers: ['severity="warning"'], equal: {equal}}}]"""
    refuse(config(PROBE_FIRST, rule))


def test_an_inhibition_that_excludes_probes_is_allowed() -> None:
    rule = """[{source_matchers: ['severity="critical"', 'readiness_probe=""'],
                target_matchers: ['severity="warning"'], equal: []}]"""
    refuse(config(PROBE_FIRST, rule))
