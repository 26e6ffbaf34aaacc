"""schema.transfer-*: old and new tables, on a real server and across two databases."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from readiness.areas.schema.config import Database, Transfer, TransferOf
from readiness.areas.schema.probes import transfers
from readiness.areas.schema.probes.transfers import out_of_order
from readiness.model.errors import NoData, NotPermitted
from readiness.model.evidence import Evidence, NotApplicable
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

Run = Callable[[str], None]
_SCHEMA = """
create schema s;
create table s.old (id integer primary key, name text, price numeric, at timestamptz);
create table s.new (key bigint primary key, title text, price numeric, at timestamptz);
insert into s.old select n, 'n' || n, n, now() - n * interval '1 hour'
    from generate_series(1, 500) n;
insert into s.new select * from s.old;
create table s.other (id integer primary key, v text, at timestamptz);
create table s.newer (id integer primary key, v text);
create table s.moves (old text, state text, place integer);
insert into s.moves values ('s.old', 'copied', 1), ('s.other', 'waiting', 2);
"""
_BOTH_WAYS = """
create function s.back() returns trigger language plpgsql as $$ begin
    insert into s.old values (new.key, new.title, new.price, new.at)
    on conflict (id) do update set name = excluded.name;
    return null; end $$;
create trigger back after insert on s.new for each row execute function s.back();
"""
_CANARY = "insert into s.new values (100000, 'x', 1, now()) returning key"


@pytest.fixture
def tables(dsn: Dsn, run: Run) -> Dsn:
    run(_SCHEMA)
    return dsn


def subject(dsn: Dsn, pair: dict[str, Any] | None = None, **transfer: Any) -> TransferOf:
    old = {
        "to": "s.new",
        "key": {"id": "key"},
        "columns": {"name": "title", "price": "price"},
        "changed": "at",
        "new_changed": "at",
        **(pair or {}),
    }
    made = Transfer.model_validate(
        {"strategy": "dual-write", "settle_s": 0.1, "tables": {"s.old": old}, **transfer}
    )
    named = {key: pair.model_copy(update={"name": key}) for key, pair in made.tables.items()}
    made = made.model_copy(update={"tables": named})
    return TransferOf("db.t", Database(name="db", dsn=dsn), made)


def copied(dsn: Dsn, pair: dict[str, Any] | None = None) -> TransferOf:
    """One whose recent rows are not compared."""
    return subject(dsn, pair, strategy="full-copy")


def judged(check: str, transfer: TransferOf) -> str:
    """What a check says, once all of it could be measured."""
    function = getattr(suite("schema.test_transfer"), f"test_transfer_{check}")
    evidence = Evidence(function.__readiness_check__.judgements)
    function(transfer, evidence)
    if evidence.lost:
        raise evidence.lost[0]
    return misses(evidence)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("select 1", ""),
        (
            "delete from s.new where key = 300",
            "Rows of s.old are missing in s.new (1): the keys 300",
        ),
        ("update s.new set title = 'x' where key = 300", "Rows of s.old differ in s.new (1)"),
        ("update s.new set title = null where key = 300", "Rows of s.old differ in s.new (1)"),
        (
            # Counts and a sum without the keys would agree.
            """update s.new a set title = b.title, price = b.price from s.new b
            where (a.key, b.key) in ((300, 301), (301, 300))""",
            "Rows of s.old differ in s.new (2)",
        ),
        ("insert into s.new values (9999, 'x', 1, now())", ""),
        ("delete from s.new where key = 2", "Recent rows of s.old are missing in s.new (1)"),
        ("update s.new set title = 'x' where key = 2", "Recent rows of s.old differ in s.new (1)"),
        ("truncate s.new", "Rows of s.old are missing in s.new (47"),
    ],
)
def test_each_old_row_is_in_the_new_table(
    tables: Dsn, run: Run, change: str, expected: str
) -> None:
    run(change)
    found = judged("complete", subject(tables))
    assert expected in found, found
    assert bool(found) == bool(expected), found


def test_recent_rows_count_without_a_time_column(tables: Dsn, run: Run) -> None:
    run("delete from s.new where key = 2")
    assert "(1): the keys 2" in judged("complete", copied(tables, {"changed": None}))


def test_only_differing_rows_of_a_large_table_are_named(tables: Dsn, run: Run) -> None:
    # More than are held at once, with something else in each part of the keys.
    run("""
        truncate s.old, s.new;
        insert into s.old select n, 'n' || n, n, now() - interval '9 days'
            from generate_series(1, 30000) n;
        insert into s.new select * from s.old;
        update s.new set title = 'x' where key % 100 = 0;
        delete from s.new where key = 25001;
        """)
    found = judged("complete", copied(tables))
    assert "Rows of s.old are missing in s.new (1): the keys 25001" in found
    assert "Rows of s.old differ in s.new (300): the keys 100, 1000, 10000" in found
    run("delete from s.new where key % 2 = 0")
    assert "at least the keys 10, 100, 1000" in judged("complete", copied(tables))


def test_empty_table_is_an_error(tables: Dsn, run: Run) -> None:
    run("truncate s.old, s.new")
    with pytest.raises(NoData, match=r"s\.old: has no rows to compare"):
        judged("complete", subject(tables))


def test_rows_outside_where_are_not_missing(tables: Dsn, run: Run) -> None:
    run("delete from s.new where key > 400")
    assert judged("complete", subject(tables, {"where": "id <= 400"})) == ""


def test_concurrent_writes_do_not_hide_missing_rows(tables: Dsn, run: Run) -> None:
    run("delete from s.new where key = 1")
    busy = "insert into s.{} select n, 'x', 1, now() from generate_series(9001, 9005) n"

    def traffic(_: float) -> None:
        run(busy.format("old") + "; " + busy.format("new"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfers, "_MOST_RECENT", 2)
        patch.setattr("readiness.areas.schema.probes.transfers.time.sleep", traffic)
        found = judged("complete", subject(tables))
    assert "Recent rows of s.old are missing in s.new (1): the keys 1" in found


def test_no_recent_rows_is_an_error(tables: Dsn, run: Run) -> None:
    run("update s.old set at = at - interval '9 days'")
    with pytest.raises(NoData, match=r"no row of s\.old was written"):
        judged("complete", subject(tables))
    with pytest.raises(NoData, match=r"time of the write is configured for s\.old"):
        judged("complete", subject(tables, {"changed": None}))


def test_a_key_of_several_columns(tables: Dsn, run: Run) -> None:
    pair = {"key": {"id": "key", "name": "title"}, "columns": {"price": "price"}}
    assert judged("complete", subject(tables, pair)) == ""
    run("update s.new set title = 'x' where key = 3")
    assert "are missing in s.new (1): the keys 3, n3" in judged("complete", subject(tables, pair))


def test_a_canary_that_is_rolled_back_shows_whether_rows_reach_the_old_table(
    tables: Dsn, run: Run
) -> None:
    transfer = subject(tables, {"canary": _CANARY, "new_changed": None})
    assert "A row written to s.new did not reach s.old" in judged("reversible", transfer)
    run(_BOTH_WAYS)
    assert judged("reversible", transfer) == ""
    assert judged("reversible", transfer) == "", "the first one was rolled back"


def test_recent_rows_show_whether_rows_reach_the_old_table(tables: Dsn, run: Run) -> None:
    assert judged("reversible", subject(tables)) == ""
    run("insert into s.new values (9999, 'x', 1, now())")
    found = judged("reversible", subject(tables))
    assert "Recent rows of s.new are missing in s.old (1): the keys 9999" in found


def test_without_canary_and_recent_rows_nothing_is_judged(tables: Dsn) -> None:
    with pytest.raises(NoData, match=r"cannot measure whether new rows of s\.new reach s\.old"):
        judged("reversible", subject(tables, {"new_changed": None}))
    with pytest.raises(NoData, match="the canary returned 0 rows"):
        judged("reversible", subject(tables, {"canary": "delete from s.new where key < 0"}))


def test_role_without_rights_is_an_error(tables: Dsn, role: Dsn) -> None:
    for check in ("complete", "reversible"):
        with pytest.raises(NotPermitted):
            judged(check, subject(role))


def _by_table(dsn: Dsn) -> TransferOf:
    other = {"to": "s.newer", "key": {"id": "id"}, "columns": {"v": "v"}, "changed": "at"}
    found = subject(
        dsn, strategy="table-by-table", states="select old, state from s.moves order by place"
    ).transfer
    made = Transfer.model_validate(
        {
            "strategy": "table-by-table",
            "settle_s": 0.1,
            "states": found.states,
            "tables": {
                "s.old": found.tables["s.old"].model_dump(exclude_none=True, exclude={"name"}),
                "s.other": other,
            },
        }
    )
    named = {key: pair.model_copy(update={"name": key}) for key, pair in made.tables.items()}
    return TransferOf(
        "db.t", Database(name="db", dsn=dsn), made.model_copy(update={"tables": named})
    )


def test_table_by_table_only_what_was_copied_is_compared(tables: Dsn, run: Run) -> None:
    run("insert into s.other values (1, 'x', now() - interval '2 days'), (2, 'y', now())")
    assert judged("complete", _by_table(tables)) == ""
    run("update s.moves set state = 'copied'")
    found = judged("complete", _by_table(tables))
    assert "1 table is moved out of order: s.other is copied, but s.old before it is not" in found
    assert "Rows of s.other are missing in s.newer (1)" in found


def test_table_by_table_does_not_apply_before_it_began(tables: Dsn, run: Run) -> None:
    run("update s.moves set state = 'waiting'")
    for check in ("complete", "reversible"):
        with pytest.raises(NotApplicable, match="no table is copied or verified or switched yet"):
            judged(check, _by_table(tables))
    run("update s.moves set state = 'done'")
    with pytest.raises(NoData, match="must return rows of a table"):
        judged("complete", _by_table(tables))
    run("delete from s.moves where old = 's.other'; update s.moves set state = 'copied'")
    with pytest.raises(NoData, match=r"returns no row for s\.other"):
        judged("complete", _by_table(tables))


def test_across_two_databases(
    tables: Dsn, run: Run, server: PrivatePostgres, request: pytest.FixtureRequest
) -> None:
    """The new tables are somewhere else: the same comparison."""
    name = f"other_{abs(hash(request.node.name)) % 10_000}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    there = Dsn(server.dsn(name))
    with psycopg.connect(there.reveal(), autocommit=True) as connection:
        connection.execute(_SCHEMA.encode())
        transfer = subject(tables, {"columns": {"name": "title"}}, new_dsn=there)
        assert judged("complete", transfer) == ""
        connection.execute(b"delete from s.new where key in (1, 300)")
    found = judged("complete", transfer)
    assert "Rows of s.old are missing in s.new (1): the keys 300" in found
    assert "Recent rows of s.old are missing in s.new (1): the keys 1" in found


_ONE = {"s.a": {"to": "s.b", "key": {"i": "i"}, "columns": {"v": "v"}}}


@pytest.mark.parametrize(
    ("states", "wrong"),
    [
        ("waiting waiting", 0),
        ("copied waiting", 0),
        ("verified copied waiting", 0),
        ("switched verified switched", 0),
        ("copied copied", 1),
        ("waiting copied", 1),
        ("copied switched verified", 2),
    ],
)
def test_each_table_is_verified_before_the_next(states: str, wrong: int) -> None:
    found = [(f"s.t{number}", state) for number, state in enumerate(states.split())]
    assert len(out_of_order(found)) == wrong


def test_table_by_table_needs_states() -> None:
    with pytest.raises(ValidationError, match="needs `states`"):
        Transfer.model_validate({"strategy": "table-by-table", "tables": _ONE})
    Transfer.model_validate({"strategy": "full-copy", "tables": _ONE})
