"""Load generators on other machines, which join a master of ours."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from readiness.areas.performance import load
from readiness.areas.performance.load import Loaded
from readiness.config.base.tables import Service
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Interpolated
from readiness.servers.processes import free_port
from tests.performance.test_load import declared
from tests.support.namespaces import namespaces
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract
TOKEN = "READINESS_LOAD_BEARER"


@contextmanager
def generator(
    folder: Path, host: str, port: int, *wrapper: str, **variables: str
) -> "Iterator[subprocess.Popen[bytes]]":
    """What the guide says to run on another machine; ended if it does not end by itself."""
    folder.mkdir()
    argv = [*wrapper, sys.executable, "-m", "locust", "-f", "-", "--worker"]
    argv += ["--master-host", host, "--master-port", str(port)]
    environ = {**os.environ, "TMPDIR": str(folder), **variables}
    silent = subprocess.DEVNULL
    with subprocess.Popen(argv, env=environ, cwd=folder, stdout=silent, stderr=silent) as process:
        try:
            yield process
        finally:
            process.kill()


def sent(url: str, host: str, port: int, workers: int, **settings: object) -> Loaded:
    table = {"bind": host, "port": port, "workers": workers, "wait_s": 60}
    one = declared(rate=100, generators={**table, **settings})
    service = Service.model_validate({"url": url, "bearer": Interpolated("horse")})
    return load.load(one, service, seconds=one.duration_s)


def test_workers_in_other_namespaces_send_what_one_process_sends(tmp_path: Path) -> None:
    """Each has its address, and sends its half of the one schedule."""
    port, names = free_port(), ("readiness-a", "readiness-b")
    with ExitStack() as stack:
        host = stack.enter_context(namespaces(*names))
        server = stack.enter_context(SmallServer({"/a": Reply("{}")}, host=host))
        workers = [
            stack.enter_context(
                generator(
                    tmp_path / name, host, port, "ip", "netns", "exec", name, **{TOKEN: "horse"}
                )
            )
            for name in names
        ]
        loaded = sent(server.url, host, port, 2)
        codes = [worker.wait(30) for worker in workers]
        tokens = Counter(headers["authorization"] for _, _, headers in server.requests)
    assert codes == [0, 0]
    assert (len(loaded.asked), loaded.planned, loaded.failed) == (100, 100, 0)
    due = [round((one.due - loaded.asked[0].due) * 100) for one in loaded.asked]
    assert due == list(range(100))
    assert set(tokens) == {"Bearer horse"}


def test_a_worker_that_does_not_join(tmp_path: Path) -> None:
    """One lacks the token, and says so itself."""
    port = free_port()
    with SmallServer({"/a": Reply("{}")}) as server, ExitStack() as stack:
        stack.enter_context(generator(tmp_path / "a", "127.0.0.1", port, **{TOKEN: "horse"}))
        stack.enter_context(generator(tmp_path / "b", "127.0.0.1", port, **{TOKEN: ""}))
        with pytest.raises(CouldNotMeasure, match="1 of 2 load generators joined within 8 s"):
            sent(server.url, "127.0.0.1", port, 2, wait_s=8)
        assert not server.requests


def test_a_worker_that_dies_ends_the_load(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        there = stack.enter_context(
            generator(tmp_path / "a", "127.0.0.1", port, **{TOKEN: "horse"})
        )

        def answer() -> Reply:
            there.kill()
            return Reply("{}")

        server = stack.enter_context(SmallServer({"/a": answer}))
        stack.enter_context(generator(tmp_path / "b", "127.0.0.1", port, **{TOKEN: "horse"}))
        says = "1 of 2 load generators were left while the load was sent"
        with pytest.raises(CouldNotMeasure, match=says) as caught:
            sent(server.url, "127.0.0.1", port, 2)
    assert f"--master-port {port}" in caught.value.remedy


@pytest.mark.parametrize("bind", ["192.0.2.1", "127.0.0.1"])
def test_an_address_that_cannot_be_listened_at(bind: str) -> None:
    """Another machine's, and one whose port is taken."""
    with SmallServer({}) as taken:
        port = int(taken.url.rpartition(":")[2])
        with pytest.raises(CouldNotMeasure, match=f"cannot listen for load generators at {bind}"):
            sent("http://127.0.0.1:1", bind, port, 1)
