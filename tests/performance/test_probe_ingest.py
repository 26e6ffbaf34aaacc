"""COPY into a table of another table's shape, on a real server."""

from collections.abc import Callable

import pytest

from readiness.areas.performance.config import Ingest
from readiness.areas.performance.probes.ingest import copy_rate
from readiness.areas.performance.probes.table_shape import scratch_copy
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.secrets import Dsn

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


def _ingest(dsn: Dsn, table: str = "shop.orders", rows: int = 2000) -> Ingest:
    return Ingest(name="it", table=table, dsn=dsn, rows=rows, samples=3)


def _schemas(dsn: Dsn) -> list[tuple[object, ...]]:
    with connect(dsn, timeout_s=5) as connection:
        return fetch(connection, "select nspname from pg_namespace where nspname ~ '^readiness'")


def test_rows_are_stored_and_nothing_is_left(shop: Dsn) -> None:
    before = _contents(shop)
    measured = copy_rate(_ingest(shop))
    assert isinstance(measured.rate.value, float)
    assert measured.rate.value > 100
    assert (measured.rate.unit, measured.rate.samples) == ("rows/s", 3)
    assert measured.round_trip.unit == "ms"
    assert measured.round_trip.samples == 20
    assert _schemas(shop) == []
    assert _contents(shop) == before


def _contents(dsn: Dsn) -> list[tuple[object, ...]]:
    with connect(dsn, timeout_s=5) as connection:
        return fetch(
            connection,
            "select count(*), (select last_value from shop.orders_id_seq) from shop.orders",
        )


def test_the_scratch_table_has_the_shape_of_the_target(shop: Dsn, run: Run) -> None:
    run(
        """create function shop.stamp() returns trigger language plpgsql
             as $$ begin new.note = 'stamped'; return new; end $$;
           create trigger stamp before insert on shop.orders
             for each row execute function shop.stamp();
           create trigger off before insert on shop.orders
             for each row execute function shop.stamp();
           alter table shop.orders disable trigger off"""
    )
    with (
        connect(shop, timeout_s=5) as connection,
        scratch_copy(connection, shop, "shop.orders", triggers=True) as scratch,
    ):
        name = scratch.name.as_string()
        found = fetch(
            connection,
            "select contype::text, count(*)::int from pg_constraint"
            " where conrelid = %s::regclass and contype <> 'n' group by 1 order by 1",
            [name],
        )
        triggers = fetch(
            connection,
            "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal",
            [name],
        )
        indexes = fetch_value(
            connection, "select count(*) from pg_index where indrelid = %s::regclass", [name]
        )
    assert found == [("c", 1), ("f", 1), ("p", 1)]
    assert triggers == [("stamp",)]
    assert indexes == 2


def test_a_slow_trigger_shows(shop: Dsn, run: Run) -> None:
    run(
        """create function shop.slow() returns trigger language plpgsql
             as $$ begin perform pg_sleep(0.002); return new; end $$;
           create trigger slow before insert on shop.orders
             for each row execute function shop.slow()"""
    )
    slow = copy_rate(_ingest(shop, rows=200)).rate.value
    assert isinstance(slow, float)
    assert slow < 500  # 2 ms a row cannot be faster


def test_rows_that_a_trigger_swallows_do_not_count(shop: Dsn, run: Run) -> None:
    run(
        """create function shop.swallow() returns trigger language plpgsql
             as $$ begin return null; end $$;
           create trigger swallow before insert on shop.orders
             for each row execute function shop.swallow()"""
    )
    assert copy_rate(_ingest(shop)).rate.value == 0


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("id int generated always as identity primary key, b text", "(b) values ('x')"),
        ("id uuid default gen_random_uuid() primary key, b text", "(b) values ('x')"),
        ("id uuid primary key, b text", "values (md5('x')::uuid, 'x')"),
        ("d int, at timestamptz, b text, primary key (d, at)", "values (1, now(), 'x')"),
        ("code varchar(12) primary key, b text", "values ('x', 'x')"),
        ("n int primary key, m int generated always as (n * 2) stored unique", "values (1)"),
        ('id bigserial primary key, "the Name" text', "(\"the Name\") values ('x')"),
        ("id int primary key, at date unique, u text unique", "values (1, now(), 'x')"),
    ],
)
def test_keys_are_made_unique(dsn: Dsn, run: Run, columns: str, row: str) -> None:
    run(f'create schema s; create table s."Big" ({columns}); insert into s."Big" {row}')
    measured = copy_rate(_ingest(dsn, 's."Big"', rows=300))
    assert isinstance(measured.rate.value, float)
    assert measured.rate.value > 0


def test_an_expression_index_is_a_key_too(shop: Dsn) -> None:
    measured = copy_rate(_ingest(shop, "shop.customers", rows=300))
    assert isinstance(measured.rate.value, float)
    assert measured.rate.value > 0


def test_a_key_that_cannot_be_made_unique(dsn: Dsn, run: Run) -> None:
    run("create table flags (f bool primary key); insert into flags values (true)")
    with pytest.raises(CouldNotMeasure, match="unique in flags_pkey"):
        copy_rate(_ingest(dsn, "public.flags"))


def test_an_empty_table_has_no_samples(shop: Dsn, run: Run) -> None:
    run("truncate shop.orders")
    with pytest.raises(NoData, match="is empty"):
        copy_rate(_ingest(shop))


def test_a_table_that_is_not_there(shop: Dsn) -> None:
    with pytest.raises(CouldNotMeasure, match=r"the table shop\.nothing does not exist"):
        copy_rate(_ingest(shop, "shop.nothing"))


def test_a_role_that_may_not_create_a_schema(shop: Dsn, role: Dsn, run: Run) -> None:
    run("grant usage on schema shop to public; grant select on shop.orders to public")
    with pytest.raises(NotPermitted, match="create schema"):
        copy_rate(_ingest(role))


def test_a_failure_leaves_nothing(shop: Dsn, run: Run) -> None:
    run(
        """create function shop.no() returns trigger language plpgsql
             as $$ begin raise 'no'; end $$;
           create trigger no before insert on shop.orders
             for each row execute function shop.no()"""
    )
    with pytest.raises(CouldNotMeasure, match="no"):
        copy_rate(_ingest(shop))
    assert _schemas(shop) == []


def test_without_triggers_none_is_run(shop: Dsn, run: Run) -> None:
    run(
        """create function shop.no() returns trigger language plpgsql
             as $$ begin raise 'no'; end $$;
           create trigger no before insert on shop.orders
             for each row execute function shop.no()"""
    )
    measured = copy_rate(_ingest(shop).model_copy(update={"triggers": False}))
    assert isinstance(measured.rate.value, float)
    assert measured.rate.value > 0
