"""The checks of statements against a real server that counts them."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.database.config_history import History
from readiness.areas.database.history.snapshot import StatementUse
from readiness.areas.database.history.store import Store
from readiness.areas.database.statements import snapshot
from readiness.lib import postgres
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.postgres import PrivatePostgres
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

HOUR = 3600.0


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A server that counts statements, with roles that watch, that work, and that may nothing."""
    release = find_binaries().folder.parent
    if not any(release.glob("lib/**/pg_stat_statements.*")):
        pytest.skip("this PostgreSQL comes without pg_stat_statements")
    folder: Path = tmp_path_factory.mktemp("postgres")
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.max": "100",
        "log_min_duration_statement": "250",
    }
    with PrivatePostgres.start(folder, settings=settings) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for role in ("watcher", "app", "blind"):
                connection.execute(f"create role {role} login password 'correct horse'".encode())
            connection.execute("grant pg_monitor to watcher")
            connection.execute("create schema figures")
            connection.execute("create extension pg_stat_statements schema figures")
            connection.execute("grant usage on schema figures to watcher, blind")
        yield server


@pytest.fixture
def counted(counting: PrivatePostgres) -> PrivatePostgres:
    """The same, with counters that begin now."""
    as_superuser(counting, "select figures.pg_stat_statements_reset()")
    return counting


def as_superuser(server: PrivatePostgres, *statements: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def as_app(server: PrivatePostgres, statement: str, times: int = 1) -> None:
    dsn = server.dsn(user="app", password="correct horse")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(times):
            connection.execute(statement.encode())


def database(server: PrivatePostgres, role: str = "watcher", **more: object) -> Database:
    dsn = Dsn(server.dsn(user=role, password="correct horse"))
    return Database.model_validate({"name": "d", "dsn": dsn, **more})


def judged(name: str, database: Database) -> Evidence:
    evidence = Evidence()
    getattr(suite("database.test_statements"), f"test_{name}")(database, evidence)
    return evidence


def test_a_server_that_counts_and_logs_passes(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1")

    assert misses(judged("slow_query_tracking", database(counted))) == ""


def test_a_role_that_may_not_see_settings_is_an_error(counted: PrivatePostgres) -> None:
    with pytest.raises(NotPermitted, match="shared_preload_libraries") as problem:
        judged("slow_query_tracking", database(counted, "blind"))
    assert 'grant pg_read_all_settings to "blind"' in problem.value.remedy


def test_statements_of_others_that_are_hidden_are_an_error(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 30)
    with pytest.raises(NotPermitted, match="hidden") as problem:
        judged("statement_latency", database(counted, "blind"))
    assert "pg_read_all_stats" in problem.value.remedy


def test_a_slow_log_that_begins_too_late_is_a_miss(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1")
    strict = database(counted, statements={"logged_from_ms": 100.0})

    found = misses(judged("slow_query_tracking", strict))
    assert "statements are logged from 250 ms, must be <= 100" in found
    assert "alter system set log_min_duration_statement = 100" in found


def test_a_slow_statement_is_named_with_its_level_and_role(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    as_app(counted, "select pg_sleep(0.03) -- of the report", 20)
    levels = {"warning_ms": 5.0, "alert_ms": 10.0, "critical_ms": 20.0}

    evidence = judged("statement_latency", database(counted, statements=levels))

    assert "critical: 3" in misses(evidence)
    assert "in 20 calls by app: select pg_sleep($1)" in misses(evidence)
    assert len(evidence.failures) == 1


def test_the_first_level_is_a_warning(counted: PrivatePostgres) -> None:
    as_app(counted, "select pg_sleep(0.03)", 20)

    evidence = judged("statement_latency", database(counted, statements={"warning_ms": 10.0}))

    assert evidence.failures == []
    assert "warning: 3" in evidence.warnings[0]


def test_too_few_calls_are_said_and_not_judged(counted: PrivatePostgres) -> None:
    as_app(counted, "select pg_sleep(0.3)", 2)

    with pytest.raises(NoData, match="no statement of the application ran 20 times"):
        judged("statement_latency", database(counted))


def test_statements_of_other_roles_and_of_the_gate_are_left_out(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    as_app(
        counted, "with readiness_slow_query as (select pg_sleep(0.2)) table readiness_slow_query"
    )
    as_app(counted, "select pg_sleep(0.2)\n/* readiness */")
    as_superuser(counted, "select pg_sleep(0.2)")
    mine = {"roles": ["app"], "min_calls": 1}

    assert misses(judged("statement_latency", database(counted, statements=mine))) == ""


def test_a_window_from_a_snapshot_forgets_what_was_slow_before(
    counted: PrivatePostgres, tmp_path: Path
) -> None:
    as_app(counted, "select pg_sleep(0.15)", 2)
    history = History(path=str(tmp_path / "h"))
    remembered = database(counted, statements={"min_calls": 1, "roles": ["app"]}).model_copy(
        update={"history": history}
    )
    with postgres.connect(remembered.dsn, timeout_s=10) as connection:
        Store(tmp_path / "h").append(snapshot.take(connection), keep_days=400)
    as_app(counted, "select pg_sleep(0.0001)", 2)

    assert misses(judged("statement_latency", remembered)) == ""


def test_counters_that_began_after_the_snapshot_count_from_their_beginning(
    counted: PrivatePostgres, tmp_path: Path
) -> None:
    remembered = database(counted, statements={"min_calls": 1, "roles": ["app"]}).model_copy(
        update={"history": History(path=str(tmp_path / "h"))}
    )
    as_app(counted, "select 1", 9)
    with postgres.connect(remembered.dsn, timeout_s=10) as connection:
        taken = snapshot.take(connection)
    many = {key: StatementUse(calls=10**6, total_ms=1.0) for key in taken.statements}
    Store(tmp_path / "h").append(taken.model_copy(update={"statements": many}), keep_days=400)
    as_superuser(counted, "select figures.pg_stat_statements_reset()")
    as_app(counted, "select 1", 2)

    evidence = judged("statement_latency", remembered)
    assert evidence.measurements[0].samples == 2


def test_means_of_a_long_time_are_not_taken_for_those_of_today(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    with pytest.raises(NoData, match="does not show in them") as problem:
        judged("statement_latency", database(counted, statements={"window_max_h": 1e-9}))
    assert "databases.NAME.history" in problem.value.remedy


def test_statements_that_are_thrown_out_are_a_miss(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    assert misses(judged("statement_eviction", database(counted))) == ""

    as_app(counted, ";".join(f"with no_{n} as (select 1) table no_{n}" for n in range(120)))
    evidence = judged("statement_eviction", database(counted))
    assert evidence.failures == []
    assert "raise pg_stat_statements.max" in evidence.warnings[0]

    strict = database(counted, statements={"evictions_max_per_day": 0.5})
    assert "raise pg_stat_statements.max" in judged("statement_eviction", strict).failures[0]


def test_without_the_extension_each_says_so(dsn: Dsn) -> None:
    there = Database.model_validate({"name": "d", "dsn": dsn})

    assert "shared_preload_libraries" in misses(judged("slow_query_tracking", there))
    for name in ("statement_latency", "statement_eviction"):
        with pytest.raises(NoData, match="no statistics of its statements"):
            judged(name, there)


def test_an_extension_that_is_not_loaded_is_an_error(dsn: Dsn) -> None:
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        found = "select 1 from pg_available_extensions where name = 'pg_stat_statements'"
        if not connection.execute(found.encode()).fetchone():
            pytest.skip("this PostgreSQL comes without pg_stat_statements")
        connection.execute("create extension pg_stat_statements")
    there = Database.model_validate({"name": "d", "dsn": dsn})

    with pytest.raises(CouldNotMeasure, match="shared_preload_libraries"):
        judged("statement_latency", there)
    with postgres.connect(dsn, timeout_s=10) as connection:
        assert snapshot.take(connection).statements == {}
