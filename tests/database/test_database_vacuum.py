"""The checks of vacuum and of what is stored, against a real server that is damaged on purpose."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from readiness.areas.database.probes import vacuum
from readiness.model.errors import NoData, NotPermitted
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import database, execute, failures, judged, name_of, warnings
from tests.support.servers import Run
from tests.support.waiting import eventually

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


def test_a_young_server_is_far_from_wraparound(role: Dsn) -> None:
    assert warnings("vacuum.wraparound", database(role)) == ""


@pytest.mark.parametrize(("counter", "column"), [("transactions", "datfrozenxid")])
def test_a_database_that_takes_no_connections_ages_as_well(
    quiet: PrivatePostgres, counter: str, column: str
) -> None:
    execute(quiet.dsn(), "create database old", "alter database old allow_connections false")
    execute(quiet.dsn(), _OLD.format(column=column, age=1_600_000_000, name="old"))
    try:
        found = failures("vacuum.wraparound", database(Dsn(quiet.dsn())))
    finally:
        execute(quiet.dsn(), "drop database old")
    assert f"{counter} since the oldest unfrozen one 16000000" in found
    assert "in the database old" in found


def test_what_autovacuum_should_have_frozen_is_a_warning(role: Dsn) -> None:
    ages = [
        vacuum.Age("old", "transactions", 250_000_000, 200_000_000),
        vacuum.Age("new", "transactions", 10, 200_000_000),
        vacuum.Age("new", "multixacts", 10, 400_000_000),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vacuum, "ages", lambda _: ages)
        found = warnings("vacuum.wraparound", database(role))
    assert "in the database old; autovacuum should have frozen them at 200000000" in found


def test_multixacts_run_out_on_their_own(quiet: PrivatePostgres) -> None:
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
        found = failures("vacuum.wraparound", subject)
    execute(quiet.dsn(), "drop table shared")
    assert "multixacts since the oldest unfrozen one" in found
    assert "transactions since" not in found


def _without_transactions(age: vacuum.Age) -> vacuum.Age:
    return replace(age, age=0) if age.counter == "transactions" else age


def test_a_prepared_transaction_is_seen_though_nobody_is_connected(
    quiet: PrivatePostgres,
) -> None:
    subject = database(Dsn(quiet.dsn()), limits={"prepared_max_s": 0.0001})
    assert failures("vacuum.xmin-horizon", subject) == ""
    with psycopg.connect(quiet.dsn(), autocommit=True) as connection:
        connection.execute("begin; select txid_current()")
        connection.execute("prepare transaction 'lost'")
    try:
        assert "'lost' of postgres in postgres" in failures("vacuum.xmin-horizon", subject)
        assert any("'lost'" in who for who, _ in vacuum.horizon(subject).holders)
    finally:
        execute(quiet.dsn(), "rollback prepared 'lost'")


def test_a_snapshot_that_is_held_holds_vacuum_back(quiet: PrivatePostgres) -> None:
    limits = {"horizon_warn_xids": 5, "horizon_max_xids": 10}
    with psycopg.connect(quiet.dsn(), application_name="nightly") as holder:
        holder.execute("begin isolation level repeatable read; select 1")
        execute(quiet.dsn(), *["select txid_current()"] * 12)
        found = failures("vacuum.xmin-horizon", database(Dsn(quiet.dsn()), limits=limits))
    assert "nightly (postgres, idle in transaction): 12" in found


def test_dead_rows_that_wait_too_long_are_named(quiet: PrivatePostgres) -> None:
    execute(
        quiet.dsn(),
        "create table dead as select generate_series(1, 500) n",
        "vacuum dead",
        "update dead set n = n + 1",
    )
    subject = database(Dsn(quiet.dsn()), limits={"vacuum_overdue_h": 0.000001})
    assert eventually(lambda: any(t.dead == 500 for t in vacuum.dead_rows(subject)))
    assert "public.dead (500 dead rows of 150" in failures("vacuum.autovacuum-keeps-up", subject)
    assert failures("vacuum.autovacuum-keeps-up", database(Dsn(quiet.dsn()))) == ""
    execute(quiet.dsn(), "alter table dead set (autovacuum_vacuum_threshold = 1000)")
    assert failures("vacuum.autovacuum-keeps-up", subject) == ""
    execute(quiet.dsn(), "drop table dead")


def test_a_table_that_autovacuum_may_not_touch_is_named(reader: Dsn, run: Run) -> None:
    run("create table imported (n integer) with (autovacuum_enabled = off)")
    assert "public.imported" in failures("vacuum.autovacuum-keeps-up", database(reader))


def test_a_database_without_tables_has_none_that_is_overdue(reader: Dsn) -> None:
    for check in ("vacuum.autovacuum-keeps-up", "vacuum.planner-statistics"):
        assert warnings(check, database(reader)) == ""
    assert warnings("integrity.sequence-exhaustion", database(reader)) == ""


def test_a_table_that_was_never_analyzed_is_named_until_it_is(reader: Dsn, run: Run) -> None:
    run("create table restored as select generate_series(1, 3000) n")
    run("vacuum restored")
    subject = database(reader)
    assert "public.restored (3000 rows" in failures("vacuum.planner-statistics", subject)
    run("analyze restored")
    assert failures("vacuum.planner-statistics", subject) == ""


def test_a_small_table_needs_no_statistics(reader: Dsn, run: Run) -> None:
    run("create table small as select generate_series(1, 900) n")
    run("vacuum small")
    assert failures("vacuum.planner-statistics", database(reader)) == ""


def test_statistics_that_cannot_be_seen_are_an_error(role: Dsn, run: Run) -> None:
    run("create table secret as select generate_series(1, 3000) n")
    run("vacuum secret")
    with pytest.raises(NotPermitted, match=r"public\.secret") as problem:
        judged("vacuum.planner-statistics", database(role))
    assert "grant select" in problem.value.remedy


def test_row_security_hides_statistics_though_select_is_granted(reader: Dsn, run: Run) -> None:
    run("create table secret as select generate_series(1, 3000) n")
    run("vacuum secret")
    run("alter table secret enable row level security")
    with pytest.raises(NotPermitted, match=r"public\.secret"):
        judged("vacuum.planner-statistics", database(reader))


def test_an_analyze_that_was_seen_is_enough_where_the_rest_is_hidden(role: Dsn, run: Run) -> None:
    run("create table secret as select generate_series(1, 3000) n")
    run("analyze secret")
    subject = database(role)
    assert eventually(lambda: bool(vacuum.statistics(subject)))
    assert failures("vacuum.planner-statistics", subject) == ""


def test_old_statistics_are_a_warning(quiet: PrivatePostgres) -> None:
    execute(quiet.dsn(), "create table stale as select generate_series(1, 2000) n", "analyze stale")
    execute(quiet.dsn(), "update stale set n = n + 1")
    subject = database(Dsn(quiet.dsn()), limits={"vacuum_overdue_h": 0.000001})
    assert eventually(lambda: vacuum.statistics(subject)[0].modified >= 2000)
    assert "public.stale" in warnings("vacuum.planner-statistics", subject)
    execute(quiet.dsn(), "drop table stale")


def test_the_column_is_full_before_its_sequence_is(reader: Dsn, run: Run) -> None:
    run("create sequence numbers; create table t (id integer default nextval('numbers'))")
    run("alter sequence numbers owned by t.id; select setval('numbers', 2147483600)")
    found = failures("integrity.sequence-exhaustion", database(reader))
    assert "public.numbers at 2147483600 (100.0% of what t.id integer takes)" in found


def test_sequences_that_go_down_or_around_or_were_never_used(reader: Dsn, run: Run) -> None:
    run("create sequence down as smallint increment -1; select setval('down', -32000)")
    run("create sequence around as smallint maxvalue 100 cycle; select setval('around', 100)")
    run("create sequence unused as smallint")
    found = failures("integrity.sequence-exhaustion", database(reader))
    assert "public.down at -32000" in found
    assert "public.around" not in found
    assert "public.unused at unused (0.0%" in found


def test_a_sequence_that_is_not_readable_is_an_error(role: Dsn, run: Run) -> None:
    run("create sequence hidden")
    with pytest.raises(NotPermitted, match=r"1 of 1 sequences cannot be read: public\.hidden"):
        judged("integrity.sequence-exhaustion", database(role))


def test_a_collation_that_changed_under_an_index_is_named(reader: Dsn, run: Run, dsn: Dsn) -> None:
    with psycopg.connect(dsn.reveal()) as connection:
        row = connection.execute(
            "select oid::text, quote_ident(collname) from pg_collation"
            " where collversion is not null and collencoding in (-1, 6) limit 1"
        ).fetchone()
    if row is None:
        pytest.skip("this PostgreSQL records no version of a collation")
    run(_VERSION.format("'0.0'", row[0]))
    assert failures("integrity.collation-version", database(reader)) == "", "nothing is stored so"
    run(f"create table names (name text collate {row[1]} primary key)")
    assert "0.0 then" in failures("integrity.collation-version", database(reader))
    run(_VERSION.format("null", row[0]))
    assert "nobody can tell" in warnings("integrity.collation-version", database(reader))


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


def test_an_index_in_a_wrong_order_is_found_and_a_sound_one_is_not(checked: Dsn, run: Run) -> None:
    run("create table sound as select generate_series(1, 500) n; create index on sound (n)")
    assert failures("integrity.corruption-sample", database(checked)) == ""
    run(_OPCLASS)
    found = failures("integrity.corruption-sample", database(checked))
    assert "public.parts_by_number" in found
    assert "sound_n_idx" not in found


def test_a_row_that_cannot_be_in_its_table_is_found(
    checked: Dsn, run: Run, server: PrivatePostgres
) -> None:
    with psycopg.connect(server.dsn()) as connection:
        if connection.info.server_version < 140000:
            pytest.skip("before PostgreSQL 14 amcheck reads no tables")
    run(
        "grant execute on function"
        f" verify_heapam(regclass, boolean, boolean, text, bigint, bigint) to {name_of(checked)}"
    )
    run("create table kept as select generate_series(1, 500) n")
    run("vacuum (freeze) kept")
    assert failures("integrity.corruption-sample", database(checked)) == ""
    # Its rows are said to be newer than the oldest that the table may hold.
    run(
        "set allow_system_table_mods = on; update pg_class set relfrozenxid = (txid_current()"
        " + 1000)::text::xid where relname = 'kept'; insert into kept values (1)"
    )
    assert "public.kept" in failures("integrity.corruption-sample", database(checked))


def test_a_database_without_tables_has_nothing_that_could_be_sound(checked: Dsn) -> None:
    with pytest.raises(NoData, match="the database has no table"):
        judged("integrity.corruption-sample", database(checked))


def test_a_sample_in_which_nothing_fits_is_an_error(checked: Dsn, run: Run) -> None:
    run("create table large as select generate_series(1, 500) n; create index on large (n)")
    subject = database(checked, limits={"corruption_sample_bytes": 100})
    with pytest.raises(NoData, match="could be read within 100 bytes"):
        judged("integrity.corruption-sample", subject)


def test_without_amcheck_or_the_right_to_run_it_nothing_is_told(role: Dsn, run: Run) -> None:
    with pytest.raises(NoData, match="not installed") as absent:
        judged("integrity.corruption-sample", database(role))
    assert "create extension amcheck" in absent.value.remedy
    run("create extension amcheck")
    with pytest.raises(NotPermitted, match="may not run amcheck"):
        judged("integrity.corruption-sample", database(role))
