"""A private PostgreSQL starts, serves, and leaves nothing: with each kind of binaries."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.model.errors import Unreachable
from readiness.servers import postgres, processes
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.postgres import SCRATCH, PrivatePostgres

pytestmark = pytest.mark.contract


@pytest.fixture(params=["local", "wheel"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrivatePostgres]:
    try:
        binaries = find_binaries(request.param)
    except Unreachable as missing:
        pytest.skip(missing.sentence)
    with PrivatePostgres.start(tmp_path / "pg", binaries=binaries, settings=SCRATCH) as started:
        yield started


def one(dsn: str, sql: str) -> object:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(sql.encode()).fetchone()
        assert row is not None
        return row[0]


def test_server_keeps_settings_and_data_over_a_restart(server: PrivatePostgres) -> None:
    assert one(server.dsn(), "show fsync") == "off"
    assert str(one(server.dsn(), "show server_version")).startswith(server.binaries.version)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create table kept as select 42 as figure")
    port, old = server.port, server.process.pid
    server.restart()
    assert (server.port, server.process.pid != old) == (port, True)
    assert one(server.dsn(), "select figure from kept") == 42


def test_server_listens_on_loopback_and_requires_the_password(server: PrivatePostgres) -> None:
    assert one(server.dsn(), "show listen_addresses") == "127.0.0.1"
    assert one(server.dsn(), "show unix_socket_directories") == ""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.dsn(user="postgres", password="wrong"), connect_timeout=5)


def test_no_shared_memory_outlives_a_killed_server(server: PrivatePostgres) -> None:
    """A segment in /dev/shm would stay there after the server is gone."""
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "/pg_dynshmem/" in maps
    assert "/dev/shm/PostgreSQL." not in maps


def test_stop_leaves_no_process_and_no_temporary_folder(tmp_path: Path) -> None:
    server = PrivatePostgres.start(tmp_path / "pg")
    home = server.home
    server.stop()
    server.stop()
    assert server.process.returncode == 0
    assert home == tmp_path / "pg" or not home.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn(), connect_timeout=2)


@pytest.mark.fast
def test_several_servers_run_side_by_side(tmp_path: Path) -> None:
    with (
        PrivatePostgres.start(tmp_path / "a") as first,
        PrivatePostgres.start(tmp_path / "b") as second,
    ):
        assert first.port != second.port
        assert first.password != second.password
        assert one(first.dsn(), "select 1") == one(second.dsn(), "select 1") == 1


def test_taken_port_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = processes.free_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answers = iter([taken.getsockname()[1]])
        monkeypatch.setattr(postgres, "free_port", lambda: next(answers, 0) or free())
        with PrivatePostgres.start(tmp_path / "pg") as server:
            assert server.port != taken.getsockname()[1]
            assert one(server.dsn(), "select 1") == 1


def test_invalid_setting_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no_such_setting"):
        PrivatePostgres.start(tmp_path / "pg", settings={"no_such_setting": "1"})


def test_override_folder_is_used_or_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = find_binaries().folder
    monkeypatch.setenv("READINESS_POSTGRES_BIN", str(folder))
    assert find_binaries("wheel").folder == folder
    monkeypatch.setenv("READINESS_POSTGRES_BIN", "/nonexistent")
    with pytest.raises(Unreachable, match="/nonexistent"):
        find_binaries()


def test_unreachable_binaries_are_copied(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL under another account")
    installation = find_binaries("wheel").folder.parent
    package = installation.parent
    hidden = tmp_path / package.name  # pytest keeps tmp_path to its owner
    shutil.copytree(installation, hidden / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, tmp_path / libraries.name, symlinks=True)
    binaries = Binaries(hidden / installation.name / "bin", "16", "wheel")
    with PrivatePostgres.start(tmp_path / "pg", binaries=binaries) as server:
        assert server.binaries.folder.is_relative_to(server.home)
        assert one(server.dsn(), "select 1") == 1


def test_killed_owner_leaves_no_server(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from readiness.lib.guardian import Guardian\n"
        "from readiness.servers.postgres import PrivatePostgres\n"
        "server = PrivatePostgres.start(Path(sys.argv[1]), guardian=Guardian())\n"
        "print(server.port, server.home, flush=True)\ntime.sleep(60)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "pg")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert owner.stdout is not None
    port, home = owner.stdout.readline().split()
    owner.stdout.close()
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    deadline = time.monotonic() + 20
    while _listens(int(port)) or (home != str(tmp_path / "pg") and Path(home).exists()):
        assert time.monotonic() < deadline, "the server still runs, or its folder is still there"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("told", "for_good"),
    [
        ("connection refused", False),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  the database system is not yet accepting connections", False),
        ("FATAL:  sorry, too many clients already", False),
        ('FATAL:  password authentication failed for user "postgres"', True),
        ('FATAL:  database "postgres" does not exist', True),
    ],
)
def test_permanent_refusal_differs_from_a_slow_start(told: str, *, for_good: bool) -> None:
    assert postgres._refuses(told) is for_good


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, {}),
        ({"max_locks_per_transaction": "64", "max_connections": "100"}, {}),
        (
            {
                "max_locks_per_transaction": "512",
                "max_connections": "300",
                "max_prepared_transactions": "100",
                "shared_preload_libraries": "pg_cron, pg_stat_statements, not_there",
            },
            {
                "max_locks_per_transaction": "2048",
                "shared_preload_libraries": "pg_stat_statements",
            },
        ),
        (
            {"max_locks_per_transaction": "1024", "max_connections": "5000"},
            {"max_locks_per_transaction": "4096"},
        ),
    ],
)
def test_a_copy_has_the_locks_of_its_source_and_what_only_counts(
    tmp_path: Path, source: dict[str, str], expected: dict[str, str]
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pg_stat_statements.so").touch()
    (tmp_path / "lib" / "pg_cron.so").touch()
    like = postgres.settings_like(source, Binaries(tmp_path / "bin", "15.1", "local"))
    usual = {"max_connections": "100", "max_locks_per_transaction": "256"}
    assert like == usual | expected
