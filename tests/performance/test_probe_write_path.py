"""The application's own way to store rows: a real HTTP server in front of a real database."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from readiness import Evidence
from readiness.areas.monitoring.config import Service
from readiness.areas.performance.config import Ingest, WritePath
from readiness.areas.performance.probes.write_path import write_rate
from readiness.config.models import Config
from readiness.lib.postgres import connect, fetch_value
from readiness.model.errors import CouldNotMeasure, Unreachable
from readiness.model.evidence import CheckFailed, Outcome
from readiness.model.secrets import Dsn
from suites.performance import test_ingest as suite

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


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
