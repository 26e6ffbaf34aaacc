"""Plain base backups, taken with pg_basebackup itself."""

import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.areas.backup.config import Backup, Physical
from readiness.areas.backup.probes.physical import restored_cluster
from readiness.areas.backup.tools import tool_of
from readiness.areas.database.config import Database
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import NoData
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries, run_program, server_account
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import execute
from tests.support.processes import reachable

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    with PrivatePostgres.start(tmp_path_factory.mktemp("server")) as running:
        execute(running.dsn(), "create table rows as select generate_series(1, 1000) n")
        yield running


@pytest.fixture
def backup(server: PrivatePostgres, tmp_path: Path) -> Iterator[Backup]:
    account = server_account()
    with reachable(tmp_path, account) as place:
        folder = place / "base"
        folder.mkdir()
        account.own(folder)
        taken = run_program(
            find_binaries(), "pg_basebackup",
            ["--dbname", server.dsn(), "--pgdata", str(folder / "monday"), "--checkpoint=fast"],
            timeout_s=60, account=account if account.other else None,
        )  # fmt: skip
        assert taken.clean, str(taken)
        user = pwd.getpwuid(account.uid).pw_name if account.other else None
        yield Backup(
            name="base", database="shop", tool="basebackup", path=str(folder), rto_s=60,
            physical=Physical(account=user),
        )  # fmt: skip


def test_base_backup_is_verified_and_restores(backup: Backup, server: PrivatePostgres) -> None:
    tool = tool_of(backup)
    (found,) = tool.backups()
    assert (found.label, found.failed, found.size > 1_000_000) == ("monday", False, True)
    assert found.first_segment
    assert tool.verify().good
    assert tool.pieces()
    with pytest.raises(NoData, match="does not archive WAL"):
        tool.segments()
    database = Database(name="shop", dsn=Dsn(server.dsn()))
    with Guardian() as guardian, restored_cluster(backup, database, guardian) as cluster:
        assert cluster.problem == ""
        with connect(cluster.database(), timeout_s=10) as connection:
            assert fetch(connection, "select count(*) from rows") == [(1000,)]


def test_a_changed_file_is_reported(backup: Backup) -> None:
    file = max((Path(backup.path) / "monday" / "base").rglob("*"), key=lambda p: p.stat().st_size)
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    assert not tool_of(backup).verify().good


@pytest.mark.parametrize("left", [0, 100])
def test_a_backup_with_a_manifest_that_was_cut_off_has_failed(backup: Backup, left: int) -> None:
    manifest = Path(backup.path) / "monday" / "backup_manifest"
    manifest.write_bytes(manifest.read_bytes()[:left])
    (found,) = tool_of(backup).backups()
    assert found.failed
    with pytest.raises(NoData, match="no backup found"):
        tool_of(backup).verify()


def test_a_newer_backup_that_was_cut_off_has_failed(backup: Backup) -> None:
    monday = Path(backup.path) / "monday"
    shutil.copytree(monday, monday.with_name("tuesday"), copy_function=shutil.copy)
    (monday.with_name("tuesday") / "backup_manifest").unlink()
    newest, older = tool_of(backup).backups()
    assert (newest.label, newest.failed, older.failed) == ("tuesday", True, False)
