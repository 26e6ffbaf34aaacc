"""Plain base backups, taken with pg_basebackup itself."""

import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup, Physical
from readiness.areas.backup.manifest import read_manifest, write_backup
from readiness.areas.backup.probes.origin import origin_of, source_of
from readiness.areas.backup.probes.physical import restored_cluster
from readiness.areas.backup.tools import tool_of
from readiness.areas.database.config import Database
from readiness.areas.database.reference.session_levers import await_true
from readiness.lib.files import files_in, manifest_path
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.lib.postgres.contents import TableContent
from readiness.model.errors import NoData
from readiness.model.measurement import now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries, run_program, server_account
from readiness.servers.postgres import PrivatePostgres, PrivateStandby
from suites.backup import test_restore as suite
from tests.support.database_health import execute
from tests.support.processes import reachable

pytestmark = pytest.mark.contract

CAUGHT_UP = """
    select coalesce(bool_and(latest_end_lsn <= pg_last_wal_replay_lsn()), false)
    from pg_stat_wal_receiver where status = 'streaming'"""


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
        take(server, folder / "monday")
        user = pwd.getpwuid(account.uid).pw_name if account.other else None
        yield Backup(
            name="base", database="shop", tool="basebackup", path=str(folder), rto_s=60,
            physical=Physical(account=user),
        )  # fmt: skip


def take(server: PrivatePostgres, folder: Path, *options: str) -> None:
    account = server_account()
    words = ["--dbname", server.dsn(), "--pgdata", str(folder), "--checkpoint=fast", *options]
    taken = run_program(
        find_binaries(), "pg_basebackup", words, timeout_s=60,
        account=account if account.other else None,
    )  # fmt: skip
    assert taken.clean, str(taken)


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


def test_a_base_backup_without_wal_does_not_restore(
    backup: Backup, server: PrivatePostgres
) -> None:
    """pg_basebackup -X none, and nothing that archives the WAL."""
    take(server, Path(backup.path) / "tuesday", "--wal-method=none")
    database = Database(name="shop", dsn=Dsn(server.dsn()))
    with Guardian() as guardian, restored_cluster(backup, database, guardian) as cluster:
        assert "could not locate required checkpoint record" in cluster.problem
        evidence = Evidence()
        suite.test_restores(backup, lambda _: cluster, evidence)
    assert [m.key for m in evidence.measurements if m.is_missed] == ["restored"]
    assert not tool_of(backup).verify().good


def test_the_server_of_a_base_backup_is_known(backup: Backup, server: PrivatePostgres) -> None:
    origin = origin_of(backup)
    assert origin
    assert origin.system == source_of(Database(name="shop", dsn=Dsn(server.dsn()))).system


def test_a_dump_of_a_standby_that_stands_still_is_as_old_as_its_data(
    server: PrivatePostgres, tmp_path: Path
) -> None:
    """Also where nobody writes to the primary, a standby that has it all is not old."""
    execute(server.dsn(), "create unlogged table cache as select 1 as a")
    committed = now()
    dumps = tmp_path / "dumps"
    with (
        Guardian() as guardian,
        PrivateStandby.follow(
            server, tmp_path / "standby", dsn=server.dsn(), slot="dumped", guardian=guardian
        ) as standby,
    ):
        await_true(standby.dsn(), CAUGHT_UP)
        idle = read_manifest(manifest_path(write_backup(standby.dsn(), dumps, name="idle")))
        execute(standby.dsn(), "select pg_wal_replay_pause()")
        paused = now()
        execute(server.dsn(), "update rows set n = n")
        await_true(standby.dsn(), f"select not ({CAUGHT_UP})")
        stale = read_manifest(manifest_path(write_backup(standby.dsn(), dumps, name="stale")))
    await_true(server.dsn(), "select not active from pg_replication_slots")
    execute(server.dsn(), "select pg_drop_replication_slot('dumped')")
    assert committed < idle.data_at <= idle.started_at
    assert stale.data_at < paused < stale.started_at
    newest, _ = files_in(dumps, "*.dump", "[backup.it]")
    assert (newest.data_at, newest.taken_at) == (stale.replayed_until, stale.finished_at)
    assert "last commit that the standby had replayed" in newest.dated_by
    assert stale.tables["public.cache"] == TableContent(0, "0")


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
