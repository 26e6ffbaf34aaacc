"""The checks of bloat and indexes on a real server, as the roles that people really give them."""

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.database.probes import bloat
from readiness.areas.database.snapshots import BloatSnapshot
from readiness.lib import postgres
from readiness.model.secrets import Dsn
from tests.support.advice import advised
from tests.support.database_health import (
    database,
    errors,
    execute,
    failures,
    judged,
    name_of,
    warnings,
)
from tests.support.servers import Run

pytestmark = pytest.mark.contract

LIMITS = {"min_bytes": 1_000_000}


def bloated(dsn: Dsn, **limits: object) -> Database:
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
        rows = "select n, repeat('x', 100) t from generate_series(1, 20000) n"
        run(f"create table {table} as {rows}; create index {table}_n on {table} (n)")
    run("delete from sparse where n % 5 <> 0 and n < 20000")
    run("vacuum analyze")
    return dsn


@pytest.fixture
def watcher(measured: Dsn, role: Dsn) -> Dsn:
    """The same database, as a monitoring role."""
    execute(measured, f"grant pg_monitor to {name_of(role)}")
    return role


def test_monitoring_role_measures_bloat_without_planner_statistics(watcher: Dsn) -> None:
    with postgres.connect(watcher, timeout_s=10) as connection:
        known = "select count(*) from pg_stats where schemaname = 'public'"
        assert postgres.fetch_value(connection, known) == 0

    found = failures("bloat.tables", bloated(watcher))
    assert "critical_share`, default): critical: public.sparse, 7" in found
    assert "dense" not in found


def test_the_command_rewrites_the_table_as_a_plain_vacuum_gives_nothing_back(
    measured: Dsn, run: Run
) -> None:
    subject = bloated(measured)
    assert judged("bloat", subject).commands == [
        f"pg_repack --table public.sparse {subject.dsn.words['dbname']}"
    ]
    run("vacuum sparse")
    assert "public.sparse" in failures("bloat.tables", subject)
    run(advised("database.bloat", "vacuum (full", SCHEMA="public", TABLE="sparse"))
    assert judged("bloat", subject).commands == []


def test_table_below_the_critical_level_is_a_warning(measured: Dsn) -> None:
    found = warnings("bloat.tables", bloated(measured, critical_share=0.95))
    assert "warning: public.sparse" in found


def test_bloated_index_is_named_until_it_is_rebuilt(watcher: Dsn, run: Run) -> None:
    run("create table q as select n::bigint from generate_series(1, 100000) n")
    run("create index q_n on q (n)")
    run("delete from q where n % 10 <> 0")
    run("vacuum q")

    there = bloated(watcher)
    assert "critical: public.q_n, 8" in warnings("bloat.indexes", there)
    run("reindex index q_n")
    run("insert into q select n from generate_series(100001, 190000) n")
    assert warnings("bloat.indexes", there) == ""


def test_table_too_large_to_be_read_is_an_error(measured: Dsn, watcher: Dsn) -> None:
    # No page is all-visible any more.
    execute(measured, "update dense set n = n", "update sparse set n = n")

    found = errors("bloat", bloated(watcher, read_max_bytes=1))
    assert "large tables could not be read within the limits" in found
    assert "grant pg_read_all_data" in found


def test_table_dense_by_its_statistics_need_not_be_read(measured: Dsn) -> None:
    """As a role that sees them: the dense table passes unread, the other one is an error."""
    execute(measured, "update pg_class set relallvisible = 0 where relname in ('dense', 'sparse')")
    found = errors("bloat", bloated(measured, read_max_bytes=1))
    assert "1 large tables could not be read" in found
    assert "public.sparse" in found
    assert "public.dense" not in found


def test_locked_table_is_an_error_after_the_lock_timeout(measured: Dsn) -> None:
    with psycopg.connect(measured.reveal()) as migration:
        migration.execute("lock table sparse in access exclusive mode")
        found = errors("bloat", bloated(measured))
    assert "TookTooLong" in found
    assert "waited too long for a lock" in found


def test_toast_is_judged_as_a_table_of_its_own(measured: Dsn, run: Run) -> None:
    run("create table docs (n int, body text)")
    run("alter table docs alter body set storage external")
    run("insert into docs select n, repeat('x', 8000) from generate_series(1, 400) n")
    run("delete from docs where n < 400")
    run("vacuum docs")

    assert "critical: public.docs (TOAST)" in failures("bloat.tables", bloated(measured))


def test_without_pgstattuple_or_the_right_large_ones_cannot_be_judged(
    dsn: Dsn, role: Dsn, run: Run
) -> None:
    run("create table t as select n, repeat('x', 100) from generate_series(1, 60000) n")
    run("create index on t (n)")
    found = errors("bloat", bloated(dsn))
    assert "NoData" in found
    assert "create extension pgstattuple" in found
    run("create extension if not exists pgstattuple")
    found = errors("bloat", bloated(role))
    assert "NotPermitted" in found
    assert "grant pg_stat_scan_tables" in found


def test_small_tables_and_indexes_pass(dsn: Dsn, run: Run) -> None:
    assert errors("bloat", bloated(dsn)).count("outside of the system's schemas") == 2
    run("create table t (a int primary key)")
    assert warnings("bloat", bloated(dsn)) == ""
    sources = {m.key: m.source for m in judged("bloat", bloated(dsn)).measurements}
    assert "0 large ones among 1" in sources["tables"]
    assert "0 large ones among 1" in sources["indexes"]


def test_bloat_snapshot_holds_tables_and_indexes(measured: Dsn) -> None:
    limits = Database.model_validate({"dsn": measured, "bloat": {"min_bytes": 300_000}}).bloat
    with postgres.connect(measured, timeout_s=10) as connection:
        found = bloat.take(connection, limits)

    assert {one.kind for one in found.objects} == {"table", "index"}
    assert BloatSnapshot.unpacked(found.packed()) == found


def subject(dsn: Dsn, **limits: object) -> Database:
    return database(dsn, indexes=limits)


@pytest.fixture
def plain(dsn: Dsn, run: Run) -> Dsn:
    run("""
        create table public.t (a int primary key, b text, c int, d int);
        create index t_b on t (b);
        """)
    return dsn


def test_different_indexes_are_not_duplicates(plain: Dsn, run: Run) -> None:
    run("""
        create index t_b_desc on t (b desc);
        create index t_b_pattern on t (b text_pattern_ops);
        create index t_b_c on t (b) include (c);
        create index t_b_some on t (b) where c > 0;
        create index t_b_lower on t (lower(b));
        create index t_b_hash on t using hash (b);
        """)

    assert warnings("indexes.duplicates", subject(plain)) == ""


@pytest.mark.parametrize(
    ("made", "dropped"),
    [
        ("create index twice on t (b)", "drop index concurrently public.twice;"),
        ("create index twice on t (a)", "drop index concurrently public.twice;"),
        ("create unique index twice on t (b)", "drop index concurrently public.t_b;"),
        ("alter table t add constraint twice unique (a)", "drop constraint twice;"),
        (
            """create index e1 on t (lower(b)) where c > 0;
            create index e2 on t  ( lower( b ) )  where (c > 0)""",
            "drop index concurrently public.e2;",
        ),
        (
            """create table p (x int) partition by range (x);
            create table p1 partition of p for values from (0) to (9);
            create index p_x on p (x); create index p_x2 on p (x)""",
            "drop index public.p_x2;",
        ),
    ],
)
def test_duplicate_index_is_named_with_the_one_to_drop(
    plain: Dsn, run: Run, made: str, dropped: str
) -> None:
    run(made)
    found = warnings("indexes.duplicates", subject(plain))

    assert dropped in found
    assert found.startswith("1 of ")


def test_unique_index_that_foreign_keys_need_is_kept(plain: Dsn, run: Run) -> None:
    run("create table child (a int references t); create unique index other on t (a)")

    found = warnings("indexes.duplicates", subject(plain))
    assert "drop index concurrently public.other;" in found


def test_large_duplicates_fail(plain: Dsn, run: Run) -> None:
    run("create index twice on t (b)")

    found = failures("indexes.duplicates", subject(plain, duplicate_max_bytes=1))
    assert "Size of duplicate indexes" in found
    assert "drop index concurrently public.twice;" in found


def test_own_schemas_are_ignored_and_names_with_capitals_quoted(plain: Dsn, run: Run) -> None:
    run("""
        create schema readiness_probe;
        create table readiness_probe.t (a int);
        create index on readiness_probe.t (a); create index on readiness_probe.t (a);
        create schema "My Shop"; create table "My Shop"."T" (a int);
        create index "One" on "My Shop"."T" (a); create index "Two" on "My Shop"."T" (a);
        """)
    warning = warnings("indexes.duplicates", subject(plain))

    assert 'drop index concurrently "My Shop"."Two";' in warning
    assert warning.startswith("1 of ")


def test_failed_index_is_invalid_until_it_is_dropped(plain: Dsn, run: Run) -> None:
    run("insert into t select n, 'same', 0, 0 from generate_series(1, 5) n")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run("create unique index concurrently broken on t (b)")

    found = failures("invalid-indexes", subject(plain))
    assert "reindex index concurrently public.broken;" in found
    run("drop index broken")
    assert failures("invalid-indexes", subject(plain)) == ""


@pytest.mark.parametrize(
    ("index", "serves"),
    [
        ("(c, d)", True),
        ("(d, c)", True),
        ("(d, c, b)", True),
        ("(c)", False),
        ("(b, c, d)", False),
        ("(c, d) where c > 0", False),
        ("using brin (c, d)", False),
        ("(c, d) where d is not null and c is not null", True),
        ("(d, c) where c is not null", True),
        ("(c, d) where c is not null and b is not null", False),
        ("using gist (c, d)", True),
    ],
)
def test_foreign_key_needs_its_columns_first_in_any_order(
    plain: Dsn, run: Run, index: str, serves: bool
) -> None:
    run(f"""
        create extension btree_gist;
        create table parent (x int, y int, primary key (x, y));
        insert into parent values (0, 0);
        insert into t select n, 'b', 0, 0 from generate_series(1, 1000) n;
        alter table t add constraint to_parent foreign key (c, d) references parent;
        create index on t {index};
        """)  # noqa: S608 - our own names
    found = warnings("indexes.foreign-keys", subject(plain, foreign_key_min_rows=500))

    assert (found == "") is serves
    if not serves:
        assert "create index concurrently on public.t (c, d);" in found


def test_partial_index_on_not_null_serves_a_foreign_key(plain: Dsn, run: Run) -> None:
    run("""
        insert into t select n, 'b', null, null from generate_series(1, 1000) n;
        alter table t add foreign key (c) references t (a);
        create index on t (c) where c is not null;
        """)

    assert warnings("indexes.foreign-keys", subject(plain, foreign_key_min_rows=1)) == ""


def test_never_analyzed_table_is_estimated_by_its_size(plain: Dsn, run: Run) -> None:
    run("""
        alter table t set (autovacuum_enabled = off);
        insert into t select n, repeat('b', 200), 1, 1 from generate_series(1, 5000) n;
        alter table t add foreign key (c) references t (a);
        select pg_stat_reset();
        """)

    assert "create index" in warnings(
        "indexes.foreign-keys", subject(plain, foreign_key_min_rows=999)
    )


def test_small_tables_are_shown_and_not_judged(plain: Dsn, run: Run) -> None:
    run("alter table t add foreign key (c) references t (a)")
    evidence = judged("indexes", subject(plain))

    assert evidence.warned["foreign-keys"] == []
    assert evidence.measurements[-1].value == 1


def test_role_without_rights_can_judge_indexes(dsn: Dsn, role: Dsn, run: Run) -> None:
    for check in ("indexes", "invalid-indexes"):
        assert "outside of the system's schemas" in errors(check, subject(dsn)), "it is empty"
    run("create table public.t (a int primary key)")
    for check in ("indexes", "invalid-indexes"):
        assert warnings(check, subject(role)) == ""
