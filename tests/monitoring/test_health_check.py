"""monitoring.health-endpoints against a real server: what it finds, and what passes."""

import json

import pytest

from readiness.areas.monitoring.config import Service
from readiness.model.errors import NoData, Unreachable
from readiness.model.evidence import Evidence
from tests.support.monitored_service import MonitoredService, misses, suite
from tests.support.small_servers import Reply

pytestmark = pytest.mark.contract


def judged(service: Service) -> Evidence:
    evidence = Evidence()
    suite("monitoring.test_health").test_health_endpoints(service, evidence)
    return evidence


def test_a_healthy_service_passes_with_its_figures() -> None:
    with MonitoredService() as server:
        evidence = judged(server.service())

    assert misses(evidence) == ""
    latency = next(m for m in evidence.measurements if m.name == "median latency of /health")
    assert (latency.unit, latency.samples) == ("ms", 5)
    assert evidence.measurements[0].value == 404


@pytest.mark.parametrize(
    ("path", "reply", "expected"),
    [
        ("/health", Reply("{}", 503), "/health answered 200 to 0 of 5 requests"),
        ("/health", Reply(status=302, headers={"Location": "/login"}), "answered 302 to /login"),
        ("/health", Reply("<html>", content_type="text/html"), "content type text/html, not app"),
        ("/health", Reply("<html>"), "is not JSON"),
        ("/health", Reply(b'"\xff"'), "is not JSON"),
        ("/health", Reply("[1]"), "is JSON, but not an object"),
        ("/health", Reply('{"status": "ok"}'), "/health reports no version"),
        ("/health", Reply('{"status": "", "version": null}'), "/health reports no status, version"),
        ("/health", Reply('{"status": 1, "version": 1}', content_type=""), "content type none"),
        ("/health/ready", Reply("{}", 500), "/health/ready answered 200 to 0 of 5"),
        ("/health/ready", Reply(status=301, headers={"Location": "/"}), "answered 301 to /"),
        ("/health/live", Reply("{}", 204), "/health/live answered 200 to 0 of 5"),
        ("/health/live", Reply("<p>", content_type="Text/HTML; charset=x"), "answers with an HTML"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_a_miss(path: str, reply: Reply, expected: str) -> None:
    with MonitoredService() as server:
        server.routes[path] = reply
        found = misses(judged(server.service()))

    assert expected in found
    assert found.count(path) >= 1


def test_every_miss_is_reported() -> None:
    with MonitoredService() as server:
        server.routes["/health/ready"] = server.routes["/health/live"] = Reply("{}", 500)
        found = misses(judged(server.service()))

    assert "/health/ready" in found
    assert "/health/live" in found


def test_one_bad_answer_of_five_is_a_miss() -> None:
    answers = iter([200, 200, 503, 200, 200])
    with MonitoredService() as server:
        server.routes["/health/live"] = lambda: Reply("{}", next(answers))
        found = misses(judged(server.service()))

    assert "/health/live answered 200 to 4 of 5 requests" in found
    assert "answered 503" in found


def test_an_answer_slower_than_the_limit_is_a_miss() -> None:
    with MonitoredService() as server:
        found = misses(judged(server.service(health_max_ms=1e-6)))

    for path in ("/health", "/health/ready", "/health/live"):
        assert f"median latency of {path}: " in found


@pytest.mark.parametrize("content_type", ["application/health+json", "application/json; x=y"])
def test_other_words_for_json_are_json(content_type: str) -> None:
    with MonitoredService() as server:
        server.routes["/health"] = Reply(
            json.dumps({"status": False, "version": 0}), content_type=content_type
        )
        assert misses(judged(server.service())) == ""


def test_ready_and_live_may_answer_plain_text() -> None:
    with MonitoredService() as server:
        server.routes["/health/ready"] = server.routes["/health/live"] = Reply(
            "ok", content_type="text/plain"
        )
        assert misses(judged(server.service())) == ""


def test_a_catch_all_page_is_an_error() -> None:
    with MonitoredService() as server:
        server.otherwise = Reply("<html>welcome", content_type="text/html")
        with pytest.raises(NoData, match="every path answers 200"):
            judged(server.service())


def test_a_service_that_is_down_is_an_error() -> None:
    with MonitoredService() as server:
        service = server.service()

    with pytest.raises(Unreachable, match="connection refused"):
        judged(service)
