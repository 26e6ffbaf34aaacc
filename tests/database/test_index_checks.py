"""The checks of indexes against a real server: what they must find, and what they must leave."""

from collections.abc import Callable

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.model.secrets import Dsn
from tests.support.database_health import database, errors, failures, judged, warnings

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


def subject(dsn: Dsn, **limits: object) -> Database:
    return database(dsn, indexes=limits)


@pytest.fixture
def plain(dsn: Dsn, run: Run) -> Dsn:
    run("""
        create table public.t (a int primary key, b text, c int, d int);
        create index t_b on t (b);
        """)
    return dsn


def test_different_indexes_are_no_duplicates(plain: Dsn, run: Run) -> None:
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
            "drop index concurrently public.p_x2;",
        ),
    ],
)
def test_an_exact_double_is_named_with_the_one_to_drop(
    plain: Dsn, run: Run, made: str, dropped: str
) -> None:
    run(made)
    found = warnings("indexes.duplicates", subject(plain))

    assert dropped in found
    assert found.startswith("1 of ")


def test_a_unique_index_that_foreign_keys_need_is_kept(plain: Dsn, run: Run) -> None:
    run("create table child (a int references t); create unique index other on t (a)")

    found = warnings("indexes.duplicates", subject(plain))
    assert "drop index concurrently public.other;" in found


def test_large_doubles_fail(plain: Dsn, run: Run) -> None:
    run("create index twice on t (b)")

    found = failures("indexes.duplicates", subject(plain, duplicate_max_bytes=1))
    assert "Size of duplicate indexes" in found
    assert "drop index concurrently public.twice;" in found


def test_our_own_schemas_and_a_name_with_capitals(plain: Dsn, run: Run) -> None:
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


def test_an_index_that_failed_is_invalid_until_it_is_made_again(plain: Dsn, run: Run) -> None:
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
    ],
)
def test_a_foreign_key_needs_its_columns_first_in_any_order(
    plain: Dsn, run: Run, index: str, serves: bool
) -> None:
    run(f"""
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


def test_a_partial_index_that_leaves_out_nothing_but_null_serves(plain: Dsn, run: Run) -> None:
    run("""
        insert into t select n, 'b', null, null from generate_series(1, 1000) n;
        alter table t add foreign key (c) references t (a);
        create index on t (c) where c is not null;
        """)

    assert warnings("indexes.foreign-keys", subject(plain, foreign_key_min_rows=1)) == ""


def test_a_table_that_was_never_analysed_is_told_by_its_size(plain: Dsn, run: Run) -> None:
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


def test_a_role_without_any_right_sees_the_catalogues(dsn: Dsn, role: Dsn, run: Run) -> None:
    for check in ("indexes", "invalid-indexes"):
        assert "outside of the system's schemas" in errors(check, subject(dsn)), "it is empty"
    run("create table public.t (a int primary key)")
    for check in ("indexes", "invalid-indexes"):
        assert warnings(check, subject(role)) == ""
