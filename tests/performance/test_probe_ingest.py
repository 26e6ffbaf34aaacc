"""How fast rows are stored, on a real server: by COPY, and by way of a real HTTP server."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from psycopg import sql

from readiness import Evidence
from readiness.areas.monitoring.config import Service
from readiness.areas.performance.config import Ingest, IngestMethod, WritePath
from readiness.areas.performance.ingest import WRITERS, copy_rate, write_rate
from readiness.areas.performance.table_shape import scratch_copy
from readiness.config.models import Config
from readiness.lib.postgres import Row, connect, fetch
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.evidence import CheckFailed, Outcome
from readiness.model.secrets import Dsn
from suites.performance import test_performance as suite
from tests.support.servers import Run

pytestmark = pytest.mark.contract

Trigger = Callable[[str, str], None]


def ingest_of(dsn: Dsn, table: str = "shop.orders", rows: int = 2000) -> Ingest:
    return Ingest(name="it", table=table, dsn=dsn, rows=rows, samples=3)


def rate(ingest: Ingest) -> float:
    return float(copy_rate(ingest).rate.value)


def fetched(dsn: Dsn, query: str) -> list[Row]:
    with connect(dsn, timeout_s=5) as connection:
        return fetch(connection, query)


def schemas(dsn: Dsn) -> list[Row]:
    return fetched(dsn, "select nspname from pg_namespace where nspname ~ '^readiness'")


@pytest.fixture
def trigger(run: Run) -> Trigger:
    """Makes a trigger that runs for each row that is stored in shop.orders."""

    def make(name: str, body: str) -> None:
        run(f"""
            create function shop.{name}() returns trigger language plpgsql
                as $$ begin {body} end $$;
            create trigger {name} before insert on shop.orders
                for each row execute function shop.{name}()""")

    return make


def test_rows_are_stored_and_the_target_is_unchanged(shop: Dsn) -> None:
    contents = "select count(*), (select last_value from shop.orders_id_seq) from shop.orders"
    before = fetched(shop, contents)
    measured = copy_rate(ingest_of(shop))
    assert float(measured.rate.value) > 100
    assert (measured.rate.unit, measured.rate.samples) == ("rows/s", 3)
    assert (measured.round_trip.unit, measured.round_trip.samples) == ("ms", 20)
    assert schemas(shop) == []
    assert fetched(shop, contents) == before


def test_scratch_table_has_the_shape_of_the_target(shop: Dsn, run: Run, trigger: Trigger) -> None:
    trigger("stamp", "new.note = 'stamped'; return new;")
    trigger("off", "return new;")
    run("alter table shop.orders disable trigger off")
    with (
        connect(shop, timeout_s=5) as connection,
        scratch_copy(connection, shop, "shop.orders", triggers=True) as scratch,
    ):
        constraints, triggers, indexes = (
            fetch(connection, query, [scratch.name.as_string()])
            for query in (
                """select contype::text, count(*)::int from pg_constraint
                where conrelid = %s::regclass and contype <> 'n' group by 1 order by 1""",
                "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal",
                "select count(*) from pg_index where indrelid = %s::regclass",
            )
        )
    assert constraints == [("c", 1), ("f", 1), ("p", 1)]
    assert triggers == [("stamp",)]
    assert indexes == [(2,)]


def test_all_methods_store_the_same_rows(shop: Dsn, run: Run) -> None:
    """Also what COPY's text format escapes, and types that psycopg would adapt otherwise."""
    run(r"""
        create table shop.texts (a text, b bytea, c jsonb, d text[], e timestamptz, f numeric);
        insert into shop.texts values
            (E'tab\t line\n return\r back\\slash \\N', '\x005c0a', '{"a": "x\\n"}',
             array['q"', null, ''], '2026-03-01 12:00+02', 1.50),
            ('', '', 'null', '{}', null, 'NaN'), (null, null, null, null, null, null)""")
    with (
        connect(shop, timeout_s=5) as connection,
        scratch_copy(connection, shop, "shop.texts", triggers=False) as scratch,
    ):
        stored = []
        for write in WRITERS.values():
            assert write(connection, scratch, 3, 0).stored == 3
            query = sql.SQL("select t::text from {} t order by 1").format(scratch.name)
            stored.append(fetch(connection, query))
            fetch(connection, sql.SQL("truncate {}").format(scratch.name))
    assert stored == [stored[0]] * 3
    assert len(set(stored[0])) == 3


def test_rows_of_one_commit_each_are_counted(shop: Dsn) -> None:
    single = ingest_of(shop, rows=50).model_copy(update={"method": "single"})
    measured = copy_rate(single)
    assert measured.rate.name == "rows stored by INSERTs that commit each"
    assert measured.rate.source.startswith("insert into ")
    assert schemas(shop) == []


@pytest.mark.parametrize("method", list(WRITERS))
def test_rows_that_are_refused_are_an_error(
    shop: Dsn, trigger: Trigger, method: IngestMethod
) -> None:
    trigger("refuse", "raise exception 'not today'; return new;")
    with pytest.raises(CouldNotMeasure, match="not today"):
        copy_rate(ingest_of(shop, rows=50).model_copy(update={"method": method}))
    assert schemas(shop) == []


def test_slow_trigger_lowers_the_rate(shop: Dsn, trigger: Trigger) -> None:
    trigger("slow", "perform pg_sleep(0.002); return new;")
    assert rate(ingest_of(shop, rows=200)) < 500  # 2 ms a row cannot be faster


def test_rows_that_a_trigger_drops_do_not_count(shop: Dsn, trigger: Trigger) -> None:
    trigger("swallow", "return null;")
    assert rate(ingest_of(shop)) == 0


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
def test_unique_keys_get_unique_values(dsn: Dsn, run: Run, columns: str, row: str) -> None:
    run(f'create schema s; create table s."Big" ({columns}); insert into s."Big" {row}')
    assert rate(ingest_of(dsn, 's."Big"', rows=300)) > 0


def test_expression_index_is_a_unique_key_too(shop: Dsn) -> None:
    assert rate(ingest_of(shop, "shop.customers", rows=300)) > 0


@pytest.mark.parametrize(
    ("prepare", "table", "error", "message"),
    [
        ("create table shop.flags (f bool primary key); insert into shop.flags values (true)",
         "shop.flags", CouldNotMeasure, "unique in shop.flags_pkey"),
        ("truncate shop.orders", "shop.orders", NoData, "is empty"),
        ("select 1", "shop.nothing", CouldNotMeasure, "the table shop.nothing does not exist"),
    ],
)  # fmt: skip
def test_table_that_cannot_be_measured_is_an_error(
    shop: Dsn, run: Run, prepare: str, table: str, error: type[CouldNotMeasure], message: str
) -> None:
    run(prepare)
    with pytest.raises(error, match=re.escape(message)):
        copy_rate(ingest_of(shop, table))


def test_role_without_the_right_to_create_a_schema(shop: Dsn, role: Dsn, run: Run) -> None:
    run("grant usage on schema shop to public; grant select on shop.orders to public")
    with pytest.raises(NotPermitted, match="create schema"):
        copy_rate(ingest_of(role))


def test_failing_trigger_is_an_error_and_leaves_no_schema(shop: Dsn, trigger: Trigger) -> None:
    trigger("no", "raise 'no';")
    with pytest.raises(CouldNotMeasure, match="no"):
        copy_rate(ingest_of(shop))
    assert schemas(shop) == []
    assert rate(ingest_of(shop).model_copy(update={"triggers": False})) > 0, "it is not run"


@dataclass
class Application:
    """Stores ten rows for each request; some of them fail or are lost if a test wants that."""

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
    assert float(measured.rate.value) > 0
    assert (measured.failed.value, measured.missing.value) == (0, 0)
    assert application.requests == measured.rate.samples == 20
    assert fetched(dsn, "select count(*) from t") == [(1,)]


def test_check_passes_on_both_paths(application: Application, path: WritePath, dsn: Dsn) -> None:
    outcome, evidence = _check(application, path, dsn)
    assert outcome is Outcome.PASS
    assert {m.name for m in evidence.measurements if m.limit} == {
        "rows stored by COPY",
        "failed writes",
        "rows acknowledged and not stored",
        "rows stored by the application",
    }


def test_one_failed_write_fails_the_check(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    application.fail_every = 7
    with pytest.raises(CheckFailed, match=r"\d+ of \d+ writes failed(.|\n)*answered 500"):
        _check(application, path, dsn)
    assert fetched(dsn, "select count(*) from t") == [(1,)]


def test_rows_acknowledged_and_not_stored_are_a_failure(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    application.forget_every = 10
    with pytest.raises(CheckFailed, match="acknowledged 20 rows that are not stored"):
        _check(application, path, dsn)


def test_service_that_is_down_is_unreachable(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    with pytest.raises(Unreachable):
        write_rate(path, Service(name="app", url="http://127.0.0.1:1"), rows=10)


def test_undeclared_service_is_an_error(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    with pytest.raises(CouldNotMeasure, match="the service other is not declared"):
        _check(application, path.model_copy(update={"service": "other"}), dsn)


def test_rows_left_by_the_cleanup_are_an_error(
    application: Application, path: WritePath, dsn: Dsn
) -> None:
    lazy = path.model_copy(update={"cleanup_sql": "delete from t where false"})
    with pytest.raises(CouldNotMeasure, match="100 rows of the probe are left"):
        write_rate(lazy, Service(name="app", url=application.url), rows=100)
    wrong = path.model_copy(update={"cleanup_sql": "delete from nowhere"})
    with pytest.raises(CouldNotMeasure, match="are left, as their cleanup failed") as caught:
        write_rate(wrong, Service(name="app", url=application.url), rows=100)
    assert caught.value.remedy == "run it by hand: delete from nowhere"
