"""The checks of vacuum and of integrity, against a real server that is damaged on purpose."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from readiness.areas.database.probes import vacuum
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import database, errors, execute, failures, name_of, warnings
from tests.support.processes import eventually
from tests.support.servers import Run

pytestmark = pytest.mark.contract

_OLD = """
set allow_system_table_mods = on;
update pg_database set {column} = (((txid_current() - {age}) % 4294967296 + 4294967296)
  % 4294967296)::text::xid where datname = '{name}'"""
_VERSION = "update pg_collation set collversion = {} where oid = {}"
_OPCLASS = """
create function compare(integer, integer) returns integer immutable
  language sql as 'select case when $1 < $2 then -1 when $1 > $2 then 1 else 0 end';
create operator class numbers for type integer using btree as
  operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
  function 1 compare(integer, integer);
create table parts (number integer);
insert into parts select generate_series(1, 2000);
create index parts_by_number on parts (number numbers);
create or replace function compare(integer, integer) returns integer immutable
  language sql as 'select case when $1 < $2 then 1 when $1 > $2 then -1 else 0 end'"""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A server on which autovacuum mends nothing, and that can prepare transactions."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    settings = {"fsync": "off", "autovacuum": "off", "max_prepared_transactions": "2"}
    with PrivatePostgres.start(folder, settings=settings) as server:
        yield server


@pytest.fixture
def reader(role: Dsn, run: Run) -> Dsn:
    """A monitoring role that may read everything in the schema public, also what comes later."""
    run(f"grant pg_monitor to {name_of(role)}")
    run(f"alter default privileges grant select on tables to {name_of(role)}")
    run(f"alter default privileges grant select on sequences to {name_of(role)}")
    return role


def test_young_server_is_far_from_wraparound(role: Dsn) -> None:
    assert warnings("wraparound", database(role)) == ""


def test_wraparound_counts_databases_without_connections(quiet: PrivatePostgres) -> None:
    execute(quiet.dsn(), "create database old", "alter database old allow_connections false")
    execute(quiet.dsn(), _OLD.format(column="datfrozenxid", age=1_600_000_000, name="old"))
    try:
        found = failures("wraparound.transactions", database(Dsn(quiet.dsn())))
    finally:
        execute(quiet.dsn(), "drop database old")
    assert "Oldest unfrozen transaction ID, age: 1,600,000," in found
    assert "wraparound_max_age`, default): in the database old" in found


def test_overdue_freeze_is_a_warning(role: Dsn) -> None:
    ages = [
        vacuum.Age("old", "transactions", 250_000_000, 200_000_000),
        vacuum.Age("new", "transactions", 10, 200_000_000),
        vacuum.Age("new", "multixacts", 10, 400_000_000),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vacuum, "ages", lambda _: ages)
        found = warnings("wraparound", database(role))
    assert "in the database old, where autovacuum should have frozen it at 200,000,000" in found


def test_multixacts_are_judged_apart_from_transactions(quiet: PrivatePostgres) -> None:
    execute(quiet.dsn(), "create table shared as select 1 as n")
    with psycopg.connect(quiet.dsn()) as one, psycopg.connect(quiet.dsn()) as other:
        for _ in range(30):
            for sharer in (one, other):
                sharer.execute("select from shared for share")
            one.commit()
            other.commit()
    ages = {age.counter: age.age for age in vacuum.ages(database(Dsn(quiet.dsn())))}
    assert ages["multixacts"] >= 30
    # Of transactions far more were used; only those of the second counter may be too many here.
    with pytest.MonkeyPatch.context() as patch:
        real = vacuum.ages
        patch.setattr(vacuum, "ages", lambda d: [_without_transactions(age) for age in real(d)])
        subject = database(Dsn(quiet.dsn()), limits={"wraparound_max_age": 20})
        found = failures("wraparound", subject)
    execute(quiet.dsn(), "drop table shared")
    assert "unfrozen multixact ID" in found
    assert "unfrozen transaction ID" not in found


def _without_transactions(age: vacuum.Age) -> vacuum.Age:
    return replace(age, age=0) if age.counter == "transactions" else age


def test_prepared_transaction_is_found_without_a_session(
    quiet: PrivatePostgres,
) -> None:
    subject = database(Dsn(quiet.dsn()), limits={"prepared_max_s": 0.0001})
    assert failures("vacuum.prepared-transactions", subject) == ""
    with psycopg.connect(quiet.dsn(), autocommit=True) as connection:
        connection.execute("begin; select txid_current()")
        connection.execute("prepare transaction 'lost'")
    try:
        assert "'lost' of postgres in postgres" in failures("vacuum.prepared-transactions", subject)
        assert any("'lost'" in who for who, _ in vacuum.horizon(subject).holders)
    finally:
        execute(quiet.dsn(), "rollback prepared 'lost'")


def test_old_snapshot_holds_vacuum_back(quiet: PrivatePostgres) -> None:
    limits = {"horizon_warn_xids": 5, "horizon_max_xids": 10}
    with psycopg.connect(quiet.dsn(), application_name="nightly") as holder:
        holder.execute("begin isolation level repeatable read; select 1")
        execute(quiet.dsn(), *["select txid_current()"] * 12)
        found = failures("vacuum.held-back", database(Dsn(quiet.dsn()), limits=limits))
    assert "nightly (postgres, idle in transaction): 12" in found


def test_table_overdue_for_vacuum_is_named(quiet: PrivatePostgres) -> None:
    execute(
        quiet.dsn(),
        "create table dead as select generate_series(1, 500) n",
        "vacuum dead",
        "update dead set n = n + 1",
    )
    subject = database(Dsn(quiet.dsn()), limits={"vacuum_overdue_h": 0.000001})
    assert eventually(lambda: any(t.dead == 500 for t in vacuum.dead_rows(subject)))
    assert "public.dead (500 dead rows of 150" in failures("vacuum.vacuum-overdue", subject)
    assert failures("vacuum.vacuum-overdue", database(Dsn(quiet.dsn()))) == ""
    execute(quiet.dsn(), "alter table dead set (autovacuum_vacuum_threshold = 1000)")
    assert failures("vacuum.vacuum-overdue", subject) == ""
    execute(quiet.dsn(), "drop table dead")


def test_empty_database_passes(reader: Dsn) -> None:
    assert warnings("vacuum", database(reader)) == "", "there is no table yet"
    assert warnings("sequence-exhaustion", database(reader)) == ""


def test_table_without_statistics_is_named_until_it_is_analyzed(reader: Dsn, run: Run) -> None:
    run("create table restored as select generate_series(1, 3000) n")
    run("vacuum restored")
    run("create table small as select generate_series(1, 900) n")
    run("vacuum small")
    subject = database(reader)
    found = failures("vacuum.no-statistics", subject)
    assert "public.restored (3000 rows" in found
    assert "small" not in found
    run("analyze restored")
    assert failures("vacuum.no-statistics", subject) == ""


@pytest.mark.parametrize("hidden_by", ["no grant", "row security"])
def test_hidden_statistics_are_an_error(role: Dsn, run: Run, hidden_by: str) -> None:
    run(f"grant pg_monitor to {name_of(role)}")
    run("create table secret as select generate_series(1, 3000) n")
    run("vacuum secret")
    if hidden_by == "row security":
        run(f"grant select on secret to {name_of(role)}")
        run("alter table secret enable row level security")
    found = errors("vacuum", database(role))
    assert "NotPermitted: pg_stats: the statistics of public.secret cannot be seen" in found
    assert "grant select" in found


def test_hidden_statistics_pass_after_an_analyze(role: Dsn, run: Run) -> None:
    run("create table secret as select generate_series(1, 3000) n")
    run("analyze secret")
    subject = database(role)
    assert eventually(lambda: bool(vacuum.statistics(subject)))
    assert failures("vacuum.no-statistics", subject) == ""


def test_stale_statistics_are_a_warning(quiet: PrivatePostgres) -> None:
    execute(quiet.dsn(), "create table stale as select generate_series(1, 2000) n", "analyze stale")
    execute(quiet.dsn(), "update stale set n = n + 1")
    subject = database(Dsn(quiet.dsn()), limits={"vacuum_overdue_h": 0.000001})
    assert eventually(lambda: vacuum.statistics(subject)[0].modified >= 2000)
    assert "public.stale" in warnings("vacuum.stale-statistics", subject)
    execute(quiet.dsn(), "drop table stale")


def test_sequence_is_judged_by_the_type_of_its_column(reader: Dsn, run: Run) -> None:
    run("create sequence numbers; create table t (id integer default nextval('numbers'))")
    run("alter sequence numbers owned by t.id; select setval('numbers', 2147483600)")
    found = failures("sequence-exhaustion", database(reader))
    assert "public.numbers at 2147483600 (100.0% of what t.id integer takes)" in found


def test_descending_cycling_and_unused_sequences(reader: Dsn, run: Run) -> None:
    run("create sequence down as smallint increment -1; select setval('down', -32000)")
    run("create sequence around as smallint maxvalue 100 cycle; select setval('around', 100)")
    run("create sequence unused as smallint")
    run("create sequence late cycle; create table t (id int default nextval('late'))")
    run("select setval('late', 2147483000)")
    found = failures("sequence-exhaustion", database(reader))
    assert "public.down at -32000" in found
    assert "public.around" not in found
    assert "public.late at 2147483000 (100.0% of what t.id integer takes)" in found
    assert "public.unused at unused (0.0%" in found


def test_hidden_sequence_is_an_error(role: Dsn, run: Run) -> None:
    run("create sequence hidden")
    found = errors("sequence-exhaustion", database(role))
    assert "NotPermitted: pg_sequences: 1 of 1 sequences cannot be read: public.hidden" in found


def test_changed_collation_fails_where_an_index_uses_it(reader: Dsn, run: Run, dsn: Dsn) -> None:
    with psycopg.connect(dsn.reveal()) as connection:
        row = connection.execute(
            "select oid::text, quote_ident(collname) from pg_collation"
            " where collversion is not null and collencoding in (-1, 6) limit 1"
        ).fetchone()
    if row is None:
        pytest.skip("this PostgreSQL records no version of a collation")
    run(_VERSION.format("'0.0'", row[0]))
    assert failures("corruption.collations", database(reader)) == "", "nothing is stored so"
    run(f"create table names (name text collate {row[1]} primary key)")
    assert "recorded 0.0" in failures("corruption.collations", database(reader))
    run(_VERSION.format("null", row[0]))
    found = warnings("corruption.unknown-collations", database(reader))
    assert "without a recorded version" in found


@pytest.fixture
def checked(reader: Dsn, run: Run) -> Dsn:
    """A role that may run amcheck."""
    with psycopg.connect(reader.reveal()) as connection:
        available = "select 1 from pg_available_extensions where name = 'amcheck'"
        if not connection.execute(available).fetchone():
            pytest.skip("this PostgreSQL comes without amcheck")
    run("create extension amcheck")
    run(f"grant execute on function bt_index_check(regclass, boolean) to {name_of(reader)}")
    return reader


def test_damaged_index_is_found_and_a_sound_one_passes(checked: Dsn, run: Run) -> None:
    run("create table sound as select generate_series(1, 500) n; create index on sound (n)")
    assert failures("corruption.damage", database(checked)) == ""
    run(_OPCLASS)
    found = failures("corruption.damage", database(checked))
    assert "public.parts_by_number" in found
    assert "sound_n_idx" not in found


def test_damaged_table_is_found(checked: Dsn, run: Run, server: PrivatePostgres) -> None:
    with psycopg.connect(server.dsn()) as connection:
        if connection.info.server_version < 140000:
            pytest.skip("before PostgreSQL 14 amcheck reads no tables")
    run(
        "grant execute on function"
        f" verify_heapam(regclass, boolean, boolean, text, bigint, bigint) to {name_of(checked)}"
    )
    run("create table kept as select generate_series(1, 500) n")
    run("vacuum (freeze) kept")
    assert failures("corruption.damage", database(checked)) == ""
    # Its rows are said to be newer than the oldest that the table may hold.
    run(
        "set allow_system_table_mods = on; update pg_class set relfrozenxid = (txid_current()"
        " + 1000)::text::xid where relname = 'kept'; insert into kept values (1)"
    )
    assert "public.kept" in failures("corruption.damage", database(checked))


def test_empty_sample_is_an_error(checked: Dsn, run: Run) -> None:
    assert "NoData: pg_class: the database has no table" in errors("corruption", database(checked))
    run("create table large as select generate_series(1, 500) n; create index on large (n)")
    subject = database(checked, limits={"corruption_sample_bytes": 100})
    assert "could be read within 100 bytes" in errors("corruption", subject)


def test_missing_amcheck_is_an_error_and_the_rest_is_judged(reader: Dsn, run: Run) -> None:
    found = errors("corruption", database(reader))
    assert "NoData: pg_extension: the extension amcheck is not installed" in found
    assert "create extension amcheck" in found
    run("create extension amcheck")
    found = errors("corruption", database(reader))
    assert "NotPermitted: bt_index_check: the role may not run amcheck" in found
    for key in ("collations", "checksums"):
        assert failures(f"corruption.{key}", database(reader)) == ""
