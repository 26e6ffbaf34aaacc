"""Checks beside an application, where all tables together need more locks than the server has.

750 tables with 18 locks for each transaction: about as many in proportion as 3,000 tables have
with the default of 64, which benchmarks/bench_harm.py measures.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql

from readiness.areas.backup.manifest import read_manifest, write_backup
from readiness.areas.schema import manifest as schema_manifest
from readiness.areas.schema.probes.integrity import Orphans, foreign_keys, orphans, sequences
from readiness.config.loading import load
from readiness.lib.files import manifest_path as path_of
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect
from readiness.lib.postgres.batches import Room, batches, locks_of_tables, need_room, room
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn
from readiness.run.progress import Silent
from readiness.run.supervisor import Options, run
from readiness.servers.binaries import find_binaries
from readiness.servers.postgres import PrivatePostgres, settings_like
from tests.support.crowded_database import (
    CONFIG,
    MONITOR,
    PASSWORD,
    Beside,
    application,
    evictions,
    fill,
    settings,
)

pytestmark = pytest.mark.contract

TABLES: Final = 750
MAX_LOCKS: Final = 18
WORKERS: Final = 2
ROOM: Final = Room(MAX_LOCKS, sessions=100, taken=0)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    folder = tmp_path_factory.mktemp("crowded")
    with (
        Guardian() as guardian,
        PrivatePostgres.start(folder, settings=settings(MAX_LOCKS), guardian=guardian) as running,
    ):
        fill(running, TABLES)
        yield running


def _watcher(server: PrivatePostgres) -> Dsn:
    return Dsn(server.dsn(user=MONITOR, password=PASSWORD))


def test_the_application_sees_no_error_while_all_checks_run(
    crowded: PrivatePostgres, tmp_path: Path
) -> None:
    manifest, config = tmp_path / "schema.json", tmp_path / "readiness.toml"
    config.write_text(CONFIG.format(manifest=manifest))
    environ = {"DSN": _watcher(crowded).reveal()}
    with application(crowded.dsn(), TABLES) as beside:
        schema_manifest.save(_watcher(crowded), manifest, timeout_s=60)
        loaded = load(config, os.environ | environ)
        record = run(
            Options(
                loaded,
                tmp_path,
                suites=("database", "schema"),
                workers=str(WORKERS),
                environ=environ,
            ),
            Silent(),
        ).record
    assert record
    found = {check.name: check.outcome for check in record.checks}
    _unharmed(beside, ROOM)
    assert evictions(crowded) == 0
    assert found["schema.integrity[crowded]"] == "pass"
    assert found["schema.fingerprint[crowded]"] == "pass"
    assert found["database.sequence-exhaustion[crowded]"] == "pass"


def test_a_backup_is_written_where_pg_dump_can_write_one(
    crowded: PrivatePostgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with application(crowded.dsn(), TABLES) as beside:
        dump = write_backup(crowded.dsn(), tmp_path)
    of_dump = beside.held.pop("pg_dump")
    assert of_dump > 2 * TABLES
    assert "few locks are left to the application" in capsys.readouterr().err
    _unharmed(beside, ROOM, of_dump)
    assert evictions(crowded) == 0
    manifest = read_manifest(path_of(dump))
    assert len(manifest.tables) == TABLES == len(manifest.sequences or {})
    assert {content.rows for content in manifest.tables.values()} == {1}
    assert settings_like(manifest.settings or {}, find_binaries()) == {
        "max_connections": "100",
        "max_locks_per_transaction": "256",
        "shared_preload_libraries": "pg_stat_statements",
    }


def test_a_backup_with_too_few_locks_is_refused_with_a_remedy_that_helps(
    crowded: PrivatePostgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = ROOM.all // 4
    with (
        _holding(crowded, held),
        application(crowded.dsn(), TABLES) as beside,
        pytest.raises(CouldNotMeasure, match="pg_dump, which locks all tables at once") as told,
    ):
        write_backup(crowded.dsn(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    _unharmed(beside, ROOM)
    assert "pg_dump" not in beside.held

    advice = re.match(r"alter system set max_locks_per_transaction = (\d+);", told.value.remedy)
    assert advice
    with psycopg.connect(crowded.dsn(), autocommit=True) as connection:
        connection.execute(advice[0].encode())
    try:
        crowded.restart()
        with _holding(crowded, held):
            write_backup(crowded.dsn(), tmp_path)
        assert capsys.readouterr().err == ""
    finally:
        with psycopg.connect(crowded.dsn(), autocommit=True) as connection:
            connection.execute(f"alter system set max_locks_per_transaction = {MAX_LOCKS}".encode())
        crowded.restart()


@contextmanager
def _holding(server: PrivatePostgres, locks: int) -> Iterator[None]:
    with psycopg.connect(server.dsn(), autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(n) from generate_series(1, %s) n", [locks])
        yield


def _unharmed(beside: Beside, of: Room, of_dump: int = 0) -> None:
    assert beside.errors == []
    assert beside.transactions
    assert beside.looks
    assert all(held <= of.alone for held in beside.held.values()), beside.held
    assert beside.together <= WORKERS * of.alone + of_dump


@pytest.mark.parametrize(
    "work",
    [
        lambda c: list(orphans(c, foreign_keys(c), most=10, within_s=60)),
        sequences,
    ],
    ids=["orphans", "sequences"],
)
def test_locks_held_by_others_are_an_error(
    crowded: PrivatePostgres, work: Callable[[object], object]
) -> None:
    with (
        _holding(crowded, ROOM.all - 50),
        connect(_watcher(crowded), timeout_s=60) as connection,
    ):
        with pytest.raises(
            CouldNotMeasure, match=r"are held, and readiness may take at most \d"
        ) as told:
            work(connection)
        assert "max_locks_per_transaction" in told.value.remedy


def test_statements_that_are_counted_one_by_one_are_an_error_with_a_remedy_that_helps(
    crowded: PrivatePostgres,
) -> None:
    def search() -> list[Orphans]:
        with connect(_watcher(crowded), timeout_s=60) as connection:
            return list(orphans(connection, foreign_keys(connection), most=10, within_s=60))

    with psycopg.connect(crowded.dsn(), autocommit=True) as connection:
        connection.execute(f"alter role {MONITOR} set pg_stat_statements.track = 'all'".encode())
        with pytest.raises(CouldNotMeasure, match="would fill pg_stat_statements") as told:
            search()
        connection.execute(told.value.remedy.partition("; or")[0].encode())
        assert search()
        connection.execute(f"alter role {MONITOR} reset pg_stat_statements.track".encode())
    assert evictions(crowded) == 0


_SHAPES: Final = """
    create table plain (id int primary key, a int, b int);
    create index on plain (a); create index on plain (b);
    create table wide (id int primary key, a text);
    create table parts (id int, a int, primary key (id)) partition by range (id);
    create index on parts (a);
    create table part_1 partition of parts for values from (0) to (10);
    create table part_2 partition of parts for values from (10) to (20) partition by range (id);
    create table part_21 partition of part_2 for values from (10) to (15);
    create table family (id int primary key); create table child () inherits (family);
    create index on child (id);"""


@pytest.mark.parametrize(
    ("table", "expected", "spare"),
    # TOAST and its index are locked once a long value is read; the indexes of a partitioned table,
    # which hold nothing, by some releases only.
    [("plain", 3 + 1, 0), ("wide", 2 + 2, 2), ("parts", 4 * 3, 2 * 2), ("family", 2 + 2, 0)],
)
def test_the_locks_of_a_table_are_those_that_the_server_takes(
    dsn: Dsn, run: Callable[[str], None], table: str, expected: int, spare: int
) -> None:
    run(_SHAPES)
    with psycopg.connect(dsn.reveal()) as connection:
        connection.execute(sql.SQL("select * from {}").format(sql.Identifier(table)))
        taken = connection.execute(
            "select count(distinct relation) from pg_locks where pid = pg_backend_pid()"
            " and relation >= 16384"
        ).fetchone()
    with connect(dsn, timeout_s=10) as connection:
        locks = locks_of_tables(connection)
        oid = connection.execute("select %s::regclass::oid::bigint", [table]).fetchone()
    assert oid
    assert taken
    assert locks[oid[0]] == expected
    assert expected - spare <= taken[0] <= expected


def test_one_table_that_needs_too_many_locks_is_an_error(
    dsn: Dsn, run: Callable[[str], None]
) -> None:
    run(
        "create table many (id int) partition by list (id);"
        "do $$ begin for n in 1..700 loop"
        " execute format('create table many_%s partition of many for values in (%s)', n, n);"
        " end loop; end $$"
    )
    with connect(dsn, timeout_s=10) as connection:
        need_room(connection, ['"public"."many_1"', '"public"."not_there"'])
        with pytest.raises(CouldNotMeasure, match="takes 701 locks in one transaction"):
            need_room(connection, ['"public"."many"'])


def test_work_is_split_by_locks_and_keeps_its_order(dsn: Dsn) -> None:
    with connect(dsn, timeout_s=10) as connection:
        of = room(connection)
        assert of.all == 64 * 100
        assert of.batch == 160
        work = [100, 60, 1, *[2] * 90, 161, 3]
        parts = list(batches(connection, work, lambda piece: piece))
        short = list(batches(connection, [1] * 7, lambda piece: piece, longest=3))
    assert [piece for part in parts for piece in part] == work
    assert [sum(part) for part in parts] == [160, 159, 22, 161, 3]
    assert [len(part) for part in short] == [3, 3, 1]
