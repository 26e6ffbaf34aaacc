"""A restore never goes to the source, and a killed run leaves neither data nor a schema of ours."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from readiness.areas.backup.probes import safety
from readiness.areas.backup.probes.safety import check_space, refuse_source
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure, SafetyRefusal
from readiness.model.secrets import Dsn
from tests.support.processes import eventually

pytestmark = pytest.mark.contract

Run = Callable[[str], None]

RESTORED = """
import os, signal
from readiness.lib.guardian import Guardian
from readiness.servers.binaries import server_account
from readiness.servers.binaries import find_binaries
from readiness.servers.restored import place_to_restore
with place_to_restore(find_binaries(), server_account(), Guardian()) as place:
    (place.data / "rows").write_text("of production")
    print(place.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
SCHEMA = """
import os, signal, sys
from readiness.lib.guardian import Guardian
from readiness.areas.backup.probes.safety import own_schema
from readiness.lib.postgres import connect
from readiness.model.secrets import Dsn
dsn = Dsn(sys.argv[1])
with connect(dsn, timeout_s=5) as connection:
    with own_schema(connection, dsn, "readiness_point_killed", Guardian()):
        print("made", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_source_is_never_the_scratch_server(dsn: Dsn) -> None:
    """By one of several hosts too: it is refused before any of them is asked."""
    host, port = dsn.places[0]
    several = make_conninfo(dsn.reveal(), host=f"192.0.2.1,{host}", port=f"5432,{port}")
    for scratch in (dsn.reveal(), dsn.reveal().replace("127.0.0.1", "localhost"), several):
        with pytest.raises(SafetyRefusal, match="host and port"):
            refuse_source(Dsn(scratch), dsn)
    refuse_source(dsn, Dsn("postgresql://me@127.0.0.1:1/shop"))  # a source that is away


def test_same_instance_under_another_address_is_refused(
    dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As through a pooler, whose port is another one."""
    addresses = iter([{("pooler", "6432")}, {("database", "5432")}])
    monkeypatch.setattr(safety, "_addresses", lambda _: next(addresses))
    with pytest.raises(SafetyRefusal, match="under another address"):
        refuse_source(dsn, dsn)


def test_restore_without_free_space_is_refused(tmp_path: Path) -> None:
    check_space(tmp_path, 1000, "a dump")
    with pytest.raises(CouldNotMeasure, match=r"needs .* GB; .* are free"):
        check_space(tmp_path, 1e18, "a dump")


def test_only_our_own_schema_is_dropped(dsn: Dsn, run: Run) -> None:
    with Guardian() as guardian, connect(dsn, timeout_s=5) as connection:
        with safety.own_schema(connection, dsn, "readiness_point_1", guardian):
            fetch(connection, "create table readiness_point_1.t ()")
        left = fetch(connection, "select 1 from pg_namespace where nspname ~ '^readiness_'")
    assert left == []
    with pytest.raises(Exception, match="not created by readiness"):
        safety.drop(dsn, "public")


def killed(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    return done.stdout.strip()


def test_restored_data_is_removed_after_a_kill() -> None:
    folder = Path(killed(RESTORED))
    assert eventually(lambda: not folder.exists())


def test_our_own_schema_is_dropped_after_a_kill(dsn: Dsn) -> None:
    assert killed(SCHEMA, dsn.reveal()) == "made"

    def left() -> list[tuple[object, ...]]:
        with connect(dsn, timeout_s=5) as connection:
            return fetch(
                connection, "select 1 from pg_namespace where nspname = 'readiness_point_killed'"
            )

    assert eventually(lambda: left() == [])
