"""monitoring.metrics-endpoint and metrics-truth against a real server."""

import json
from collections.abc import Callable

import pytest

from readiness.areas.monitoring.config import Service, Truth
from readiness.areas.monitoring.probes import truth as truth_probe
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from tests.support.monitored_service import TEXT_FORMAT, MonitoredService, missed, misses, suite
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract


@pytest.fixture(autouse=True)
def _counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """This service has counted before it answers: what is not there then never comes."""
    monkeypatch.setattr(truth_probe, "_SETTLE_S", 0.5)
    monkeypatch.setattr(truth_probe, "_SLACK_S", 1.0)


TARGET = Config.model_validate({"target": {"name": "t"}})


def endpoint(service: Service) -> Evidence:
    evidence = Evidence()
    suite("monitoring.test_metrics").test_metrics_endpoint(service, TARGET, evidence)
    return evidence


def counters(service: Service, prometheus: Settings | None = None) -> Evidence:
    evidence = Evidence()
    target = TARGET.model_copy(update={"prometheus": prometheus})
    suite("monitoring.test_metrics").test_metrics_truth(service, target, evidence)
    return evidence


def stub(*values: float) -> SmallServer:
    """A Prometheus in which the counter of the requests has one value after the other."""
    left = [*values]
    labels = {"job": "orders", "instance": "a:1"}
    target = {
        "labels": labels, "scrapePool": "orders", "scrapeUrl": "http://a:1/metrics", "health": "up",
        "lastScrape": "2026-01-01T00:00:00Z", "lastScrapeDuration": 0.1,
        "scrapeInterval": "100ms", "scrapeTimeout": "100ms",
    }  # fmt: skip

    def query() -> Reply:
        value = left.pop(0) if len(left) > 1 else left[0]
        result = [{"metric": labels, "value": [1, str(value)]}] if value >= 0 else []
        data = {"resultType": "vector", "result": result}
        return Reply(json.dumps({"status": "success", "data": data}))

    targets = Reply(json.dumps({"status": "success", "data": {"activeTargets": [target]}}))
    return SmallServer({"/api/v1/query": query, "/api/v1/targets?state=active": targets})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((5, 5, 5, 12), ""),
        ((5, 5, 40), ""),
        ((5,), "counted 7 requests, and Prometheus 0: it scrapes another instance"),
        ((5, 5, 8), "counted 7 requests, and Prometheus 3"),
    ],
)
def test_requests_must_be_seen_in_prometheus(
    values: tuple[float, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_probe, "_SLACK_S", 0.2)
    with MonitoredService() as server, stub(*values) as prometheus:
        evidence = counters(server.service(), Settings(url=prometheus.url))

    assert missed(evidence) == ({"stored"} if expected else set())
    assert expected in misses(evidence)


def test_counter_that_prometheus_does_not_have_is_an_error() -> None:
    with (
        MonitoredService() as server,
        stub(-1) as prometheus,
        pytest.raises(NoData, match="Prometheus has no series hits_total"),
    ):
        misses(counters(server.service(), Settings(url=prometheus.url)))


def truth(**changes: object) -> Truth:
    with MonitoredService() as server:
        plain = server.service().truth
    assert plain
    return Truth.model_validate(plain.model_dump() | changes)


def test_valid_metrics_endpoint_passes() -> None:
    with MonitoredService() as server:
        evidence = endpoint(server.service())

    assert misses(evidence) == ""
    assert "openmetrics" in server.requests[0][2]["accept"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply("up 1\n", 503, TEXT_FORMAT), "/metrics answered 503"),
        (Reply(status=302, headers={"Location": "/login"}), "/metrics answered 302"),
        (
            Reply("up 1\n", 200, "text/html"),
            "The content type is text/html, which Prometheus 3 rejects",
        ),
        (Reply("up 1\n", 200, ""), "The content type is none"),
        (Reply("up 1\nup{a=1} 2\n", 200, TEXT_FORMAT), "because of malformed lines: line 2"),
        (Reply(b'up{a="\xff"} 1\nup 1\n', 200, TEXT_FORMAT), "line 1 is not valid UTF-8"),
        (Reply("up 1\nup 2\n", 200, TEXT_FORMAT), "of each duplicate series: up"),
        (Reply("up 1\n", 200, "application/openmetrics-text; version=1.0.0"), "# EOF"),
        (Reply("", 200, TEXT_FORMAT), "/metrics exposes no series; at least 1 required"),
    ],
)
def test_what_prometheus_rejects_fails(reply: Reply, expected: str) -> None:
    with MonitoredService() as server:
        server.routes["/metrics"] = reply
        evidence = endpoint(server.service())

    assert expected in misses(evidence)
    assert len(evidence.failures) == 1


def test_html_page_fails_line_by_line() -> None:
    with MonitoredService() as server:
        server.routes["/metrics"] = Reply("<html>\n<body>\n</html>", 200, "text/html")
        found = misses(endpoint(server.service()))

    assert found.count("line ") == 3


def test_correct_counters_pass_from_the_first_event() -> None:
    with MonitoredService() as server:
        assert misses(counters(server.service())) == ""
        assert misses(counters(server.service())) == ""


@pytest.mark.parametrize(
    ("count_by", "expected"),
    [
        ({"/work": 0}, "requests moved by 0 for 7 requests of /work, not by 7"),
        ({"/work": 2}, "requests moved by 14 for 7 requests of /work, not by 7"),
        ({"/broken": 0}, "errors moved by 0 for 3 of /broken, not by 3"),
        ({"/broken": 2}, "errors moved by 6 for 3 of /broken, not by 3"),
    ],
)
def test_counter_that_does_not_match_the_requests_fails(
    count_by: dict[str, int], expected: str
) -> None:
    with MonitoredService() as server:
        server.count_by = count_by
        evidence = counters(server.service())

    assert expected in misses(evidence)
    assert len(evidence.failures) == 1


def test_counter_without_a_series_fails_with_its_selector() -> None:
    selector = 'errors_total{path="/borken"}'
    with MonitoredService() as server:
        found = misses(counters(server.service(truth=truth(error_counter=selector))))

    assert f"no series matches {selector}" in found


def test_error_counter_that_counts_successes_fails() -> None:
    with MonitoredService() as server:
        found = misses(counters(server.service(truth=truth(error_counter="hits_total"))))

    assert "errors moved by 7 for 7 requests of /work, not by 0" in found


def test_counter_of_both_paths_is_judged_on_requests_only() -> None:
    with MonitoredService() as server:
        assert misses(counters(server.service(truth=truth(counter="hits_total")))) == ""


def counting_each_scrape(server: MonitoredService) -> Callable[[], Reply]:
    def metrics() -> Reply:
        server.hits["/work", 200] += 1
        return server.metrics()

    return metrics


def test_other_traffic_on_the_series_is_an_error() -> None:
    with MonitoredService() as server:
        server.routes["/metrics"] = counting_each_scrape(server)
        with pytest.raises(NoData, match="other traffic"):
            counters(server.service())


def test_decreasing_counter_is_an_error() -> None:
    def restart() -> Reply:
        server.hits.clear()
        return Reply("{}")

    with MonitoredService() as server:
        server.hits["/work", 200] = 100
        server.routes["/work"] = restart
        with pytest.raises(NoData, match="a counter decreased from 100 to "):
            counters(server.service())


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/work", 500, "request 1 of 7 answered 500 instead of less than 400"),
        ("/broken", 200, "request 1 of 3 answered 200 instead of at least 400"),
    ],
)
def test_request_with_an_unexpected_status_is_an_error(
    path: str, status: int, expected: str
) -> None:
    with MonitoredService() as server:
        server.routes[path] = Reply("{}", status)
        with pytest.raises(CouldNotMeasure, match=expected):
            counters(server.service())


def test_unknown_counter_is_an_error() -> None:
    with MonitoredService() as server, pytest.raises(NoData, match="nearest are hits_total"):
        counters(server.service(truth=truth(counter="hit_total")))


def test_invalid_selector_is_an_error() -> None:
    with MonitoredService() as server, pytest.raises(CouldNotMeasure, match="in the selector"):
        counters(server.service(truth=truth(counter="rate(hits_total[1m])")))
