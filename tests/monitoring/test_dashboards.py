"""Dashboards as files: every panel is found, and every variable gets its value."""

from typing import Any

import pytest

from readiness.areas.monitoring.probes.dashboards import Panel, fill_in, panels_of
from readiness.areas.monitoring.probes.panels import own_variables
from readiness.model.errors import NoData

PROMETHEUS = {"type": "prometheus", "uid": "p"}


def panel(title: str, *expressions: str, **more: Any) -> dict[str, Any]:
    targets = [{"refId": "ABC"[n], "expr": text} for n, text in enumerate(expressions)]
    return {"title": title, "type": "timeseries", "targets": targets, **more}


def variable(name: str, value: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": "query", "current": {"value": value}, **more}


def read(*panels: dict[str, Any], variables: list[Any] | None = None, **given: str) -> list[Panel]:
    document = {"title": "D", "panels": panels, "templating": {"list": variables or []}}
    return list(panels_of(document, variables=given, library=library, where="d.json"))


def library(uid: str) -> object:
    return panel(f"library {uid}", "up")


def expressions(panels: list[Panel]) -> list[str]:
    return [query.expr for found in panels for query in found.shown]


def test_panels_are_found_wherever_they_are_tucked_away() -> None:
    folded = {"type": "row", "title": "folded", "panels": [panel("inside", "a")]}
    borrowed = {"title": "x", "libraryPanel": {"uid": "u1", "name": "x"}}
    found = read(panel("plain", "b"), folded, borrowed)

    assert [each.title for each in found] == ["plain", "inside", "library u1"]


def test_rows_of_the_oldest_schema_are_read() -> None:
    document = {"title": "D", "rows": [{"panels": [panel("old", "up")]}]}
    found = panels_of(document, variables={}, library=library, where="d.json")

    assert [each.title for each in found] == ["old"]


def test_what_asks_nothing_is_no_panel_with_a_query() -> None:
    text = {"title": "words", "type": "text"}
    others = panel("others", "", datasource={"uid": "-- Dashboard --"})
    hidden = panel("hidden", "up")
    hidden["targets"][0]["hide"] = True

    assert read(text, others, hidden) == []


def test_a_query_without_a_data_source_has_the_panels() -> None:
    own = panel("own", "up", "down", datasource=PROMETHEUS)
    own["targets"][1]["datasource"] = {"type": "loki", "uid": "l"}
    (found,) = read(own)

    assert [query.source.uid for query in found.queries] == ["p", "l"]


def test_variables_are_filled_in_everywhere() -> None:
    asked = panel("p", 'x{job="$job",env=~"${env:regex}"} / [[job]]', datasource="$source")
    found = read(
        asked,
        variables=[
            variable("job", "api"),
            variable("env", ["a.b", "c"]),
            variable("source", "uid1", type="datasource"),
        ],
    )
    assert expressions(found) == ['x{job="api",env=~"(a\\.b|c)"} / api']
    assert found[0].queries[0].source.uid == "uid1"


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        (variable("v", "$__all"), ".*"),
        (variable("v", ["$__all"], allValue="a.+"), "a.+"),
        (variable("v", "", type="constant", query="c"), "c"),
        (variable("v", ["x", "y"]), "(x|y)"),
    ],
)
def test_what_a_dashboard_was_saved_with(saved: dict[str, object], expected: str) -> None:
    assert expressions(read(panel("p", "$v"), variables=[saved])) == [expected]


def test_what_is_given_goes_before_what_was_saved() -> None:
    assert expressions(read(panel("p", "$v"), variables=[variable("v", "a")], v="b")) == ["b"]


def test_a_variable_without_a_value_is_an_error_that_names_it() -> None:
    with pytest.raises(NoData, match=r"the variable \$v has no value") as problem:
        read(panel("p", "$v"), variables=[variable("v", "")])
    assert 'variables = { v = "..." }' in problem.value.remedy


def test_grafanas_own_variables_and_groups_of_expressions_stay() -> None:
    text = 'label_replace(rate(x[$__rate_interval]), "a", "$1", "b", "(.*)")'
    assert expressions(read(panel("p", text))) == [text]


def test_expressions_of_grafana_are_left_alone() -> None:
    asked = panel("p", "up")
    asked["targets"].append(
        {"refId": "B", "expression": "$A * 2", "datasource": {"type": "__expr__", "uid": "x"}}
    )
    (found,) = read(asked)

    assert found.queries[1].model_dump(by_alias=True)["expression"] == "$A * 2"


@pytest.mark.parametrize(
    "document", [[], "text", {"panels": 1}, {"panels": [{"targets": "x"}]}, None]
)
def test_what_is_no_dashboard_is_refused(document: object) -> None:
    with pytest.raises(NoData, match="it is not a dashboard"):
        panels_of(document, variables={}, library=library, where="d.json")


def test_a_rate_has_four_scrapes_at_least() -> None:
    short = own_variables(window_s=300, step_s=5, scrape_s=5)
    assert fill_in("x[$__rate_interval] $__interval ${__range_s}", short, "") == "x[20s] 5s 300"
    long = own_variables(window_s=36000, step_s=360, scrape_s=30)
    assert long["__rate_interval"] == "390s"
