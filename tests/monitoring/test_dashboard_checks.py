"""The checks of dashboards: through what stands for Grafana, and from a file."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.monitoring.config import Dashboard, Grafana
from readiness.areas.monitoring.probes import grafana
from readiness.config.models import Config
from readiness.fixtures.monitoring import open_dashboard
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.secrets import Secret
from tests.support import real_prometheus
from tests.support.monitored_service import TEXT_FORMAT, misses, suite
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

EXPOSED = "# TYPE good_total counter\ngood_total 7\nempty NaN\n"
FRAME = {
    "schema": {"fields": [{"type": "time"}, {"type": "number"}]},
    "data": {"values": [[1, 2], [None, 3]]},
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    with SmallServer({"/metrics": Reply(EXPOSED, content_type=TEXT_FORMAT)}) as server:
        places = {"good": [server.url.removeprefix("http://")]}
        with real_prometheus.running(folder, places) as url:
            yield url


def document(*expressions: str, **more: Any) -> dict[str, Any]:
    return {
        "title": "D",
        "panels": [
            {"title": text, "type": "stat", "targets": [{"refId": "A", "expr": text, **more}]}
            for text in expressions
        ],
    }


def target(**tables: object) -> Config:
    return Config.model_validate({"target": {"name": "t"}} | tables)


def judge(dashboard: Dashboard, config: Config) -> str:
    evidence = Evidence()
    with ExitStack() as stack:
        suite("monitoring.test_dashboards").test_dashboard_panels(
            dashboard, lambda asked: open_dashboard(asked, config, stack), evidence
        )
    return misses(evidence)


def from_file(folder: Path, prometheus: str, content: dict[str, Any], **changes: object) -> str:
    file = folder / "dashboard.json"
    file.write_text(json.dumps(content))
    described = {"name": "d", "file": str(file), "min_panels": 1, "window_s": 60.0}
    settings = real_prometheus.settings(prometheus)
    jobs = {"good": real_prometheus.job("good")}
    config = target().model_copy(update={"prometheus": settings.model_copy(update={"jobs": jobs})})
    return judge(Dashboard.model_validate(described | changes), config)


def test_panels_with_data_pass(tmp_path: Path, prometheus: str) -> None:
    expressions = ("good_total", "sum(rate(good_total[$__rate_interval]))", "up > bool 2")

    assert from_file(tmp_path, prometheus, document(*expressions)) == ""
    assert from_file(tmp_path, prometheus, document("vector(1)", instant=True)) == ""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("good_totel", "query A returns nothing within 60 s"),
        ("empty", "query A returns nothing within 60 s"),
        ("up == 2", "query A returns nothing within 60 s"),
        ("rate(good_total", "unclosed left parenthesis"),
    ],
)
def test_panel_without_data_is_named(
    tmp_path: Path, prometheus: str, expression: str, expected: str
) -> None:
    found = from_file(tmp_path, prometheus, document("up", expression))

    assert found.startswith(f"points of the panel '{expression}': 0; at least 1 required: ")
    assert expected in found


def test_broken_query_fails_even_if_panel_may_be_empty(tmp_path: Path, prometheus: str) -> None:
    shown = document("up", "up == 2", "rate(")
    found = from_file(tmp_path, prometheus, shown, may_be_empty=["up == 2", "rate("])

    assert found.startswith("points of the panel 'rate('")


def test_dashboard_as_exported_is_resolved_from_prometheus(tmp_path: Path, prometheus: str) -> None:
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    asked = document('good_total{job="$job", instance=~"$instance"}', 'gone{job="$job"}')
    for panel in asked["panels"]:
        panel["datasource"] = source
    asked["__inputs"] = [{"name": "DS_PROMETHEUS", "type": "datasource", "pluginId": "prometheus"}]
    job = {"name": "job", "type": "query", "query": {"query": "label_values(good_total, job)"}}
    instance = {
        "name": "instance", "type": "query", "multi": True, "includeAll": True, "current": {},
        "query": 'label_values(good_total{job="$job"}, instance)',
    }  # fmt: skip
    asked["templating"] = {"list": [job, instance]}
    found = from_file(tmp_path, prometheus, asked)

    assert found.startswith("points of the panel 'gone{job=")
    assert found.count("points of the panel") == 1


def test_all_variables_without_a_value_are_told_at_once(tmp_path: Path, prometheus: str) -> None:
    asked = document("up", "$a", "$b", "$a $b")
    asked["templating"] = {"list": [{"name": name, "type": "query"} for name in "ab"]}
    with pytest.raises(NoData, match=r"the variables \$a, \$b have no value") as problem:
        from_file(tmp_path, prometheus, asked)
    assert 'variables = { a = "...", b = "..." }' in problem.value.remedy
    assert from_file(tmp_path, prometheus, asked, variables={"a": "up", "b": "+ 1"}).count("1") == 0


def test_too_few_panels_fail(tmp_path: Path, prometheus: str) -> None:
    found = from_file(tmp_path, prometheus, document("up"), min_panels=11)

    assert "panels with a query on the dashboard d: 1; at least 11 required" in found


def test_other_data_source_than_prometheus_needs_grafana(tmp_path: Path, prometheus: str) -> None:
    asked = document("x", datasource={"type": "loki", "uid": "l"})
    with pytest.raises(
        NoData, match="a data source of the type loki, which only Grafana can query"
    ):
        from_file(tmp_path, prometheus, asked)


def test_missing_file_or_prometheus_is_an_error(tmp_path: Path) -> None:
    dashboard = Dashboard.model_validate({"name": "d", "file": str(tmp_path / "none.json")})
    with pytest.raises(NoData, match="needs a Prometheus"):
        judge(dashboard, target())
    settings = real_prometheus.settings("http://127.0.0.1:9")
    with pytest.raises(CouldNotMeasure):
        judge(dashboard, target().model_copy(update={"prometheus": settings}))


class Stub(SmallServer):
    """A Grafana with one dashboard, whose answers a test may change."""

    def __init__(self) -> None:
        super().__init__({
            "/api/dashboards/uid/d": Reply(
                json.dumps({"dashboard": document("up", datasource={"uid": "p", "type": "t"})})
            ),
            "/api/datasources/uid/p/health": Reply('{"status": "OK", "message": "fine"}'),
            "/api/ds/query": Reply(json.dumps({"results": {"A": {"frames": [FRAME]}}})),
        })  # fmt: skip

    def settings(self) -> Grafana:
        return Grafana.model_validate(
            {"url": self.url, "token": Secret("grafana token"), "datasources": ["p"]}
        )

    def dashboard(self, uid: str = "d") -> str:
        config = target().model_copy(update={"grafana": self.settings()})
        described = {"name": "d", "uid": uid, "min_panels": 1}
        return judge(Dashboard.model_validate(described), config)

    def sources(self) -> str:
        evidence = Evidence()
        with grafana.Grafana(self.url, self.settings()) as client:
            suite("monitoring.test_dashboards").test_grafana_datasources(
                self.settings(), client, evidence
            )
        return misses(evidence)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


def test_panels_are_queried_through_grafana_with_its_token(stub: Stub) -> None:
    assert stub.dashboard() == ""
    assert {headers["authorization"] for _, _, headers in stub.requests} == {"Bearer grafana token"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"results": {"A": {"frames": []}}}, "returns nothing"),
        ({"results": {"A": {"frames": None}}}, "returns nothing"),
        ({"results": {"A": {"error": "bad_data: parse error"}}}, "bad_data: parse error"),
        ({"results": {"B": {}}}, "Grafana does not answer this query"),
        ({"message": "data source not found"}, "data source not found"),
    ],
)
def test_answer_without_points_fails(stub: Stub, answer: object, expected: str) -> None:
    stub.routes["/api/ds/query"] = Reply(json.dumps(answer), 400)

    assert expected in stub.dashboard()


def test_nulls_do_not_count_as_points(stub: Stub) -> None:
    only_null = FRAME | {"data": {"values": [[1], [None]]}}
    stub.routes["/api/ds/query"] = Reply(json.dumps({"results": {"A": {"frames": [only_null]}}}))

    assert "points of the panel 'up': 0" in stub.dashboard()


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/api/dashboards/uid/d", Reply('{"message": "Dashboard not found"}', 404)),
        ("/api/dashboards/uid/d", Reply("<html>", 200, "text/html")),
        ("/api/dashboards/uid/d", Reply('{"message": "Unauthorized"}', 401)),
        ("/api/dashboards/uid/d", Reply("{}", 200)),
        ("/api/ds/query", Reply('{"message": "Unauthorized"}', 403)),
        ("/api/ds/query", Reply("{}", 200)),
        ("/api/ds/query", Reply('{"message": "gone"}', 503)),
        ("/api/ds/query", Reply(status=302, headers={"Location": "/login"})),
    ],
)
def test_unexpected_answer_of_grafana_is_an_error(stub: Stub, path: str, reply: Reply) -> None:
    stub.routes[path] = reply
    with pytest.raises(CouldNotMeasure):
        stub.dashboard()


def test_default_data_source_is_looked_up(stub: Stub) -> None:
    stub.routes["/api/dashboards/uid/d"] = Reply(json.dumps({"dashboard": document("up")}))
    stub.routes["/api/datasources"] = Reply('[{"uid": "x", "type": "t", "isDefault": true}]')

    assert stub.dashboard() == ""
    assert [path for _, path, _ in stub.requests].count("/api/datasources") == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply('{"status": "OK"}'), ""),
        (
            Reply('{"status": "ERROR", "message": "refused"}', 400),
            "The health of the data source p is ERROR (`.datasources`): refused",
        ),
        (Reply('{"message": "plugin unavailable"}', 503), "is no status, HTTP 503"),
    ],
)
def test_data_source_is_judged_by_its_own_health_check(
    stub: Stub, reply: Reply, expected: str
) -> None:
    stub.routes["/api/datasources/uid/p/health"] = reply
    found = stub.sources()

    assert expected in found if expected else found == ""


@pytest.mark.parametrize("status", [404, 500, 501])
def test_without_health_check_a_query_decides(stub: Stub, status: int) -> None:
    stub.routes["/api/datasources/uid/p/health"] = Reply('{"message": "not implemented"}', status)
    stub.routes["/api/datasources"] = Reply('[{"uid": "p", "type": "t"}]')
    assert stub.sources() == ""

    stub.routes["/api/ds/query"] = Reply('{"message": "Data source not found"}', 404)
    assert "Data source not found" in stub.sources()


def test_rejected_token_is_an_error(stub: Stub) -> None:
    stub.routes["/api/datasources/uid/p/health"] = Reply('{"message": "Unauthorized"}', 401)
    with pytest.raises(CouldNotMeasure, match="set `token` in the table of Grafana"):
        stub.sources()


def test_example_dashboard_is_valid(tmp_path: Path) -> None:
    from importlib import resources

    source = resources.files("readiness.areas.monitoring.reference").joinpath("dashboard.json")
    shutil.copyfile(str(source), tmp_path / "d.json")
    from readiness.areas.monitoring.probes.grafana import from_file as panels_in

    dashboard = Dashboard.model_validate({"name": "d", "file": str(tmp_path / "d.json")})
    assert len(panels_in(dashboard)) == 12
