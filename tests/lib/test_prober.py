"""The prober against real servers, good ones and others."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.lib.prober.judging import Behaviour, behaviour
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Mode, Plan
from readiness.lib.prober.prober import probing
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong
from tests.support.processes import eventually, gone
from tests.support.rollouts import Rollouts, rollouts
from tests.support.small_servers import Line, Reply, SmallServer, raw_server

pytestmark = pytest.mark.contract

SOON_S = 20.0
ENOUGH = 20
HOW = {
    "recreate": Behaviour.AWAY,
    "late": Behaviour.LATE,
    "closed": Behaviour.CLOSED,
    "drain": Behaviour.UNNOTICED,
    "stall": Behaviour.STALLED,
}


def probe(url: str, requests: int = ENOUGH, **plan: object) -> Observation:
    with probing(Plan.model_validate({"url": url, "rate_per_s": 100, **plan})) as prober:
        prober.wait(lambda seen: len(seen.samples) >= requests, SOON_S)
        return prober.stop()


def problems(seen: Observation) -> set[str]:
    return {sample.problem for sample in seen.samples}


def test_a_good_service_gets_both_kinds_of_requests() -> None:
    routes = {"/version": Reply('{"version": "1.5.0"}', headers={"X-Replica": "a"})}
    with SmallServer(routes) as server:
        seen = probe(f"{server.url}/version", version_key="version", replica_header="x-replica")
        opened = server.connections
    assert problems(seen) == {""}
    assert seen.versions == ("1.5.0",)
    assert seen.replicas == ("a",)
    assert opened == len(seen.of(Mode.NEW)) + 4
    assert [s.slot for s in seen.samples] == list(range(len(seen.samples)))
    assert not seen.hangups


def test_every_request_has_the_headers_of_the_plan() -> None:
    with SmallServer({"/a?b=c": Reply("ok")}) as server:
        assert problems(probe(f"{server.url}/a", headers={"Authorization": "Bearer t"})) == {
            "status 404"
        }
        _, path, headers = server.requests[0]
    assert path == "/a"
    assert headers["authorization"] == "Bearer t"
    assert headers["host"] == server.url.removeprefix("http://")


def test_another_status_is_a_failure_and_no_redirect_is_followed() -> None:
    leads = Reply("", 302, headers={"Location": "/elsewhere"})
    with SmallServer({"/": leads, "/elsewhere": Reply("ok")}) as server:
        assert problems(probe(f"{server.url}/")) == {"status 302"}
        assert {path for _, path, _ in server.requests} == {"/"}


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert problems(probe(f"http://127.0.0.1:{port}/")) == {"refused"}


def test_an_unknown_name_is_a_failure() -> None:
    assert problems(probe("http://no-such-host.invalid/")) <= {"no such name", "no answer in time"}


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
ANSWERS = {
    # what is said -> what becomes of the request
    "does not come": (None, "no answer in time"),
    "is empty": (b"", "closed without answer"),
    "is nonsense": (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
    "is cut off": (HEAD + b"content-length: 9\r\n\r\n{", "answer cut off"),
    "is endless": (HEAD + b"\r\n" + b"x" * 3000, "answer too large"),
    "ends with the connection": (HEAD + b"\r\n{}", ""),
    "comes in chunks": (HEAD + CHUNKED, ""),
    "comes after hints": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"\r\n{}", ""),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_an_answer_that(how: str) -> None:
    said, problem = ANSWERS[how]

    def talk(line: Line) -> None:
        line.hear()
        if said is None:
            line.stopped.wait()
        else:
            line.say(said)

    with raw_server(talk) as address:
        seen = probe(f"http://{address}/", timeout_s=0.4, max_bytes=2000)
    assert problems(seen) == {problem}


def test_an_untrusted_certificate_is_a_failure() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with raw_server(lambda _: None, context) as address:  # it has no certificate at all
        assert problems(probe(f"https://{address}/")) <= {"no TLS", "not reachable"}


def test_an_outage_of_50_ms_at_50_requests_a_second_is_seen() -> None:
    with SmallServer({"/": Reply("ok")}) as server, probing(Plan(url=f"{server.url}/")) as prober:
        prober.wait(lambda seen: len(seen.samples) >= ENOUGH, SOON_S)
        away_until = time.monotonic() + 0.05
        server.routes["/"] = lambda: Reply("", 200 if time.monotonic() > away_until else 503)
        prober.wait(lambda seen: seen.samples[-1].due > away_until + 0.3, SOON_S)
        seen = prober.stop()
    assert seen.failed
    assert problems(seen) == {"", "status 503"}


@pytest.fixture(scope="module")
def service() -> Iterator[Rollouts]:
    with rollouts() as running:
        yield running


@pytest.mark.parametrize("how", HOW)
def test_the_effect_of_a_change_is_described(service: Rollouts, how: str) -> None:
    with probing(Plan(url=service.url, version_key="version")) as prober:
        prober.wait(lambda seen: len(seen.samples) >= ENOUGH, SOON_S)
        service.change(how)
        over = time.monotonic()
        prober.wait(lambda seen: seen.samples[-1].due > over + 0.3, SOON_S)
        seen = prober.stop()
    assert len(seen.versions) == 2, "both releases are seen"
    assert behaviour(seen) is HOW[how], Counter((s.mode, s.problem) for s in seen.failed)
    if how == "drain":
        assert not seen.failed
        assert not seen.hangups


def test_a_prober_that_was_stopped_meanwhile_is_starved() -> None:
    with SmallServer({"/": Reply("ok")}) as server, probing(Plan(url=f"{server.url}/")) as prober:
        prober.wait(lambda seen: len(seen.samples) >= ENOUGH, SOON_S)
        os.kill(prober.pid, signal.SIGSTOP)
        until = time.monotonic() + 0.5
        assert eventually(lambda: time.monotonic() > until)
        os.kill(prober.pid, signal.SIGCONT)
        prober.wait(lambda seen: len(seen.samples) >= 3 * ENOUGH, SOON_S)
        seen = prober.stop()
    with pytest.raises(NoData, match="starved"):
        seen.must_be_fair()


def test_a_prober_that_is_killed_has_no_record() -> None:
    with SmallServer({"/": Reply("ok")}) as server, probing(Plan(url=f"{server.url}/")) as prober:
        os.kill(prober.pid, signal.SIGKILL)
        with pytest.raises(CouldNotMeasure, match="ended too early"):
            prober.wait(lambda _: False, SOON_S)
        with pytest.raises(CouldNotMeasure, match="its record is incomplete"):
            prober.stop()


def test_a_missing_answer_is_awaited_until_a_deadline() -> None:
    with (
        SmallServer({"/": Reply("ok")}) as server,
        probing(Plan(url=f"{server.url}/")) as prober,
        pytest.raises(TookTooLong),
    ):
        prober.wait(lambda seen: "2.0" in seen.versions, 0.1)


def test_the_prober_ends_with_its_parent() -> None:
    script = (
        "import sys, time\n"
        "from readiness.lib.prober.plan import Plan\n"
        "from readiness.lib.prober.prober import probing\n"
        "with probing(Plan(url=sys.argv[1])) as prober:\n"
        "    print(prober.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with SmallServer({"/": Reply("ok")}) as server:
        with subprocess.Popen(
            [sys.executable, "-c", script, f"{server.url}/"],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
        ) as owner:
            assert owner.stdout
            pid = int(owner.stdout.readline())
            os.kill(owner.pid, signal.SIGKILL)
        assert eventually(lambda: gone(pid))
