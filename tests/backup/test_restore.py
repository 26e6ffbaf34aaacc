"""Restores of good and of broken backups, and which judgements miss."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import Manifest, read_manifest, write_backup
from readiness.areas.backup.probes.restore import Restored, restored
from readiness.areas.backup.probes.restored_copy import AnyRestore
from readiness.areas.backup.probes.stored import newest
from readiness.fixtures.backup import Restores
from readiness.lib.files import manifest_path
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries, run_program
from readiness.servers.postgres import PrivatePostgres
from suites.backup import test_restore as suite

pytestmark = [pytest.mark.contract, pytest.mark.clients]

Run = Callable[[str], None]
RestoreOf = Callable[[Backup], AnyRestore]


@pytest.fixture
def backup(folder: Path, server: PrivatePostgres, dsn: Dsn) -> Iterator[Backup]:
    """The backups in the folder, restored into the server; nothing is left there."""
    yield Backup(
        name=folder.parent.name,
        database="shop",
        path=str(folder),
        scratch_dsn=Dsn(server.dsn()),
    )
    with connect(dsn, timeout_s=5) as connection:
        left = fetch(
            connection,
            "select rolname::text from pg_roles where rolname = 'gone'"
            " union select datname::text from pg_database where datname ~ '^readiness_restore'",
        )
    assert left == []


@pytest.fixture
def restore_of() -> Iterator[RestoreOf]:
    """As the suite has it, for one test."""
    with ExitStack() as stack:
        yield Restores(stack).of


@pytest.fixture
def dump(shop: Dsn, folder: Path) -> Path:
    return write_backup(shop.reveal(), folder)


def judged(backup: Backup, restore_of: RestoreOf) -> Evidence:
    evidence = Evidence()
    suite.test_restores(backup, restore_of, evidence)
    return evidence


def missed(evidence: Evidence) -> set[str]:
    return {m.key for m in evidence.measurements if m.is_missed}


def rewrite(dump: Path, **changes: object) -> None:
    path = manifest_path(dump)
    manifest = read_manifest(path).model_dump()
    path.write_text(Manifest.model_validate({**manifest, **changes}).model_dump_json())


def replace(dump: Path, shop: Dsn, *options: str) -> None:
    """Another dump under the same name, as another job would write it."""
    arguments = ["--format=custom", f"--file={dump}", *options]
    assert run_program(find_binaries(), "pg_dump", arguments, timeout_s=60, dsn=shop).clean


@pytest.mark.fast
def test_a_good_backup_passes(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    evidence = judged(backup, restore_of)
    assert (missed(evidence), evidence.lost) == (set(), [])
    assert {m.key for m in evidence.measurements if m.limit} == {
        "readable", "restored", "unaltered", "rows", "schema", "sequences", "large-objects",
        "sound", "damaged-copies",
    }  # fmt: skip
    restore = restore_of(backup)
    assert [moment.good for moment in restore.timeline] == [True, None, True]
    assert restore.restore_time().unit == "s"


def test_a_list_of_texts_that_a_dump_prints_otherwise_is_no_difference(
    backup: Backup, shop: Dsn, folder: Path, run: Run, restore_of: RestoreOf
) -> None:
    """The casts of `in (...)` move from the list to its elements, in all that has an expression."""
    run("""
        create table shop.runs (id int, stage varchar(20), name varchar,
            constraint known check (stage in ('active', 'it''s, over') and name not in ('a', 'b')));
        create index few on shop.runs (id) where stage in ('active', 'deleted');
        create view shop.current as select id from shop.runs where stage in ('active', 'deleted');
        alter table shop.runs enable row level security;
        create policy own on shop.runs using (name in ('a', 'b'));""")
    write_backup(shop.reveal(), folder)
    assert missed(judged(backup, restore_of)) == set()


def test_concurrent_writes_do_not_affect_the_comparison(
    backup: Backup, shop: Dsn, folder: Path, restore_of: RestoreOf
) -> None:
    """Restored into a private server, which is the default."""
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(shop.reveal(), autocommit=True) as connection:
            while not done.is_set():
                connection.execute("insert into shop.orders (customer_id, amount) values (1, 1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        dump = write_backup(shop.reveal(), folder)
    finally:
        done.set()
        writer.join(30)
    with connect(shop, timeout_s=5) as connection:
        now_there = fetch(connection, "select count(*)::int from shop.orders")[0][0]
    assert read_manifest(manifest_path(dump)).tables["shop.orders"].rows < now_there
    private = backup.model_copy(update={"scratch_dsn": None})
    assert missed(judged(private, restore_of)) == set()


@pytest.mark.parametrize("keep", [0.5, 0])
def test_a_truncated_dump(backup: Backup, dump: Path, restore_of: RestoreOf, keep: float) -> None:
    """It fails; how long a restore takes is then not known."""
    dump.write_bytes(dump.read_bytes()[: int(dump.stat().st_size * keep)])
    evidence = judged(backup, restore_of)
    assert missed(evidence) == {"readable"}
    assert "errors while reading the dump: 1: " in evidence.failures[0]
    with pytest.raises(CouldNotMeasure, match="the dump cannot be read"):
        suite.test_recovery_objectives(backup, restore_of, Evidence())


@pytest.mark.parametrize(
    ("statement", "options", "says"),
    [
        ("delete from shop.orders where id % 2 = 0", (), "shop.orders has 250 rows, expected 500"),
        (
            "update shop.orders set note = 'other' where id = 7",
            (),
            "500 rows as expected, but other contents",
        ),
        ("select", ("--exclude-table=shop.orders",), "shop.orders is missing (500 rows)"),
    ],
)
def test_a_dump_with_other_contents(
    backup: Backup,
    dump: Path,
    shop: Dsn,
    run: Run,
    restore_of: RestoreOf,
    statement: str,
    options: tuple[str, ...],
    says: str,
) -> None:
    run(statement)
    replace(dump, shop, *options)
    evidence = judged(backup, restore_of)
    assert missed(evidence) >= {"unaltered", "rows"}
    assert not missed(evidence) & {"readable", "restored"}
    assert says in "; ".join(evidence.failures)
    assert "The dump was altered since it was written" in "; ".join(evidence.failures)


def test_only_roles_of_the_manifest_are_created(
    backup: Backup, shop: Dsn, folder: Path, run: Run, restore_of: RestoreOf
) -> None:
    run("create role gone; grant select on shop.orders to gone")
    try:
        dump = write_backup(shop.reveal(), folder)
    finally:
        run("drop owned by gone; drop role gone")
    assert missed(judged(backup, restore_of)) == set()
    rewrite(dump, roles=["postgres"])
    evidence = judged(backup.model_copy(update={"name": "unrecorded"}), restore_of)
    assert missed(evidence) == {"restored", "schema"}
    assert 'role "gone" does not exist' in evidence.failures[0]


def test_a_restore_that_takes_too_long(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    """It is measured; one that goes on for much longer is stopped."""
    hurried = backup.model_copy(update={"rto_s": 0.001})
    evidence = Evidence()
    suite.test_recovery_objectives(hurried, restore_of, evidence)
    assert missed(evidence) == {"restore-time"}
    file = newest(backup)
    assert file
    assert backup.scratch_dsn
    with restored(file, backup.scratch_dsn, find_binaries(), timeout_s=0.001) as stopped:
        assert not stopped.reading.clean


def test_data_loss_is_counted_from_the_snapshot(
    backup: Backup, dump: Path, restore_of: RestoreOf
) -> None:
    promised = backup.model_copy(update={"rpo_s": 0.001})
    evidence = Evidence()
    suite.test_recovery_objectives(promised, restore_of, evidence)
    assert missed(evidence) == {"data-loss"}


@pytest.mark.parametrize(
    ("level", "untested"), [(None, 0), (8, 0), (4, 1), (3, 5)], ids=["all", "8", "4", "3"]
)
def test_without_a_manifest_the_contents_are_an_error_up_to_the_agreed_level(
    backup: Backup, dump: Path, restore_of: RestoreOf, level: int | None, untested: int
) -> None:
    manifest_path(dump).unlink()
    agreed = backup.model_copy(update={"restore_level": level})
    evidence = judged(agreed, restore_of)
    # The reason is kept once, however many levels it takes away.
    lost = [error.message for error in evidence.lost]
    assert lost == (["the backup has no manifest"] if untested < 5 else [])
    shown = [m for m in evidence.measurements if "not tested" in m.name]
    assert len(shown) == untested
    assert missed(evidence) == set()


def test_empty_manifest_is_an_error(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    rewrite(dump, tables={}, objects=None)
    lost = [error.message for error in judged(backup, restore_of).lost]
    assert lost[0] == "the manifest names no table"
    assert "the manifest has no schema" in lost[1]


def test_restore_that_cannot_start_is_an_error(
    backup: Backup, folder: Path, shop: Dsn, restore_of: RestoreOf
) -> None:
    with pytest.raises(NoData, match="no backup"):
        judged(backup, restore_of)
    write_backup(shop.reveal(), folder)
    off = Dsn("postgresql://me@127.0.0.1:1/postgres")
    away = backup.model_copy(update={"scratch_dsn": off, "name": "away"})
    with pytest.raises(Unreachable):
        judged(away, restore_of)


def test_a_backup_is_restored_once(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    first = restore_of(backup)
    assert isinstance(first, Restored)
    assert restore_of(backup) is first
