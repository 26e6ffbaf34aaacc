"""Health endpoints, and how they follow a dependency, against a real server."""

import json
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from readiness.areas.monitoring.config import Service
from readiness.lib.noise import SILENCE, Watch
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import Evidence
from tests.support.monitored_service import MonitoredService, drilled, missed, misses, suite
from tests.support.processes import Undo
from tests.support.small_servers import HANG_S, Reply

pytestmark = pytest.mark.contract


def judged(service: Service) -> Evidence:
    evidence = Evidence()
    suite("monitoring.test_health").test_health_endpoints(service, evidence)
    return evidence


def test_healthy_service_passes_with_its_latencies() -> None:
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
        ("/health/live", Reply("{}", 206), "/health/live answered 200 to 0 of 5"),
        ("/health/live", Reply("<!DOCTYPE html><p>", content_type=""), "answers with an HTML"),
        ("/health/ready", Reply('{"status":"DOWN"}'), "its body says otherwise: status is DOWN"),
        ("/health", Reply('{"status":"up","version":"1","db":"down"}'), "otherwise: db is down"),
        ("/health/live", Reply("<p>", content_type="Text/HTML; charset=x"), "answers with an HTML"),
    ],
)  # fmt: skip
def test_wrong_answer_fails(path: str, reply: Reply, expected: str) -> None:
    with MonitoredService() as server:
        server.routes[path] = reply
        found = misses(judged(server.service()))

    assert expected in found
    assert found.count(path) >= 1


def test_every_failing_endpoint_is_reported() -> None:
    with MonitoredService() as server:
        server.routes["/health/ready"] = server.routes["/health/live"] = Reply("{}", 500)
        found = misses(judged(server.service()))

    assert "/health/ready" in found
    assert "/health/live" in found


def test_one_bad_answer_of_five_fails() -> None:
    answers = iter([200, 200, 503, 200, 200])
    with MonitoredService() as server:
        server.routes["/health/live"] = lambda: Reply("{}", next(answers))
        found = misses(judged(server.service()))

    assert "/health/live answered 200 to 4 of 5 requests" in found
    assert "answered 503" in found


def test_latency_above_the_limit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "seen", lambda _: SILENCE)
    with MonitoredService() as server:
        found = misses(judged(server.service(health_max_ms=1e-6)))

    for path in ("/health", "/health/ready", "/health/live"):
        assert f"median latency of {path}: " in found


@pytest.mark.parametrize("content_type", ["application/health+json", "application/json; x=y"])
def test_other_content_types_of_json_pass(content_type: str) -> None:
    with MonitoredService() as server:
        server.routes["/health"] = Reply(
            json.dumps({"status": 0, "version": False}), content_type=content_type
        )
        assert misses(judged(server.service())) == ""


def test_ready_and_live_may_answer_plain_text() -> None:
    with MonitoredService() as server:
        server.routes["/health/ready"] = server.routes["/health/live"] = Reply(
            "ok", content_type="text/plain"
        )
        assert misses(judged(server.service())) == ""


def test_plain_text_is_no_page_though_it_is_served_as_html() -> None:
    """As `response.send("pong")` of Express does."""
    with MonitoredService() as server:
        server.routes["/health/live"] = Reply("pong", content_type="text/html; charset=utf-8")
        assert misses(judged(server.service())) == ""
        server.routes["/health/live"] = Reply("not ready", content_type="text/html")
        assert "its body says otherwise" in misses(judged(server.service()))


def test_empty_answers_and_a_health_page_without_fields_pass() -> None:
    with MonitoredService() as server:
        server.routes["/health"] = Reply("ok", content_type="text/plain")
        server.routes["/health/ready"] = Reply("", 204, content_type="")
        server.routes["/health/live"] = Reply("", content_type="")
        assert misses(judged(server.service(health_fields=[]))) == ""


@pytest.mark.parametrize(
    ("off_s", "more", "expected"),
    [
        (-90, {}, "The clock of the service is 90 s behind this machine's; limit 5 s"),
        (90, {}, "s ahead of this machine's"),
        (-90, {"Age": "90"}, ""),  # a cache in front of it
        (0, {}, ""),
    ],
)
def test_clock_of_the_service_is_judged_by_its_date(
    off_s: float, more: dict[str, str], expected: str
) -> None:
    date = formatdate(time.time() + off_s, usegmt=True)
    with MonitoredService() as server:
        server.dates = False
        for path in ("/health/ready", "/health/live"):
            server.routes[path] = Reply("{}", headers={"Date": date, **more})
        body = '{"status": "ok", "version": "1"}'
        server.routes["/health"] = Reply(body, headers={"Date": date, **more})
        found = misses(judged(server.service()))

    assert expected in found if expected else found == ""


def test_degraded_service_only_warns() -> None:
    with MonitoredService() as server:
        server.routes["/health/ready"] = Reply('{"status":"warn","checks":{"mail":"fail"}}')
        evidence = judged(server.service())

    assert misses(evidence) == ""
    assert "its body says otherwise: checks.mail is fail" in evidence.warnings[0]


def test_a_catch_all_page_is_an_error() -> None:
    with MonitoredService() as server:
        server.otherwise = Reply("<html>welcome", content_type="text/html")
        with pytest.raises(NoData, match="every path answers 200"):
            judged(server.service())


def test_unreachable_service_is_an_error() -> None:
    with MonitoredService() as server:
        service = server.service()

    with pytest.raises(Unreachable, match="connection refused"):
        judged(service)


def drill(service: Service, undo: Undo | None = None) -> Evidence:
    evidence = Evidence()
    suite("monitoring.test_health").test_ready_tracks_dependency(service, evidence, undo or Undo())
    return evidence


def test_service_that_follows_its_database_passes(tmp_path: Path) -> None:
    undo = Undo()
    with drilled(tmp_path) as (_, service):
        evidence = drill(service, undo)

    assert misses(evidence) == ""
    assert (tmp_path / "database").exists()
    assert (undo.ever, undo.commands) == (1, {})
    said = [(moment.label, moment.good) for moment in evidence.measurements[0].timeline]
    assert said == [
        ("the database: taking away", None),
        ("the database: away", None),
        ("ready: 503", False),
        ("the database: back", None),
        ("ready: 200", True),
    ]


def test_ready_that_ignores_the_dependency_fails(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5) as (server, service):
        server.routes["/health/ready"] = Reply("{}")
        found = misses(drill(service))

    assert found.startswith(
        "/health/ready still answered 200 0.5 s after the database was taken away, not 503"
    )
    assert (tmp_path / "database").exists()


def test_ready_that_answers_500_fails(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5) as (server, service):
        server.routes["/health/ready"] = lambda: Reply("{}", 200 if server._well() else 500)
        found = misses(drill(service))

    assert "/health/ready still answered 500" in found


def test_ready_that_hangs_fails(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5) as (server, service):
        released = threading.Event()

        def hang() -> Reply:
            if not server._well():
                released.wait(HANG_S)  # longer than the probe waits (M11)
            return Reply("{}")

        server.routes["/health/ready"] = hang
        found = misses(drill(service.model_copy(update={"timeout_s": 0.4})))
        released.set()

    assert "/health/ready still answered no answer" in found


def test_alternating_503_does_not_count_as_not_ready(tmp_path: Path) -> None:
    flips = iter(range(10**6))
    with drilled(tmp_path, within_s=0.5) as (server, service):
        server.routes["/health/ready"] = lambda: Reply(
            "{}", 503 if not server._well() and next(flips) % 2 else 200
        )
        found = misses(drill(service))

    assert "/health/ready still answered 200" in found


def test_live_that_needs_the_database_fails(tmp_path: Path) -> None:
    with drilled(tmp_path) as (server, service):
        server.live_needs_database = True
        evidence = drill(service)

    assert misses(evidence).startswith("/health/live answered 503 to ")
    assert missed(evidence) == {"live"}


def test_ready_that_stays_503_fails(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5, back=["rm", str(tmp_path / "away")]) as (_, service):
        evidence = drill(service)

    assert "/health/ready did not answer 200 within 0.5 s" in misses(evidence)
    assert missed(evidence) == {"ready-again"}


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        (["false"], "take away the database ended with 1"),
        (["sh", "-c", "printf 'no \\033[31mright'; exit 3"], r"ended with 3: no  \[31mright"),
        (["/no/such/program"], "cannot be started: No such file"),
    ],
)
def test_failed_away_command_is_an_error_and_back_still_runs(
    tmp_path: Path, away: list[str], expected: str
) -> None:
    undo = Undo()
    back = ["touch", str(tmp_path / "was-run")]
    with (
        drilled(tmp_path, away=away, back=back) as (_, service),
        pytest.raises(CouldNotMeasure, match=expected) as caught,
    ):
        drill(service, undo)

    assert (tmp_path / "was-run").exists()
    assert undo.commands == {}
    assert "touch" in caught.value.remedy


def test_failed_back_command_stays_registered_for_undo(tmp_path: Path) -> None:
    undo = Undo()
    with (
        drilled(tmp_path, back=["false"]) as (_, service),
        pytest.raises(CouldNotMeasure, match="bring back the database ended with 1"),
    ):
        drill(service, undo)

    assert list(undo.commands.values()) == [["false"]]


def test_command_whose_child_keeps_stdout_open_does_not_hang(tmp_path: Path) -> None:
    away = f"mv {tmp_path}/database {tmp_path}/away; sleep 60 & echo $! > {tmp_path}/pid"
    stop = f"kill $(cat {tmp_path}/pid); mv {tmp_path}/away {tmp_path}/database"
    with drilled(tmp_path, away=["sh", "-c", away], back=["sh", "-c", stop]) as (_, service):
        assert misses(drill(service)) == ""


@pytest.mark.parametrize("path", ["/health/ready", "/health/live"])
def test_unhealthy_service_is_not_drilled(tmp_path: Path, path: str) -> None:
    undo = Undo()
    with drilled(tmp_path) as (server, service):
        server.routes[path] = Reply("{}", 503)
        with pytest.raises(CouldNotMeasure, match="answers 503 before anything was taken away"):
            drill(service, undo)

    assert (tmp_path / "database").exists()
    assert undo.ever == 0


def test_unreachable_service_is_not_drilled(tmp_path: Path) -> None:
    with drilled(tmp_path) as (_, service):
        pass

    with pytest.raises(Unreachable):
        drill(service)
    assert (tmp_path / "database").exists()


def test_time_of_a_slow_answer_counts(tmp_path: Path) -> None:
    with drilled(tmp_path) as (server, service):

        def slowly() -> Reply:
            threading.Event().wait(0.0 if server._well() else 0.3)
            return server._ready()

        server.routes["/health/ready"] = slowly
        evidence = drill(service)

    not_ready = next(m for m in evidence.measurements if m.name.startswith("time until not ready"))
    assert isinstance(not_ready.value, float)
    assert not_ready.value >= 0.3
