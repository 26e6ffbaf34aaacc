"""Dumps as people make them: in every format, of every kind of table, by every role."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from readiness import Evidence
from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import write_backup
from readiness.areas.backup.probes.restore import Restored, restored
from readiness.areas.backup.probes.stored import newest
from readiness.fixtures.backup import Restores
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn, Interpolated
from readiness.servers.binaries import find_binaries, run_program
from readiness.servers.postgres import PrivatePostgres
from suites.backup import test_restore as suite

pytestmark = [pytest.mark.contract, pytest.mark.clients]

Run = Callable[[str], None]

# The role is gone when the dump is restored, and so is the tablespace.
ODD = """
    create role "odd role";
    grant select on shop.orders to "odd role" with grant option;
    set allow_in_place_tablespaces = on;
    create tablespace fast location '';
    alter table shop.orders set tablespace fast;
    create index on shop.orders (note) tablespace fast;
    select lo_from_bytea(4711, 'receipt');
    grant select on large object 4711 to "odd role";"""
GONE = """
    alter table shop.orders set tablespace pg_default;
    drop index shop.orders_note_idx;
    drop tablespace fast;
    drop owned by "odd role";
    drop role "odd role";"""


def pg_dump(dsn: Dsn, path: Path, *options: str, program: str = "pg_dump") -> Path:
    words = [f"--file={path}", *options]
    assert run_program(find_binaries(), program, words, timeout_s=60, dsn=dsn).clean
    return path


def packed(path: Path, *argv: str) -> Path:
    """The file, replaced by what a program that packs it prints."""
    made = path.with_name(f"{path.name}.{argv[0]}")
    made.write_bytes(subprocess.run([*argv, path], capture_output=True, check=True).stdout)
    path.unlink()
    return made


def backup_in(folder: Path, **changes: object) -> Backup:
    found = {"name": folder.parent.name, "database": "shop", "path": str(folder), "pattern": "*"}
    return Backup.model_validate({**found, **changes})


@contextmanager
def restore_of(folder: Path, server: PrivatePostgres, database: str = "") -> Iterator[Restored]:
    """The restore of the newest dump in the folder, into the shared server."""
    file = newest(backup_in(folder))
    assert file
    with restored(
        file, Dsn(server.dsn()), find_binaries(), timeout_s=60, database=database
    ) as found:
        yield found


@pytest.fixture(scope="module")
def odd(server: PrivatePostgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of each format, of a database whose roles and disks are gone when it is restored."""
    made = tmp_path_factory.mktemp("odd")
    dsn = Dsn(server.dsn("odd_shop"))
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("create database odd_shop")
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        connection.execute(
            "create schema shop; create table shop.orders (id int primary key, note text);"
            r"insert into shop.orders select n, E'a \\connect b\nDROP DATABASE odd_shop' from"
            " generate_series(1, 500) n; alter database odd_shop set statement_timeout = '1h'"
        )
        for statement in filter(str.strip, ODD.split(";")):
            connection.execute(statement.encode())
        for name, *options in (
            ("custom", "-Fc"), ("folder", "-Fd"), ("tar", "-Ft"), ("sql",), ("clean", "-c"),
            ("create", "-C", "-c"), ("inserts", "--inserts", "--rows-per-insert=9"),
        ):  # fmt: skip
            pg_dump(dsn, made / name, *options)
        words = ["--exclude-database=test_*", "--no-role-passwords"]
        pg_dump(dsn, made / "cluster", *words, program="pg_dumpall")
        for statement in filter(str.strip, GONE.split(";")):
            connection.execute(statement.encode())
    return made


@pytest.mark.parametrize(
    ("name", "packs"),
    [
        ("custom", ()), ("custom", ("gzip", "-c")), ("folder", ()), ("tar", ()), ("sql", ()),
        ("sql", ("gzip", "-c")), ("sql", ("zstd", "-qc", "--long=31")), ("sql", ("bzip2", "-c")),
        ("create", ()), ("clean", ()), ("inserts", ("xz", "-c")), ("cluster", ("gzip", "-c")),
    ],
)  # fmt: skip
def test_every_format_is_restored(
    odd: Path, folder: Path, server: PrivatePostgres, name: str, packs: tuple[str, ...]
) -> None:
    """Also where the roles that it names, and the tablespaces, are not there."""
    if packs and not shutil.which(packs[0]):
        pytest.skip(f"{packs[0]} not found")
    dump = folder / name
    (shutil.copytree if (odd / name).is_dir() else shutil.copy)(odd / name, dump)
    if packs:
        packed(dump, *packs)
    with restore_of(folder, server, "odd_shop") as restore:
        assert restore.reading.clean, restore.reading
        assert restore.restoring
        assert restore.restoring.clean, restore.restoring
        with connect(restore.database(), timeout_s=5) as connection:
            found = fetch(connection, "select count(*)::int, min(note) from shop.orders")
            index = "select count(*)::int from pg_class where relname = 'orders_note_idx'"
            assert fetch_value(connection, index) == 1
    assert found == [(500, "a \\connect b\nDROP DATABASE odd_shop")]


@pytest.mark.parametrize(
    ("name", "packs"), [("custom", ("gzip", "-c")), ("folder", ()), ("sql", ("gzip", "-c"))]
)
def test_what_was_cut_off_is_not_restored(
    odd: Path, folder: Path, server: PrivatePostgres, name: str, packs: tuple[str, ...]
) -> None:
    dump = folder / name
    (shutil.copytree if (odd / name).is_dir() else shutil.copy)(odd / name, dump)
    lost = packed(dump, *packs) if packs else next(dump.glob("*.dat.gz"))
    if packs:
        lost.write_bytes(lost.read_bytes()[:-30])
    else:
        lost.unlink()
    with restore_of(folder, server) as restore:
        assert restore.reading_errors().value
        assert restore.restoring is None


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("tar", "-czf", "all.tar.gz", "folder"), "a packed archive of files"),
        (("python3", "-m", "zipfile", "-c", "all.zip", "sql"), "packed as zip"),
    ],
)
def test_what_is_not_restored_says_why(
    odd: Path, folder: Path, server: PrivatePostgres, argv: tuple[str, ...], says: str
) -> None:
    subprocess.run([*argv[:-2], str(folder / argv[-2]), argv[-1]], cwd=odd, check=True)
    with pytest.raises(CouldNotMeasure, match=says), restore_of(folder, server):
        pass


def test_a_dump_of_several_databases_without_the_wanted_one(
    odd: Path, folder: Path, server: PrivatePostgres
) -> None:
    text = (odd / "create").read_bytes()
    (folder / "all.sql").write_bytes(text + text.replace(b"odd_shop", b"other"))
    says = "of odd_shop, other, and not of shop"
    with pytest.raises(CouldNotMeasure, match=says), restore_of(folder, server, "shop"):
        pass


KINDS: dict[str, tuple[str, set[str]]] = {
    "tablespace": (
        """set allow_in_place_tablespaces = on;;
        create tablespace slow location '';;
        alter table shop.orders set tablespace slow;
        create index on shop.orders (amount) tablespace slow""",
        set(),
    ),
    "hash partitions by enum": (
        """create type shop.state as enum ('new', 'paid', 'sent', 'lost', 'back', 'void');
        create table shop.st (s shop.state not null, n int) partition by hash (s);
        create table shop.st0 partition of shop.st for values with (modulus 2, remainder 0);
        create table shop.st1 partition of shop.st for values with (modulus 2, remainder 1);
        insert into shop.st select unnest(enum_range(null::shop.state)), generate_series(1, 6)""",
        set(),
    ),
    "unlogged table, view without data": (
        """create materialized view shop.mv as select count(*) from shop.orders with no data;
        create unlogged table shop.cache (k int primary key); insert into shop.cache values (1)""",
        set(),
    ),
    "event trigger": (
        """create table public.log (t text);
        create function public.log_ddl() returns event_trigger language plpgsql
            as 'begin insert into public.log values (tg_tag); end';
        create event trigger log_ddl on ddl_command_end execute function public.log_ddl();
        create table shop.later (i int)""",
        set(),
    ),
    "view that needs a search_path": (
        """set search_path = shop;
        create table docs (t tsvector); insert into docs values ('a fox');
        create materialized view words as select word from ts_stat('select t from docs')""",
        {"restored"},
    ),
    "check that reads a table that is filled later": (
        """create function shop.has(i int) returns boolean language sql stable
            as 'select exists (select from shop.customers where id = i)';
        create table shop.a_cart (customer int check (shop.has(customer)));
        insert into shop.a_cart values (1)""",
        {"restored", "rows"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_tables(
    shop: Dsn, folder: Path, server: PrivatePostgres, run: Run, kind: str
) -> None:
    """With their manifest: what a dump keeps is equal, and what it breaks is found."""
    statements, expected = KINDS[kind]
    with psycopg.connect(shop.reveal(), autocommit=True) as connection:
        for some in statements.split(";;"):
            connection.execute(some.encode())
    try:
        write_backup(shop.reveal(), folder)
    finally:
        if kind == "tablespace":
            run("alter table shop.orders set tablespace pg_default")
            run("drop index shop.orders_amount_idx")
            run("drop tablespace slow")
    with ExitStack() as stack:
        evidence = Evidence()
        found = backup_in(folder, scratch_dsn=Interpolated(server.dsn()), restore_level=4)
        suite.test_restores(found, Restores(stack).of, evidence)
    assert ({m.key for m in evidence.measurements if m.is_missed}, evidence.lost) == (expected, [])
