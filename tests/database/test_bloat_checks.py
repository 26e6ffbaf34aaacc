"""The checks of bloat against a real server, as the roles that people really give them."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from readiness.areas.database.config import Database
from readiness.areas.database.history.snapshot import BloatSnapshot
from readiness.areas.database.probes import bloat
from readiness.lib import postgres
from readiness.model.secrets import Dsn
from tests.support.database_health import database, errors, failures, judged, warnings

pytestmark = pytest.mark.contract

Run = Callable[[str], None]
LIMITS = {"min_bytes": 1_000_000}


def subject(dsn: Dsn, **limits: object) -> Database:
    return database(dsn, bloat={**LIMITS, **limits})


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

    found = failures("bloat.tables", subject(watcher))
    assert "critical_share`, default): critical: public.sparse, 7" in found
    assert "dense" not in found


def test_levels_below_the_last_are_warnings(measured: Dsn) -> None:
    found = warnings("bloat.tables", subject(measured, critical_share=0.95))
    assert "warning: public.sparse" in found


def test_an_index_that_lost_its_rows_is_found(measured: Dsn, role: Dsn, run: Run) -> None:
    run("create table q as select n::bigint from generate_series(1, 100000) n")
    run("create index q_n on q (n)")
    run("delete from q where n % 10 <> 0")
    run("vacuum q")

    there = subject(as_monitor(measured, role))
    assert "critical: public.q_n, 8" in warnings("bloat.indexes", there)
    run("reindex index q_n")
    run("insert into q select n from generate_series(100001, 190000) n")
    assert warnings("bloat.indexes", there) == ""


def test_what_is_too_large_to_be_read_is_an_error_and_no_pass(measured: Dsn, role: Dsn) -> None:
    watcher = as_monitor(measured, role)
    with psycopg.connect(measured.reveal(), autocommit=True) as connection:
        connection.execute("update dense set n = n")  # no page is all-visible any more
        connection.execute("update sparse set n = n")

    found = errors("bloat", subject(watcher, read_max_bytes=1))
    assert "large tables could not be read within the limits" in found
    assert "grant pg_read_all_data" in found


def test_statistics_excuse_what_is_dense_and_accuse_nothing(measured: Dsn) -> None:
    """As a role that sees them: the dense one passes unread, the other is not told."""
    with psycopg.connect(measured.reveal(), autocommit=True) as connection:
        connection.execute("update pg_class set relallvisible = 0 where relname in"
                           " ('dense', 'sparse')")  # fmt: skip
    found = errors("bloat", subject(measured, read_max_bytes=1))
    assert "1 large tables could not be read" in found
    assert "public.sparse" in found
    assert "public.dense" not in found


def test_a_table_that_somebody_locks_is_not_waited_for(measured: Dsn) -> None:
    with psycopg.connect(measured.reveal()) as migration:
        migration.execute("lock table sparse in access exclusive mode")
        found = errors("bloat", subject(measured))
    assert "TookTooLong" in found
    assert "waited too long for a lock" in found


def test_toast_is_a_table_of_its_own(measured: Dsn, run: Run) -> None:
    run("create table docs (n int, body text)")
    run("alter table docs alter body set storage external")
    run("insert into docs select n, repeat('x', 8000) from generate_series(1, 400) n")
    run("delete from docs where n < 400")
    run("vacuum docs")

    assert "critical: public.docs (TOAST)" in failures("bloat.tables", subject(measured))


def test_without_pgstattuple_or_the_right_large_ones_cannot_be_judged(
    dsn: Dsn, role: Dsn, run: Run
) -> None:
    run("create table t as select n, repeat('x', 100) from generate_series(1, 60000) n")
    run("create index on t (n)")
    found = errors("bloat", subject(dsn))
    assert "NoData" in found
    assert "create extension pgstattuple" in found
    run("create extension if not exists pgstattuple")
    found = errors("bloat", subject(role))
    assert "NotPermitted" in found
    assert "grant pg_stat_scan_tables" in found


def test_small_ones_are_counted_and_pass(dsn: Dsn, run: Run) -> None:
    assert errors("bloat", subject(dsn)).count("outside of the system's schemas") == 2
    run("create table t (a int primary key)")
    assert warnings("bloat", subject(dsn)) == ""
    sources = {m.key: m.source for m in judged("bloat", subject(dsn)).measurements}
    assert "0 large ones among 1" in sources["tables"]
    assert "0 large ones among 1" in sources["indexes"]


def test_a_snapshot_holds_both_kinds(measured: Dsn) -> None:
    limits = Database.model_validate({"dsn": measured, "bloat": {"min_bytes": 300_000}}).bloat
    with postgres.connect(measured, timeout_s=10) as connection:
        found = bloat.take(connection, limits)

    assert {one.kind for one in found.objects} == {"table", "index"}
    assert BloatSnapshot.unpacked(found.packed()) == found
