"""monitoring.ready-tracks-dependency against a real server whose database is a file."""

import threading
from pathlib import Path

import pytest

from readiness.areas.monitoring.config import Service
from readiness.model.errors import CouldNotMeasure, Unreachable
from readiness.model.evidence import Evidence
from tests.support.monitored_service import drilled, missed, misses, suite
from tests.support.processes import Undo
from tests.support.small_servers import HANG_S, Reply

pytestmark = pytest.mark.contract


def judged(service: Service, undo: Undo | None = None) -> Evidence:
    evidence = Evidence()
    suite("monitoring.test_health").test_ready_tracks_dependency(service, evidence, undo or Undo())
    return evidence


def test_a_service_that_follows_its_database_passes(tmp_path: Path) -> None:
    undo = Undo()
    with drilled(tmp_path) as (_, service):
        evidence = judged(service, undo)

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


def test_a_constant_ready_is_a_miss(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5) as (server, service):
        server.routes["/health/ready"] = Reply("{}")
        found = misses(judged(service))

    assert found.startswith(
        "/health/ready still answered 200 0.5 s after the database was taken away, not 503"
    )
    assert (tmp_path / "database").exists()


def test_a_ready_that_answers_500_is_a_miss(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5) as (server, service):
        server.routes["/health/ready"] = lambda: Reply("{}", 200 if server._well() else 500)
        found = misses(judged(service))

    assert "/health/ready still answered 500" in found


def test_a_ready_that_hangs_is_a_miss_and_never_a_pass(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5) as (server, service):
        released = threading.Event()

        def hang() -> Reply:
            if not server._well():
                released.wait(HANG_S)  # longer than the probe waits (M11)
            return Reply("{}")

        server.routes["/health/ready"] = hang
        found = misses(judged(service.model_copy(update={"timeout_s": 0.4})))
        released.set()

    assert "/health/ready still answered no answer" in found


def test_a_single_503_is_no_state(tmp_path: Path) -> None:
    flips = iter(range(10**6))
    with drilled(tmp_path, within_s=0.5) as (server, service):
        server.routes["/health/ready"] = lambda: Reply(
            "{}", 503 if not server._well() and next(flips) % 2 else 200
        )
        found = misses(judged(service))

    assert "/health/ready still answered 200" in found


def test_a_live_that_needs_the_database_is_a_miss(tmp_path: Path) -> None:
    with drilled(tmp_path) as (server, service):
        server.live_needs_database = True
        evidence = judged(service)

    assert misses(evidence).startswith("/health/live answered 503 to ")
    assert missed(evidence) == {"live"}


def test_a_ready_that_does_not_come_back_is_a_miss(tmp_path: Path) -> None:
    with drilled(tmp_path, within_s=0.5, back=["rm", str(tmp_path / "away")]) as (_, service):
        evidence = judged(service)

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
def test_a_command_that_fails_is_an_error_and_back_is_run_all_the_same(
    tmp_path: Path, away: list[str], expected: str
) -> None:
    undo = Undo()
    back = ["touch", str(tmp_path / "was-run")]
    with (
        drilled(tmp_path, away=away, back=back) as (_, service),
        pytest.raises(CouldNotMeasure, match=expected) as caught,
    ):
        judged(service, undo)

    assert (tmp_path / "was-run").exists()
    assert undo.commands == {}
    assert "touch" in caught.value.remedy


def test_what_could_not_be_brought_back_stays_with_the_guardian(tmp_path: Path) -> None:
    undo = Undo()
    with (
        drilled(tmp_path, back=["false"]) as (_, service),
        pytest.raises(CouldNotMeasure, match="bring back the database ended with 1"),
    ):
        judged(service, undo)

    assert list(undo.commands.values()) == [["false"]]


def test_a_command_whose_daemon_keeps_its_output_open_does_not_hang(tmp_path: Path) -> None:
    away = f"mv {tmp_path}/database {tmp_path}/away; sleep 60 & echo $! > {tmp_path}/pid"
    stop = f"kill $(cat {tmp_path}/pid); mv {tmp_path}/away {tmp_path}/database"
    with drilled(tmp_path, away=["sh", "-c", away], back=["sh", "-c", stop]) as (_, service):
        assert misses(judged(service)) == ""


@pytest.mark.parametrize("path", ["/health/ready", "/health/live"])
def test_a_service_that_is_not_well_before_is_not_drilled(tmp_path: Path, path: str) -> None:
    undo = Undo()
    with drilled(tmp_path) as (server, service):
        server.routes[path] = Reply("{}", 503)
        with pytest.raises(CouldNotMeasure, match="answers 503 before anything was taken away"):
            judged(service, undo)

    assert (tmp_path / "database").exists()
    assert undo.ever == 0


def test_a_service_that_is_down_is_not_drilled(tmp_path: Path) -> None:
    with drilled(tmp_path) as (_, service):
        pass

    with pytest.raises(Unreachable):
        judged(service)
    assert (tmp_path / "database").exists()


def test_the_time_a_slow_answer_takes_counts(tmp_path: Path) -> None:
    with drilled(tmp_path) as (server, service):

        def slowly() -> Reply:
            threading.Event().wait(0.0 if server._well() else 0.3)
            return server._ready()

        server.routes["/health/ready"] = slowly
        evidence = judged(service)

    not_ready = next(m for m in evidence.measurements if m.name.startswith("time until not ready"))
    assert isinstance(not_ready.value, float)
    assert not_ready.value >= 0.3
