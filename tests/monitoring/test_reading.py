"""How monitoring reads dashboards, retentions, rules and the metrics of an exporter."""

import json
from importlib import resources
from typing import Any

import pytest
import yaml

from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.probes.dashboards import Panel, panels_of
from readiness.areas.monitoring.probes.grafana import lookup_in, own_variables
from readiness.areas.monitoring.probes.server import Promise
from readiness.areas.monitoring.probes.server import read as read_retention
from readiness.areas.monitoring.probes.variables import Lookup, fill_in
from readiness.areas.monitoring.reference.watched import (
    count_panels,
    keep_panels,
    keep_rules,
    objection,
)
from readiness.model.errors import NoData
from readiness.servers.files import Document

PROMETHEUS = {"type": "prometheus", "uid": "p"}
FILES = resources.files("readiness.areas.monitoring.reference")
RULES: Document = yaml.safe_load(FILES.joinpath("alerts.yml").read_text())
DASHBOARD: Document = json.loads(FILES.joinpath("dashboard.json").read_bytes())
JOBS = {"orders", "prometheus", "postgres", "node", "blackbox", "canary"}
GOOD = """\
pg_up 1
pg_scrape_collector_success{collector="locks"} 1
pg_scrape_collector_success{collector="bgwriter"} 1
pg_exporter_last_scrape_error 0
"""


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


def test_panels_in_rows_and_libraries_are_found() -> None:
    folded = {"type": "row", "title": "folded", "panels": [panel("inside", "a")]}
    borrowed = {"title": "x", "libraryPanel": {"uid": "u1", "name": "x"}}
    found = read(panel("plain", "b"), folded, borrowed)

    assert [each.title for each in found] == ["plain", "inside", "library u1"]


def test_rows_of_the_oldest_schema_are_read() -> None:
    document = {"title": "D", "rows": [{"panels": [panel("old", "up")]}]}
    found = panels_of(document, variables={}, library=library, where="d.json")

    assert [each.title for each in found] == ["old"]


def test_panels_without_own_queries_are_left_out() -> None:
    text = {"title": "words", "type": "text"}
    others = panel("others", "", datasource={"uid": "-- Dashboard --"})
    hidden = panel("hidden", "up")
    hidden["targets"][0]["hide"] = True

    assert read(text, others, hidden) == []


def test_query_without_data_source_uses_that_of_its_panel() -> None:
    own = panel("own", "up", "down", datasource=PROMETHEUS)
    own["targets"][1]["datasource"] = {"type": "loki", "uid": "l"}
    (found,) = read(own)

    assert [query.source.uid for query in found.queries] == ["p", "l"]


def test_variables_are_replaced_in_queries_and_data_sources() -> None:
    asked = panel("p", 'x{job="$job",env=~"${env:regex}"} / [[job]]', datasource="$source")
    found = read(
        asked,
        variables=[
            variable("job", "api"),
            variable("env", ["a.b", "c"]),
            variable("source", "uid1", type="datasource"),
        ],
    )
    assert expressions(found) == ['x{job="api",env=~"(a\\\\.b|c)"} / api']
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
def test_saved_value_of_a_variable_is_used(saved: dict[str, object], expected: str) -> None:
    assert expressions(read(panel("p", "$v"), variables=[saved])) == [expected]


def test_configured_value_overrides_the_saved_one() -> None:
    assert expressions(read(panel("p", "$v"), variables=[variable("v", "a")], v="b")) == ["b"]


def test_variable_without_a_value_is_named() -> None:
    (found,) = read(panel("p", "$v"), variables=[variable("v", ""), variable("unused", "")])
    assert found.missing == {"v"}


def test_builtin_variables_and_regex_groups_are_kept() -> None:
    text = 'label_replace(rate(x[$__rate_interval]), "a", "$1", "b", "(.*)")'
    assert expressions(read(panel("p", text))) == [text]


def test_expressions_of_grafana_are_unchanged() -> None:
    asked = panel("p", "up")
    asked["targets"].append(
        {"refId": "B", "expression": "$A * 2", "datasource": {"type": "__expr__", "uid": "x"}}
    )
    (found,) = read(asked)

    assert found.queries[1].model_dump(by_alias=True)["expression"] == "$A * 2"


@pytest.mark.parametrize(
    "document", [[], "text", {"panels": 1}, {"panels": [{"targets": "x"}]}, None]
)
def test_invalid_dashboard_is_rejected(document: object) -> None:
    with pytest.raises(NoData, match="it is not a dashboard"):
        panels_of(document, variables={}, library=library, where="d.json")


LABELS = {
    ("", "job"): ["node", "api"],
    ('up{job="api"}', "instance"): ["a.b:1", "c:2"],
    ("", "__name__"): ["up", "node_load1"],
}
LOOKUP = Lookup(
    lambda selector, label: LABELS.get((selector, label), []),
    lambda: ["job", "instance"],
    lambda expression: [f'{expression}{{disk="sda"}} 1 5', f'{expression}{{disk="sdb"}} 2 5'],
)


class Asked:
    """A Prometheus that notes what it is asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def now(self) -> float:
        return 5000.0

    def query(self, expression: str) -> tuple[()]:
        self.seen.append(expression)
        return ()

    def label_values(self, _label: str, selectors: list[str], *_: float) -> tuple[()]:
        self.seen += selectors
        return ()

    def label_names(self) -> tuple[()]:
        return ()


def test_the_range_of_a_dashboard_is_filled_into_queries_of_variables() -> None:
    prometheus: Any = Asked()
    lookup = lookup_in(prometheus, 3600)
    assert not [*lookup.results("rate(x[$__range])"), *lookup.label_values("x[$__range]", "job")]
    assert prometheus.seen == ["rate(x[3600s])", "x[3600s]"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"query": "label_values(job)"}, "api"),
        ({"query": {"query": "label_values(job)", "refId": "A"}}, "api"),
        ({"definition": "label_values(job)"}, "api"),
        ({"query": "label_values(job)", "current": {"value": "node"}}, "node"),
        ({"query": "label_values(job)", "current": {"value": "of another system"}}, "api"),
        ({"query": "label_values(job)", "regex": "/^n.*/"}, "node"),
        ({"query": "label_values(job)", "regex": "/(?<value>.)o.*/"}, "n"),
        ({"query": "label_values(job)", "includeAll": True}, "(api|node)"),
        ({"query": "label_values(job)", "includeAll": True, "allValue": ".+"}, ".+"),
        ({"query": 'label_values(up{job="$job"}, instance)', "multi": True}, "a.b:1"),
        ({"query": 'label_values(up{job="$job"}, instance)', "includeAll": True},
         r"(a\\.b:1|c:2)"),
        ({"query": "label_values(nothing, shard)"}, ""),
        ({"query": "label_values(nothing, shard)", "includeAll": True}, ".*"),
        ({"query": "label_names()"}, "instance"),
        ({"query": "metrics(node_)"}, "node_load1"),
        ({"query": "query_result(topk(1, x))", "regex": '/.*disk="([^"]+)".*/'}, "sda"),
        ({"type": "custom", "query": "5m,10m"}, "5m"),
        ({"type": "custom", "query": "five : 5m, ten : 10m"}, "5m"),
        ({"type": "custom", "query": "a,b", "includeAll": True}, ".*"),
        ({"type": "interval", "query": "1m,5m", "current": {"value": "$__auto_interval_v"}}, "1m"),
        ({"type": "textbox", "query": ""}, ""),
        ({"type": "adhoc"}, ""),
    ],
)  # fmt: skip
def test_variable_has_the_value_that_grafana_selects(
    changes: dict[str, object], expected: str
) -> None:
    variables = [variable("job", "api"), variable("v", "") | changes]
    document = {"panels": [panel("p", "$v")], "templating": {"list": variables}}
    (found,) = panels_of(document, variables={}, library=library, where="d", lookup=LOOKUP)

    assert (found.missing, found.queries[0].expr) == (frozenset(), expected)


@pytest.mark.parametrize("source", ["${DS_P}", {"uid": "${DS_P}"}, {"uid": "$v", "type": "loki"}])
def test_data_source_of_an_export_needs_no_value(source: object) -> None:
    inputs = [{"name": "DS_P", "type": "datasource", "pluginId": "loki"}]
    inputs += [{"name": "VAR_X", "type": "constant", "value": "7"}]
    variables = [variable("v", "", type="datasource", query="prometheus")]
    document = {
        "__inputs": inputs,
        "panels": [panel("p", "${VAR_X}", datasource=source)],
        "templating": {"list": variables},
    }
    (found,) = panels_of({"dashboard": document}, variables={}, library=library, where="d")

    query = found.queries[0]
    assert (query.expr, query.source.type, query.source.uid) == ("7", "loki", "")


def test_query_without_text_is_not_run() -> None:
    asked = panel("p", "up", "")
    asked["targets"].append({"refId": "C", "format": "table", "datasource": "P"})
    words = panel("words", "up") | {"type": "text", "id": "a"}

    assert expressions(read(asked, words)) == ["up"]


def test_dashboard_of_the_second_schema_is_rejected() -> None:
    with pytest.raises(NoData, match="its schema is version 2"):
        panels_of({"elements": {}, "layout": {}}, variables={}, library=library, where="d")


def test_rate_interval_has_at_least_four_scrapes() -> None:
    short = own_variables(window_s=300, step_s=5, scrape_s=5)
    assert fill_in("x[$__rate_interval] $__interval ${__range_s}", short) == "x[20s] 5s 300"
    long = own_variables(window_s=36000, step_s=360, scrape_s=30)
    assert long["__rate_interval"] == "390s"


def rule_expressions(document: Document) -> dict[str, str]:
    return {r["alert"]: " ".join(r["expr"].split()) for g in document["groups"] for r in g["rules"]}


def test_with_all_jobs_nothing_is_left_out() -> None:
    assert rule_expressions(keep_rules(RULES, JOBS)) == rule_expressions(RULES)
    assert keep_panels(DASHBOARD, JOBS) == DASHBOARD
    assert count_panels(DASHBOARD) >= Dashboard.model_fields["min_panels"].default


@pytest.mark.parametrize(
    ("job", "gone"),
    [
        ("postgres", {"DatabaseConnectionFailure", "SlowQueries"}),
        ("node", {"MemoryHigh", "MemoryCritical"}),
        ("blackbox", {"ServiceDown", "HealthCheckFails"}),
        ("canary", {"ReadinessCanary"}),
    ],
)
def test_rules_of_an_absent_job_are_left_out(job: str, gone: set[str]) -> None:
    kept = rule_expressions(keep_rules(RULES, JOBS - {job}))
    assert rule_expressions(RULES).keys() - kept.keys() == gone
    assert not [text for text in kept.values() if f'job="{job}"' in text]
    assert kept["JobGone"].count("absent(") == (5 if job == "canary" else 4)


def test_group_without_rules_is_left_out() -> None:
    names = [group["name"] for group in keep_rules(RULES, {"orders", "prometheus"})["groups"]]
    assert names == ["service", "meta"]


def test_panels_of_an_absent_job_are_left_out() -> None:
    assert count_panels(keep_panels(DASHBOARD, JOBS - {"node"})) == count_panels(DASHBOARD) - 2
    left = keep_panels(DASHBOARD, {"orders", "prometheus"})
    assert count_panels(left) == count_panels(DASHBOARD) - 5
    assert "$job" in json.dumps(left)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (GOOD, ""),
        (GOOD.replace("pg_up 1", "pg_up 0"), "pg_up is 0"),
        (GOOD.replace('bgwriter"} 1', 'bgwriter"} 0'),
         'pg_scrape_collector_success{collector="bgwriter"} is 0'),
        (GOOD.replace("error 0", "error 1"), "pg_exporter_last_scrape_error is 1"),
        ("", "it reports nothing of its own state"),
        ("pg_up 1\n", "it reports nothing of its own state"),
    ],
)  # fmt: skip
def test_failed_collector_of_the_exporter_is_reported(metrics: str, said: str) -> None:
    assert objection(metrics) == said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15d", Promise(360, "")),
        ("1w", Promise(168, "")),
        ("1d12h", Promise(36, "")),
        ("15d or 10GiB", Promise(360, "10GiB")),
        ("10GiB", Promise(None, "10GiB")),
        ("0s or 512MB", Promise(None, "512MB")),
        ("1GiB512MiB", Promise(None, "1GiB512MiB")),
        ("15d or 80%", Promise(360, "80%")),
    ],
)
def test_retention_by_time_and_by_size_is_read(text: str, expected: Promise) -> None:
    assert read_retention(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "0", " or ", "1h1h", "1.5h", "soon", "15d or ever"])
def test_unreadable_retention_is_an_error(text: str) -> None:
    with pytest.raises(NoData, match="does not report how long"):
        read_retention(text)
