"""How fast rows are stored, on a real server: by COPY, and by way of a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from readiness import Evidence
from readiness.areas.monitoring.config import Service
from readiness.areas.performance.config import Ingest, WritePath
from readiness.areas.performance.ingest import copy_rate, write_rate
from readiness.areas.performance.table_shape import scratch_copy
from readiness.config.models import Config
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.evidence import CheckFailed, Outcome
from readiness.model.secrets import Dsn
from suites.performance import test_performance as suite
from tests.support.servers import Run

pytestmark = pytest.mark.contract


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


@dataclass
class Application:
    """Stores ten rows for each request, and can be told to behave badly."""

    url: str
    fail_every: int = 0
    forget_every: int = 0
    requests: int = 0


@pytest.fixture
def application(dsn: Dsn, run: Run) -> Iterator[Application]:
    run("create table t (n bigint, i int, primary key (n, i)); insert into t values (1, 1)")
    state = Application("")
    lock = threading.Lock()
    connection = psycopg.connect(dsn.reveal(), autocommit=True)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            number = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["n"]
            with lock:
                state.requests += 1
                failed = state.fail_every and state.requests % state.fail_every == 0
                forgotten = state.forget_every and state.requests % state.forget_every == 0
                if not failed and not forgotten:
                    connection.execute(
                        "insert into t select %s, i from generate_series(1, 10) i", [number]
                    )
            self.send_response(500 if failed else 201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
    connection.close()


@pytest.fixture
def path(dsn: Dsn) -> WritePath:
    return WritePath(
        service="app",
        path="/rows",
        body='{"n": {n}}',
        rows_per_request=10,
        count_sql="select count(*) from t where n > 1000",
        cleanup_sql="delete from t where n > 1000",
        dsn=dsn,
    )


def _rows(dsn: Dsn) -> int:
    with connect(dsn, timeout_s=5) as connection:
        return int(fetch_value(connection, "select count(*) from t"))


def _check(application: Application, path: WritePath, dsn: Dsn) -> tuple[Outcome, Evidence]:
    services = {"app": {"url": application.url}}
    target = Config.model_validate({"target": {"name": "it"}, "services": services}).named()
    ingest = Ingest(
        name="it", table="public.t", dsn=dsn, rows=200, min_rows_per_s=1, write_path=path
    )
    evidence = Evidence()
    suite.test_ingest_rate(ingest, target, evidence)
    return evidence.conclude(), evidence


def test_rows_are_counted_and_removed(application: Application, path: WritePath, dsn: Dsn) -> None:
    service = Service(name="app", url=application.url)
    measured = write_rate(path, service, rows=200)
    assert isinstance(measured.rate.value, float)
    assert measured.rate.value > 0
    assert (measured.failed.value, measured.missing.value) == (0, 0)
    assert application.requests == measured.rate.samples == 20
    assert _rows(dsn) == 1


def test_the_check_passes_on_both_paths(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    outcome, evidence = _check(application, path, dsn)
    assert outcome is Outcome.PASS
    assert {m.name for m in evidence.measurements if m.limit} == {
        "rows stored by COPY",
        "failed writes",
        "rows acknowledged and not stored",
        "rows stored by the application",
    }


def test_one_failed_write_is_a_failure(application: Application, path: WritePath, dsn: Dsn) -> None:
    application.fail_every = 7
    with pytest.raises(CheckFailed, match=r"\d+ of \d+ writes failed(.|\n)*answered 500"):
        _check(application, path, dsn)
    assert _rows(dsn) == 1


def test_rows_acknowledged_and_not_stored_are_a_failure(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    application.forget_every = 10
    with pytest.raises(CheckFailed, match="acknowledged 20 rows that are not stored"):
        _check(application, path, dsn)


def test_a_service_that_is_off_cannot_be_judged(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    with pytest.raises(Unreachable):
        write_rate(path, Service(name="app", url="http://127.0.0.1:1"), rows=10)


def test_a_service_nobody_declared(application: Application, path: WritePath, dsn: Dsn) -> None:
    with pytest.raises(CouldNotMeasure, match="the service other is not declared"):
        _check(application, path.model_copy(update={"service": "other"}), dsn)


def test_rows_that_stay_are_an_error(application: Application, path: WritePath, dsn: Dsn) -> None:
    lazy = path.model_copy(update={"cleanup_sql": "delete from t where false"})
    with pytest.raises(CouldNotMeasure, match="100 rows of the probe are left"):
        write_rate(lazy, Service(name="app", url=application.url), rows=100)
