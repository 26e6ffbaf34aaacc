"""An instance that is started from nothing, and what its first requests get."""

import sys
from datetime import date
from pathlib import Path

import pytest

from readiness.areas.performance import AREA
from readiness.areas.performance import cold as cold_start
from readiness.areas.performance.cold import started
from readiness.areas.performance.config import ColdStart
from readiness.config.base.tables import Service
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from readiness.servers.processes import free_port
from suites.performance import test_cold_start as suite
from tests.performance.test_pressure import Undo
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract
# Warm answers by a server of one thread; the first ones are as the arguments say.
INSTANCE = """
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    statuses = list(map(int, sys.argv[3:]))

    def do_GET(self):
        status = self.statuses.pop(0) if self.statuses else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

with open(sys.argv[2], "w") as file:
    file.write(str(os.getpid()))
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


SERVICE = Service(url="http://127.0.0.1:1")


def cold(folder: Path, *statuses: int, **settings: object) -> ColdStart:
    """A start in the foreground."""
    port = free_port()
    script, flag = folder / "instance.py", folder / "running"
    script.write_text(INSTANCE)
    numbers = [str(status) for status in statuses]
    values: dict[str, object] = {
        "name": "api",
        "service": "api",
        "url": f"http://127.0.0.1:{port}",
        "start": [sys.executable, "-S", str(script), str(port), str(flag), *numbers],
        "stop": ["sh", "-c", f"kill $(cat {flag})"],
        "path": "/a",
        "requests": 5,
        "max_start_s": 30,
        "max_first_ms": 5000,
    }
    return ColdStart.model_validate({**values, **settings})


def test_the_first_requests_of_an_instance(tmp_path: Path) -> None:
    undo = Undo()
    seen = started(cold(tmp_path, ready="/ready"), SERVICE, undo)
    assert [one.problem for one in seen.asked] == [""] * 5
    assert seen.ready_s is not None
    assert seen.served_s is not None
    assert seen.served_s >= seen.ready_s
    assert undo.registered == {}


def test_errors_while_it_starts_are_counted(tmp_path: Path) -> None:
    seen = started(cold(tmp_path, 500, 503), SERVICE, Undo())
    assert [one.problem for one in seen.asked[:3]] == ["status 500", "status 503", ""]
    assert (seen.all.failed.value, len(seen.good.asked)) == (2, 5)


def judged(cold: ColdStart) -> Evidence:
    services = {"api": {"url": SERVICE.url}}
    config = Config.model_validate({"target": {"name": "t"}, "services": services})
    evidence = Evidence()
    suite.test_cold_start(cold, config, evidence, Undo())
    return evidence


def test_the_fix_of_early_requests_is_a_readiness_page(tmp_path: Path) -> None:
    """It answers 503 as long as the instance cannot serve."""
    with pytest.raises(CheckFailed, match="2 of 7 requests failed after it accepted connections"):
        judged(cold(tmp_path, 503, 503)).conclude()
    assert judged(cold(tmp_path, 503, 503, ready="/ready")).conclude() is Outcome.PASS


def test_a_start_that_is_too_slow_says_for_how_long(tmp_path: Path) -> None:
    asleep = cold(tmp_path, start=["sleep", "60"], stop=["true"], max_start_s=0.1)
    with pytest.raises(CheckFailed, match="without a good answer"):
        judged(asleep).conclude()


def test_one_that_never_listens(tmp_path: Path) -> None:
    asleep = cold(tmp_path, start=["sleep", "60"], stop=["true"], max_start_s=0.1)
    seen = started(asleep, SERVICE, Undo())
    assert (seen.ready_s, seen.served_s, seen.asked) == (None, None, ())
    assert seen.start_ms == pytest.approx(300)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"start": ["sh", "-c", "exit 3"], "stop": ["true"]}, "ended with 3"),
        ({"start": ["/no/such/program"], "stop": ["true"]}, "cannot be started"),
        ({"stop": ["true"]}, "still accepts connections after `stop`"),
        ({"stop": ["false"]}, "the command to stop api ended with 1"),
    ],
)
def test_a_wrong_command(
    settings: dict[str, object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_start, "_END_S", 0.1)
    undo = Undo()
    with pytest.raises(CouldNotMeasure, match=says):
        started(cold(tmp_path, **settings), SERVICE, undo)
    assert undo.registered == {}


def test_what_runs_already_is_not_cold(tmp_path: Path) -> None:
    with SmallServer({"/a": Reply("{}")}) as server:
        running = cold(tmp_path, url=server.url)
        with pytest.raises(CouldNotMeasure, match="that is not a cold start"):
            started(running, SERVICE, Undo())
        assert not server.requests


def declared(tmp_path: Path, **settings: object) -> Config:
    table = cold(tmp_path, **settings).model_dump(exclude_unset=True)
    return Config.model_validate(
        {
            "target": {"name": "t"},
            "services": {"api": {"url": SERVICE.url}},
            "performance": {"cold_starts": [table]},
        }
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"url": SERVICE.url}, "which serves users"), ({"service": "apy"}, "apy")],
)
def test_mistakes_of_the_table(settings: dict[str, object], says: str, tmp_path: Path) -> None:
    [mistake] = AREA.mistakes(declared(tmp_path, **settings), date(2026, 1, 1))
    assert says in mistake.message


def test_the_plan_shows_what_a_drill_runs(tmp_path: Path) -> None:
    assert AREA.drills
    config = declared(tmp_path, start=["./begin", "a b"], stop=["./end"])
    _, *shown = AREA.drills.commands(config)
    assert shown == ["./begin 'a b'  # starts api", "./end  # ends api"]
    nothing = Config.model_validate({"target": {"name": "t"}})
    assert list(AREA.drills.commands(nothing)) == []
    assert AREA.drills.identity(nothing) is None
