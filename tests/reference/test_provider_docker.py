"""The provider `docker`, against a real engine."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]
import httpx
import psycopg
import pytest

from readiness.lib import watchdog
from readiness.lib.guardian import Guardian
from readiness.model.errors import Unreachable
from readiness.reference.providers import start_server
from readiness.reference.system import ReferenceSystem
from readiness.servers import docker as engines
from readiness.servers import docker as provider
from readiness.servers import docker_removal
from readiness.servers.docker import IMAGE_VARIABLE, DockerPostgres, default_image
from readiness.servers.postgres import StopMode
from readiness.servers.processes import free_port
from tests.support import docker_engine
from tests.support.processes import eventually

pytestmark = pytest.mark.contract

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "log_line_prefix": "a 'b' "}


@pytest.fixture(scope="session")
def host(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an engine of our own, which has the image."""
    with closing(docker.DockerClient(docker_host)) as client:
        docker_engine.build(client.api, tmp_path_factory.mktemp("image") / "layer.tar")
    return docker_host


@pytest.fixture
def engine(host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the engine, which holds nothing when the test begins, and when it ends."""
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    with closing(docker.DockerClient(host)) as client:
        assert held(client) == []
        yield client
        assert held(client) == []


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian() as started:
        yield started
        started.undo()


@pytest.fixture
def server(engine: Any, guardian: Guardian) -> Iterator[DockerPostgres]:
    started = DockerPostgres.start(guardian, SETTINGS)
    yield started
    started.stop()


def held(client: Any) -> list[str]:
    containers = [container.name for container in client.containers.list(all=True)]
    return containers + [volume.name for volume in client.volumes.list()]


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return row[0]


def test_container_has_the_settings_and_listens_on_loopback_only(
    engine: Any, server: DockerPostgres
) -> None:
    for name, expected in SETTINGS.items():
        assert value(server.dsn(), f"show {name}") == expected
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create role ada login password 'a b/c@d'")
    assert value(server.dsn(user="ada", password="a b/c@d"), "select current_user") == "ada"
    with pytest.raises(psycopg.OperationalError, match="password"):
        value(server.dsn(user="ada"), "select 1")
    ports = engine.containers.get(server.name).attrs["NetworkSettings"]["Ports"]
    assert ports["5432/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(server.port)}]


def test_halt_and_restart_keep_the_data_and_the_port(
    server: DockerPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = server.dsn()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table kept as select 7431 as number")
    modes: tuple[StopMode, ...] = ("smart", "fast", "immediate")
    for mode in modes:
        server.halt(mode)
        server.halt(mode)  # harmless when it is stopped already
        with pytest.raises(psycopg.OperationalError):
            value(dsn, "select 1")
        server.restart()
        assert value(dsn, "select number from kept") == 7431
    server.restart()  # as it runs
    monkeypatch.setattr(provider, "_STOP_TIMEOUT_S", 1)
    with psycopg.connect(dsn):  # a smart stop would wait for this client for ever
        server.halt("smart")
    server.restart()
    assert (server.dsn(), value(dsn, "select number from kept")) == (dsn, 7431)


def test_stop_removes_the_container_and_its_volume(engine: Any, guardian: Guardian) -> None:
    server = DockerPostgres.start(guardian, {})
    assert len(held(engine)) == 2
    server.stop()
    assert held(engine) == []
    server.stop()


def test_stop_after_undo_is_harmless(engine: Any, guardian: Guardian) -> None:
    server = DockerPostgres.start(guardian, {})
    guardian.undo()
    assert held(engine) == []
    server.stop()


def test_server_that_fails_to_start_is_removed_with_a_reason(
    engine: Any, guardian: Guardian
) -> None:
    with pytest.raises(Unreachable, match='invalid value for parameter "max_connections"'):
        DockerPostgres.start(guardian, {"max_connections": "many"})
    assert held(engine) == []


def test_unreachable_server_is_removed(
    engine: Any, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DockerPostgres, "_answers", lambda _: False)
    monkeypatch.setattr(provider, "_REACH_TIMEOUT_S", 0)
    with pytest.raises(Unreachable, match="may be on another machine"):
        DockerPostgres.start(guardian, {})
    assert held(engine) == []


def test_taken_port_is_replaced_by_another(
    engine: Any, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        ports = iter([other.getsockname()[1], free_port()])
        monkeypatch.setattr(provider, "free_port", lambda: next(ports))
        server = DockerPostgres.start(guardian, {})
        assert value(server.dsn(), "select 1") == 1
        server.stop()


OWNER = """
import sys, time
from readiness.lib.guardian import Guardian
from readiness.servers.docker import DockerPostgres
guardian = Guardian()
class Told(DockerPostgres):
    def _make(self):
        print("making", guardian._process.pid, flush=True)
        super()._make()
server = Told.start(guardian, {})
print("started", guardian._process.pid, flush=True)
time.sleep(120)
"""


@pytest.mark.parametrize("when", ["making", "started"])
def test_killed_owner_leaves_no_container(engine: Any, when: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert owner.stdout is not None
    with owner.stdout as lines:
        told = next(line for line in lines if line.startswith(when))
        owner.kill()
        assert owner.wait(60) == -signal.SIGKILL
    pid = int(told.split()[1])
    assert eventually(lambda: watchdog._stat(pid)[:1] in ([], ["Z"]))
    assert held(engine) == []


def test_container_that_is_still_being_created_is_removed(engine: Any) -> None:
    name = "readiness-late"
    removal = subprocess.Popen([sys.executable, "-P", docker_removal.__file__, name])
    # It has found nothing yet, or comes later: it must not matter.
    engine.containers.create(default_image(), name=name)
    assert removal.wait(60) == 0
    assert held(engine) == []


def test_missing_image_is_reported_and_the_next_provider_starts(
    engine: Any, guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"127.0.0.1:{free_port()}/absent:1"  # nobody listens there
    monkeypatch.setenv(IMAGE_VARIABLE, image)
    name, server, reasons = start_server(None, tmp_path, guardian)
    server.stop()
    assert (name, list(reasons)) == ("local", ["docker"])
    assert reasons["docker"].startswith(f"{image}: the image is missing and cannot be pulled: ")
    assert "connection refused" in reasons["docker"]
    assert reasons["docker"].endswith(f"docker pull {image}")


def test_registry_that_does_not_answer_is_a_timeout(
    engine: Any, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_SILENCE_S", 1)
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        monkeypatch.setenv(IMAGE_VARIABLE, f"127.0.0.1:{silent.getsockname()[1]}/absent:1")
        with pytest.raises(Unreachable, match="no data from the registry for 1 s"):
            DockerPostgres.start(guardian, {})


def test_without_an_engine_it_is_unreachable(
    guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "socket"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
    with pytest.raises(Unreachable, match="no Docker engine answers within 2 s: No such file"):
        DockerPostgres.start(guardian, {})
    with socket.socket(socket.AF_UNIX) as mute:  # lets in, and says nothing
        mute.bind(str(address))
        mute.listen()
        with pytest.raises(Unreachable, match="no Docker engine answers within 2 s: timed out"):
            DockerPostgres.start(guardian, {})


def test_reference_system_runs_in_docker(engine: Any) -> None:
    with ReferenceSystem.start(provider="docker", parts={"backup"}) as system:
        assert (system.provider, "backup" in system.absent) == ("docker", False)
        with httpx.Client(base_url=system.service_url, trust_env=False, timeout=10) as client:
            assert client.get("/health/ready").status_code == 200
            assert client.get("/api/orders", params={"limit": 5}).json()["orders"]
            with system.levers.stop_database():
                assert client.get("/health/ready").status_code == 503
            assert eventually(lambda: client.get("/health/ready").status_code == 200)
            with system.levers.drop_rows_from_backup():
                assert client.get("/health/ready").status_code == 200
    assert held(engine) == []


def test_image_has_the_release_of_the_local_pg_dump(engine: Any) -> None:
    assert default_image() == f"postgres:{docker_engine.release()}"
    assert engine.images.get(default_image())
