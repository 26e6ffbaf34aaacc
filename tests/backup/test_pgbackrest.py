"""pgBackRest for real: what it reports, what it leaves out, and how it is judged."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.areas.backup import discovery
from readiness.areas.backup.config import Backup, Physical
from readiness.areas.backup.probes.physical import (
    archiver_of,
    continuity_of,
    deliver,
    restore_to_point,
    restored_cluster,
)
from readiness.areas.backup.probes.restored_copy import bad_checksums, sound
from readiness.areas.backup.probes.storage import pieces_of, unencrypted
from readiness.areas.backup.reference.wal_archive import WalArchive, prepare
from readiness.areas.backup.tools import tool_of
from readiness.areas.database.config import Database
from readiness.config.base.discovery import Sources
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure, NotPermitted, Unreachable
from readiness.model.evidence import CheckFailed, Evidence
from readiness.model.secrets import Dsn
from readiness.servers import programs
from readiness.servers.binaries import find_binaries, server_account
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.restored import place_to_restore
from suites.backup import test_storage, test_wal
from tests.support.found import tables_of
from tests.support.processes import needed

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def guardian() -> Iterator[Guardian]:
    with Guardian() as guard:
        yield guard


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> WalArchive:
    needed(programs.PGBACKREST)
    made = prepare(tmp_path_factory.mktemp("archive"), guardian)
    assert isinstance(made, WalArchive)
    return made


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory, archive: WalArchive
) -> Iterator[PrivatePostgres]:
    """A server with a table, whose WAL is archived, and a full backup of it."""
    settings = {**archive.settings(), "fsync": "off"}
    with PrivatePostgres.start(tmp_path_factory.mktemp("source"), settings=settings) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create table rows as select generate_series(1, 1000) n")
        archive.begin(server)
        yield server
    shutil.rmtree(archive.folder, ignore_errors=True)


@pytest.fixture
def backup(archive: WalArchive, source: PrivatePostgres) -> Backup:
    account = "nobody" if os.geteuid() == 0 else None
    return Backup(
        name="wal",
        database="shop",
        tool="pgbackrest",
        path=str(archive.repository),
        encrypted=True,
        rto_s=60,
        physical=Physical(
            command=archive.command,
            account=account,
            dsn=Dsn(source.dsn()),
            archived_within_s=30,
        ),
    )


@pytest.fixture
def database(source: PrivatePostgres) -> Database:
    return Database(name="shop", dsn=Dsn(source.dsn()))


def test_init_finds_the_archive_of_a_server(
    archive: WalArchive, source: PrivatePostgres, database: Database, tmp_path: Path
) -> None:
    with psycopg.connect(source.dsn(), autocommit=True) as connection:
        connection.execute("create role monitor login password 'correct-horse'")
    dsn = source.dsn("postgres", "monitor", "correct-horse")
    sources = Sources("shop", tmp_path, dsn=Dsn(dsn), database="shop")
    found = tables_of(discovery.archive(sources))["backup"]["shop"]
    assert found.pop("path") == str(archive.repository)
    assert found == {
        "database": "shop", "tool": "pgbackrest", "physical": {"command": archive.command}
    }  # fmt: skip
    written = Backup.model_validate({"name": "shop", "path": "r", **found})
    assert continuity_of(written, database).missing == ()


@pytest.mark.fast
def test_its_backups_are_encrypted(backup: Backup) -> None:
    (found,) = tool_of(backup).backups()
    assert (found.label[-1], found.failed, len(found.first_segment or "")) == ("F", False, 24)
    assert found.restored_bytes > found.size > 0
    pieces = pieces_of(backup)
    assert pieces[0].head.startswith(b"Salted__")
    assert unencrypted(pieces) == []


def test_a_finished_file_arrives_and_the_archive_is_whole(
    backup: Backup, database: Database
) -> None:
    delivered = deliver(backup)
    assert delivered.arrived
    assert delivered.segment in tool_of(backup).segments()
    found = continuity_of(backup, database)
    assert (found.missing, found.last) == ((), delivered.segment)


def test_damaged_wal_fails_tool_verified(backup: Backup, archive: WalArchive) -> None:
    assert tool_of(backup).verify().good
    wal = max(archive.repository.glob("archive/*/*/*/*-*"), key=lambda path: path.stat().st_size)
    before, info = wal.read_bytes(), wal.stat()
    wal.write_bytes(bytes([*before[:100], before[100] ^ 1, *before[101:]]))
    try:
        found = tool_of(backup).verify()
        evidence = Evidence()
        test_storage.test_tool_verified(backup, evidence)
        with pytest.raises(CheckFailed, match=r"checksum invalid 1|other 1|data error"):
            evidence.conclude()
    finally:
        wal.write_bytes(before)
        os.chown(wal, info.st_uid, info.st_gid)
    assert not found.good


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("backup/*/*F/backup.manifest", "backup.manifest is missing or unusable"),
        ("backup/*/backup.info", "invalid"),
        ("archive/*/archive.info", ""),
    ],
)
def test_a_damaged_file_with_a_copy_is_reported(
    backup: Backup, archive: WalArchive, name: str, told: str
) -> None:
    place = next(archive.repository.glob(name))
    before, info = place.read_bytes(), place.stat()
    middle = len(before) // 2
    place.write_bytes(bytes([*before[:middle], before[middle] ^ 1, *before[middle + 1 :]]))
    try:
        found = tool_of(backup).verify()
    finally:
        place.write_bytes(before)
        os.chown(place, info.st_uid, info.st_gid)
    assert not found.good
    assert told in "; ".join(found.problems)
    assert not any("{" in problem for problem in found.problems)
    assert tool_of(backup).verify().good


def test_gap_is_found_though_the_tool_reports_ok(
    backup: Backup, database: Database, archive: WalArchive
) -> None:
    lost = deliver(backup).segment
    deliver(backup)
    place = next(archive.repository.rglob(f"{lost}-*"))
    hidden = place.rename(archive.folder / place.name)
    try:
        assert continuity_of(backup, database).missing == (lost,)
        assert tool_of(backup).verify().good
    finally:
        hidden.rename(place)
    assert continuity_of(backup, database).missing == ()


def test_a_restored_server_is_isolated_and_removed(
    backup: Backup, database: Database, guardian: Guardian
) -> None:
    with restored_cluster(backup, database, guardian) as cluster:
        assert cluster.problem == ""
        assert cluster.server
        folder = cluster.server.folder
        with connect(cluster.database(), timeout_s=10) as connection:
            shown = fetch(
                connection,
                "select current_setting('archive_mode'), current_setting('listen_addresses'),"
                " current_setting('max_logical_replication_workers'), (select count(*) from rows)",
            )
        assert shown == [("off", "", "0", 1000)]
        assert sound(cluster).corrupt == ()
        assert bad_checksums(cluster) in (None, 0)
    assert not folder.exists()


def test_point_in_time_restore_ends_at_the_point(
    backup: Backup, database: Database, guardian: Guardian
) -> None:
    found = restore_to_point(backup, database, guardian)
    assert (found.problem, found.before, found.after) == ("", True, False)
    with connect(database.dsn, timeout_s=5) as connection:
        left = fetch(connection, "select nspname from pg_namespace where nspname ~ '^readiness'")
    assert left == []


def test_a_restore_that_cannot_begin_has_failed(
    backup: Backup, database: Database, guardian: Guardian, archive: WalArchive
) -> None:
    manifests = list(archive.repository.glob("backup/shop/*F/backup.manifest*"))
    hidden = [path.rename(path.with_name(f"hidden-{path.name}")) for path in manifests]
    try:
        with restored_cluster(backup, database, guardian) as cluster:
            assert "the tool ended with" in cluster.problem
            with pytest.raises(CouldNotMeasure):
                cluster.restore_time()
    finally:
        for path, place in zip(hidden, manifests, strict=True):
            path.rename(place)


def test_a_missing_privilege_names_the_function(backup: Backup, source: PrivatePostgres) -> None:
    with psycopg.connect(source.dsn(), autocommit=True) as connection:
        connection.execute("create role plain login password 'correct horse'")
    assert backup.physical
    poor = backup.physical.model_copy(
        update={"dsn": Dsn(source.dsn("postgres", "plain", "correct horse"))}
    )
    with pytest.raises(NotPermitted, match="pg_create_restore_point"):
        deliver(backup.model_copy(update={"physical": poor}))


def test_a_wrong_command(backup: Backup, archive: WalArchive) -> None:
    assert backup.physical

    def with_command(*words: str) -> Backup:
        physical = backup.physical.model_copy(update={"command": list(words)})  # type: ignore[union-attr]
        return backup.model_copy(update={"physical": physical})

    with pytest.raises(CouldNotMeasure, match="cannot be started"):
        tool_of(with_command("pgbackrest-gone")).backups()
    assert tool_of(with_command(*archive.command[:-1], "--stanza=other")).backups() == []


def test_what_is_not_a_data_directory_does_not_start(guardian: Guardian, tmp_path: Path) -> None:
    with place_to_restore(find_binaries(), server_account(), guardian) as place:
        with pytest.raises((CouldNotMeasure, Unreachable), match="not a data directory"):
            place.start("postgres", {}, timeout_s=5)
        (place.data / "pg_tblspc").mkdir()
        (place.data / "pg_tblspc" / "16400").symlink_to(tmp_path)
        with pytest.raises(CouldNotMeasure, match="points outside the folder"):
            place.start("postgres", {}, timeout_s=5)


def test_archive_command_that_does_nothing_is_detected(
    backup: Backup, database: Database, source: PrivatePostgres, tmp_path: Path
) -> None:
    """The last one: what is not archived here is a gap from now on."""
    assert backup.physical
    hasty = backup.model_copy(
        update={"physical": backup.physical.model_copy(update={"archived_within_s": 3})}
    )
    with psycopg.connect(source.dsn(), autocommit=True) as connection:
        connection.execute("alter system set archive_command = '/bin/true'")
        connection.execute("select pg_reload_conf()")
    sources = Sources("shop", tmp_path, dsn=Dsn(source.dsn()), database="shop", backups="dumps")
    (gap,) = discovery.archive(sources)
    assert "how the WAL archive is read: /bin/true writes it" in str(gap)
    assert "[backup.shop-wal]" in str(gap)
    delivered = deliver(hasty)
    archiver = archiver_of(database)
    assert (archiver.mode, archiver.failing, delivered.arrived) == ("on", False, False)
    evidence = Evidence()
    test_wal.test_archive_end_to_end(hasty, evidence)
    with pytest.raises(CheckFailed, match="is not in the repository; limit 3 s"):
        evidence.conclude()


@pytest.mark.parametrize(
    "said",
    [
        "/tmp/other --x=pgbackrest archive-push %p",
        "sh -c 'touch /tmp/made' pgbackrest archive-push %p",
        "pgbackrest --cmd=/tmp/other --stanza=a archive-push %p",
        "pgbackrest --stanza=a --repo1-host-cmd=/tmp/other archive-push %p",
        "pgbackrest --stanza=a",
    ],
)
def test_init_runs_no_other_program_that_a_server_names(said: str) -> None:
    assert discovery._pgbackrest(said) == []
    assert discovery._pgbackrest("pgbackrest --stanza=a archive-push %p") == [
        "pgbackrest",
        "--stanza=a",
    ]
