"""The checks of bloat against a real server, as the roles that people really give them."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from readiness.areas.database.config import Database
from readiness.areas.database.history.snapshot import BloatSnapshot
from readiness.areas.database.statements import bloat
from readiness.lib import postgres
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

Run = Callable[[str], None]
LIMITS = {"min_bytes": 1_000_000}


def judged(name: str, dsn: Dsn, **limits: object) -> Evidence:
    evidence = Evidence()
    there = Database.model_validate({"name": "d", "dsn": dsn, "bloat": {**LIMITS, **limits}})
    getattr(suite("database.test_bloat"), f"test_{name}")(there, evidence)
    return evidence


@pytest.fixture
def measured(dsn: Dsn, run: Run) -> Dsn:
    """A database with pgstattuple and two tables of 2 MB, one of which lost most of its rows."""
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        found = "select 1 from pg_available_extensions where name = 'pgstattuple'"
        if not connection.execute(found.encode()).fetchone():
            pytest.skip("this PostgreSQL comes without pgstattuple")
    run("create extension pgstattuple")
    for table in ("dense", "sparse"):
        run(
            f"create table {table} as select n, repeat('x', 100) t from generate_series(1, 20000) n"  # noqa: S608 - our own names
        )
        run(f"create index {table}_n on {table} (n)")
    run("delete from sparse where n % 5 <> 0 and n < 20000")
    run("vacuum analyze")
    return dsn


def as_monitor(dsn: Dsn, role: Dsn) -> Dsn:
    name = role.reveal().partition("://")[2].partition(":")[0]
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        connection.execute(sql.SQL("grant pg_monitor to {}").format(sql.Identifier(name)))
    return role


def test_a_monitoring_role_measures_though_it_sees_no_statistics(measured: Dsn, role: Dsn) -> None:
    watcher = as_monitor(measured, role)
    with postgres.connect(watcher, timeout_s=10) as connection:
        assert postgres.fetch_value(connection, "select count(*) from pg_stats") is not None

    found = misses(judged("table_bloat", watcher))
    assert "critical: public.sparse, 7" in found
    assert "dense" not in found


def test_levels_below_the_last_are_warnings(measured: Dsn) -> None:
    evidence = judged("table_bloat", measured, critical_share=0.95)

    assert evidence.failures == []
    assert "warning: public.sparse" in evidence.warnings[0]


def test_an_index_that_lost_its_rows_is_found(measured: Dsn, role: Dsn, run: Run) -> None:
    run("create table q as select n::bigint from generate_series(1, 100000) n")
    run("create index q_n on q (n)")
    run("delete from q where n % 10 <> 0")
    run("vacuum q")

    assert "critical: public.q_n, 8" in misses(judged("index_bloat", as_monitor(measured, role)))
    run("reindex index q_n")
    run("insert into q select n from generate_series(100001, 190000) n")
    assert misses(judged("index_bloat", as_monitor(measured, role))) == ""


def test_what_is_too_large_to_be_read_is_an_error_and_no_pass(measured: Dsn, role: Dsn) -> None:
    watcher = as_monitor(measured, role)
    with psycopg.connect(measured.reveal(), autocommit=True) as connection:
        connection.execute("update dense set n = n")  # no page is all-visible any more
        connection.execute("update sparse set n = n")

    with pytest.raises(NoData, match="could not be read within the bounds") as problem:
        judged("table_bloat", watcher, read_max_bytes=1)
    assert "grant pg_read_all_data" in problem.value.remedy


def test_statistics_excuse_what_is_dense_and_accuse_nothing(measured: Dsn) -> None:
    """As a role that sees them: the dense one passes unread, the other is not told."""
    with psycopg.connect(measured.reveal(), autocommit=True) as connection:
        connection.execute("update pg_class set relallvisible = 0 where relname in"
                           " ('dense', 'sparse')")  # fmt: skip
    with pytest.raises(NoData, match=r"1 large tables could not be read.*: public\.sparse"):
        judged("table_bloat", measured, read_max_bytes=1)


def test_a_table_that_somebody_locks_is_not_waited_for(measured: Dsn) -> None:
    with psycopg.connect(measured.reveal()) as migration:
        migration.execute("lock table sparse in access exclusive mode")
        with pytest.raises(TookTooLong, match="waited too long for a lock"):
            judged("table_bloat", measured)


def test_toast_is_a_table_of_its_own(measured: Dsn, run: Run) -> None:
    run("create table docs (n int, body text)")
    run("alter table docs alter body set storage external")
    run("insert into docs select n, repeat('x', 8000) from generate_series(1, 400) n")
    run("delete from docs where n < 400")
    run("vacuum docs")

    assert "critical: public.docs (TOAST)" in misses(judged("table_bloat", measured))


@pytest.mark.parametrize("name", ["table_bloat", "index_bloat"])
def test_without_pgstattuple_large_ones_cannot_be_told(dsn: Dsn, run: Run, name: str) -> None:
    run("create table t as select n, repeat('x', 100) from generate_series(1, 60000) n")
    run("create index on t (n)")
    with pytest.raises(NoData, match="pgstattuple is not in this database") as problem:
        judged(name, dsn)
    assert "create extension pgstattuple" in problem.value.remedy


def test_without_the_right_it_says_which(measured: Dsn, role: Dsn) -> None:
    with pytest.raises(NotPermitted, match="may not use pgstattuple") as problem:
        judged("table_bloat", role)
    assert "grant pg_stat_scan_tables" in problem.value.remedy


@pytest.mark.parametrize("name", ["table_bloat", "index_bloat"])
def test_small_ones_are_counted_and_pass(dsn: Dsn, run: Run, name: str) -> None:
    run("create table t (a int primary key)")
    evidence = judged(name, dsn)

    assert misses(evidence) == ""
    assert "0 large ones among 1" in evidence.measurements[0].source


@pytest.mark.parametrize("name", ["table_bloat", "index_bloat"])
def test_an_empty_database_is_an_error(dsn: Dsn, name: str) -> None:
    with pytest.raises(CouldNotMeasure, match="outside of the system's schemas"):
        judged(name, dsn)


def test_a_snapshot_holds_both_kinds(measured: Dsn) -> None:
    limits = Database.model_validate({"dsn": measured, "bloat": {"min_bytes": 300_000}}).bloat
    with postgres.connect(measured, timeout_s=10) as connection:
        found = bloat.take(connection, limits)

    assert {one.kind for one in found.objects} == {"table", "index"}
    assert BloatSnapshot.unpacked(found.packed()) == found
