"""What a killed run leaves behind: neither restored data, nor a server, nor a schema of ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from readiness.lib.postgres import connect, fetch
from readiness.model.secrets import Dsn
from tests.support.waiting import eventually

pytestmark = pytest.mark.contract

RESTORED = """
import os, signal
from readiness.lib.guardian import Guardian
from readiness.servers.account import server_account
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
from readiness.areas.backup.probes.sweep import own_schema
from readiness.lib.postgres import connect
from readiness.model.secrets import Dsn
dsn = Dsn(sys.argv[1])
with connect(dsn, timeout_s=5) as connection:
    with own_schema(connection, dsn, "readiness_point_killed", Guardian()):
        print("made", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    return done.stdout.strip()


def test_restored_data_goes_with_whoever_restored_it() -> None:
    folder = Path(killed(RESTORED))
    assert eventually(lambda: not folder.exists())


def test_the_schema_of_a_drill_goes_with_the_drill(dsn: Dsn) -> None:
    assert killed(SCHEMA, dsn.reveal()) == "made"

    def left() -> list[tuple[object, ...]]:
        with connect(dsn, timeout_s=5) as connection:
            return fetch(
                connection, "select 1 from pg_namespace where nspname = 'readiness_point_killed'"
            )

    assert eventually(lambda: left() == [])
