"""Restores of good and of broken backups, and what the checks conclude from them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import Manifest, read_manifest, write_backup
from readiness.areas.backup.probes.restore import Restored
from readiness.fixtures.backup import Restores
from readiness.lib.files import manifest_path
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import CheckFailed, Outcome
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.client import run_program
from readiness.servers.postgres import PrivatePostgres
from suites.backup import test_restore as suite

pytestmark = [pytest.mark.contract, pytest.mark.clients]

Run = Callable[[str], None]
RestoreOf = Callable[[Backup], Restored]
Check = Callable[[Backup, RestoreOf, Evidence], None]


@pytest.fixture
def backup(folder: Path, server: PrivatePostgres, dsn: Dsn) -> Iterator[Backup]:
    """The backups in the folder, restored into the server; nothing is left there."""
    yield Backup(
        name=folder.parent.name,
        database="shop",
        path=str(folder),
        rto_s=60,
        scratch_dsn=Dsn(server.dsn()),
    )
    assert _left(dsn) == []


@pytest.fixture
def restore_of(backup: Backup) -> Iterator[RestoreOf]:
    """As the suite has it, for one test."""
    with ExitStack() as stack:
        yield Restores(stack).dump


def _left(dsn: Dsn) -> list[str]:
    with connect(dsn, timeout_s=5) as connection:
        rows = fetch(
            connection,
            "select rolname::text from pg_roles where rolname = 'gone'"
            " union select datname::text from pg_database where datname ~ '^readiness_restore'",
        )
    return [str(name) for (name,) in rows]


@pytest.fixture
def dump(shop: Dsn, folder: Path) -> Path:
    return write_backup(shop.reveal(), folder)


def _run(check: Check, backup: Backup, restore_of: RestoreOf) -> Outcome:
    evidence = Evidence()
    check(backup, restore_of, evidence)
    return evidence.conclude()


def _rewrite(dump: Path, **changes: object) -> None:
    path = manifest_path(dump)
    manifest = read_manifest(path).model_dump()
    path.write_text(Manifest.model_validate({**manifest, **changes}).model_dump_json())


@pytest.mark.fast
def test_a_good_backup_passes(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    assert _run(suite.test_restore_succeeds, backup, restore_of) is Outcome.PASS
    assert _run(suite.test_restore_row_parity, backup, restore_of) is Outcome.PASS
    restore = restore_of(backup)
    assert [moment.good for moment in restore.timeline] == [True, None, True]
    assert restore.restore_time().unit == "s"


def test_a_private_server_takes_the_restore_by_default(
    backup: Backup,
    dump: Path,
    restore_of: RestoreOf,
) -> None:
    private = backup.model_copy(update={"scratch_dsn": None})
    assert _run(suite.test_restore_row_parity, private, restore_of) is Outcome.PASS


def test_writers_during_the_backup_do_not_matter(
    backup: Backup,
    shop: Dsn,
    folder: Path,
    restore_of: RestoreOf,
) -> None:
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
    assert _run(suite.test_restore_row_parity, backup, restore_of) is Outcome.PASS


def test_a_truncated_dump(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
    with pytest.raises(CheckFailed, match="errors reading the dump"):
        _run(suite.test_restore_succeeds, backup, restore_of)
    with pytest.raises(CouldNotMeasure, match="the dump cannot be read"):
        _run(suite.test_restore_row_parity, backup, restore_of)


def test_an_empty_file_is_no_dump(backup: Backup, dump: Path, restore_of: RestoreOf) -> None:
    dump.write_bytes(b"")
    with pytest.raises(CheckFailed, match="errors reading the dump"):
        _run(suite.test_restore_succeeds, backup, restore_of)


def test_a_dump_that_lacks_rows(
    backup: Backup,
    dump: Path,
    shop: Dsn,
    run: Run,
    restore_of: RestoreOf,
) -> None:
    run("delete from shop.orders where id % 2 = 0")
    _replace(dump, shop)
    assert _run(suite.test_restore_succeeds, backup, restore_of) is Outcome.PASS
    with pytest.raises(CheckFailed, match=r"shop\.orders has 250 rows, expected 500"):
        _run(suite.test_restore_row_parity, backup, restore_of)


def test_a_dump_with_another_value(
    backup: Backup,
    dump: Path,
    shop: Dsn,
    run: Run,
    restore_of: RestoreOf,
) -> None:
    run("update shop.orders set note = 'other' where id = 7")
    _replace(dump, shop)
    with pytest.raises(CheckFailed, match=r"500 rows as expected, but other contents") as caught:
        _run(suite.test_restore_row_parity, backup, restore_of)
    assert "the file was altered" in str(caught.value)


def test_a_dump_without_a_table(
    backup: Backup,
    dump: Path,
    shop: Dsn,
    restore_of: RestoreOf,
) -> None:
    _replace(dump, shop, "--exclude-table=shop.orders")
    with pytest.raises(CheckFailed, match=r"shop\.orders is missing \(500 rows\)"):
        _run(suite.test_restore_row_parity, backup, restore_of)


def _replace(dump: Path, shop: Dsn, *options: str) -> None:
    """Another dump under the same name, as another job would write it."""
    arguments = ["--format=custom", f"--file={dump}", *options]
    assert run_program(find_binaries(), "pg_dump", arguments, timeout_s=60, dsn=shop).clean


def test_a_role_of_the_manifest_is_made_and_goes_again(
    backup: Backup,
    shop: Dsn,
    folder: Path,
    run: Run,
    restore_of: RestoreOf,
) -> None:
    _dump_with_a_role_that_goes(shop, folder, run)
    assert _run(suite.test_restore_succeeds, backup, restore_of) is Outcome.PASS


def test_a_role_that_nobody_recorded(
    backup: Backup,
    shop: Dsn,
    folder: Path,
    run: Run,
    restore_of: RestoreOf,
) -> None:
    dump = _dump_with_a_role_that_goes(shop, folder, run)
    _rewrite(dump, roles=["postgres"])
    with pytest.raises(CheckFailed, match='role "gone" does not exist'):
        _run(suite.test_restore_succeeds, backup, restore_of)
    assert _run(suite.test_restore_row_parity, backup, restore_of) is Outcome.PASS


def _dump_with_a_role_that_goes(shop: Dsn, folder: Path, run: Run) -> Path:
    run("create role gone; grant select on shop.orders to gone")
    try:
        return write_backup(shop.reveal(), folder)
    finally:
        run("drop owned by gone; drop role gone")


def test_a_restore_that_takes_too_long_fails(
    backup: Backup,
    dump: Path,
    restore_of: RestoreOf,
) -> None:
    longest = restore_of(backup).restore_time().value
    assert isinstance(longest, float)
    hurried = backup.model_copy(update={"rto_s": longest / 100, "name": "hurried"})
    with pytest.raises(CheckFailed, match=r"stopped, its time was over|longer than agreed"):
        _run(suite.test_restore_succeeds, hurried, restore_of)


def test_without_a_manifest_parity_cannot_be_told(
    backup: Backup,
    dump: Path,
    restore_of: RestoreOf,
) -> None:
    manifest_path(dump).unlink()
    with pytest.raises(CouldNotMeasure, match=r"has no manifest(.|\n)*backup\.manifest"):
        _run(suite.test_restore_row_parity, backup, restore_of)


def test_a_manifest_of_nothing_proves_nothing(
    backup: Backup,
    dump: Path,
    restore_of: RestoreOf,
) -> None:
    _rewrite(dump, tables={})
    with pytest.raises(NoData):
        _run(suite.test_restore_row_parity, backup, restore_of)


def test_no_backup_cannot_be_restored(backup: Backup, restore_of: RestoreOf) -> None:
    for check in (suite.test_restore_succeeds, suite.test_restore_row_parity):
        with pytest.raises(NoData, match="no backup"):
            _run(check, backup, restore_of)


def test_a_scratch_server_that_is_off(
    backup: Backup,
    dump: Path,
    restore_of: RestoreOf,
) -> None:
    off = backup.model_copy(update={"scratch_dsn": Dsn("postgresql://me@127.0.0.1:1/postgres")})
    with pytest.raises(Unreachable):
        _run(suite.test_restore_succeeds, off, restore_of)
