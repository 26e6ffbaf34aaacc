"""The checks of statements against a real server that counts them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.database.probes import counters
from readiness.areas.database.snapshots import Snapshot, StatementUse, Store
from readiness.lib import postgres
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import database as declared
from tests.support.database_health import (
    errors,
    execute,
    failures,
    judged,
    missed,
    obey,
    warnings,
)

pytestmark = pytest.mark.contract

_RESET = "select figures.pg_stat_statements_reset()"


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
        roles = ("watcher", "app", "blind")
        execute(
            server.dsn(),
            *(f"create role {role} login password 'correct horse'" for role in roles),
            "grant pg_monitor to watcher",
            "create schema figures",
            "create extension pg_stat_statements schema figures",
            "grant usage on schema figures to watcher, blind",
        )
        yield server


@pytest.fixture
def counted(counting: PrivatePostgres) -> PrivatePostgres:
    """The same, with counters that begin now."""
    execute(counting.dsn(), _RESET)
    return counting


def as_app(server: PrivatePostgres, statement: str, times: int = 1) -> None:
    execute(server.dsn(user="app", password="correct horse"), *[statement] * times)


def database(server: PrivatePostgres, role: str = "watcher", **more: object) -> Database:
    return declared(Dsn(server.dsn(user=role, password="correct horse")), **more)


def remembered(server: PrivatePostgres, folder: Path) -> Database:
    """With a history, and judged by every call of the application."""
    mine = {"min_calls": 1, "roles": ["app"]}
    return database(server, statements=mine, history={"path": str(folder / "h")})


def taken(subject: Database) -> Snapshot:
    with postgres.connect(subject.dsn, timeout_s=10) as connection:
        return counters.take(connection)


def test_server_that_counts_and_logs_statements_passes(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1")

    assert failures("slow-query-tracking", database(counted)) == ""


def test_hidden_settings_are_an_error(counted: PrivatePostgres) -> None:
    found = errors("slow-query-tracking", database(counted, "blind"))
    assert "NotPermitted: pg_settings: the role may not see shared_preload_libraries" in found
    assert 'grant pg_read_all_settings to "blind"' in found


def test_hidden_statements_are_an_error(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 30)
    found = errors("statement-latency", database(counted, "blind"))
    assert "NotPermitted" in found
    assert "pg_read_all_stats" in found


def test_log_threshold_above_the_limit_fails(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1")
    strict = database(counted, statements={"logged_from_ms": 100.0})

    found = failures("slow-query-tracking", strict)
    assert "Statements are logged from: 250 ms; limit 100 ms" in found
    assert "alter system set log_min_duration_statement = 100" in found


def test_slow_statement_is_named_with_its_level_and_role(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    as_app(counted, "select pg_sleep(0.03) -- of the report", 20)
    levels = {"warning_ms": 5.0, "alert_ms": 10.0, "critical_ms": 20.0}

    evidence = judged("statement-latency", database(counted, statements=levels))

    (found,) = evidence.failures
    assert "critical: 3" in found
    assert "in 20 calls by app: select pg_sleep($1)" in found


def test_statement_at_the_first_level_is_a_warning(counted: PrivatePostgres) -> None:
    as_app(counted, "select pg_sleep(0.03)", 20)

    subject = database(counted, statements={"warning_ms": 10.0})

    assert "warning: 3" in warnings("statement-latency", subject)


def test_too_few_calls_are_no_data(counted: PrivatePostgres) -> None:
    as_app(counted, "select pg_sleep(0.3)", 2)

    found = errors("statement-latency", database(counted))
    assert "no statement of the application ran 20 times" in found


def test_statements_of_other_roles_and_the_gate_are_not_judged(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    as_app(
        counted, "with readiness_slow_query as (select pg_sleep(0.2)) table readiness_slow_query"
    )
    as_app(counted, "select pg_sleep(0.2)\n/* readiness */")
    execute(counted.dsn(), "select pg_sleep(0.2)")
    mine = {"roles": ["app"], "min_calls": 1}

    assert failures("statement-latency", database(counted, statements=mine)) == ""


def test_calls_before_the_window_do_not_count(counted: PrivatePostgres, tmp_path: Path) -> None:
    as_app(counted, "select pg_sleep(0.15)", 2)
    subject = remembered(counted, tmp_path)
    Store(tmp_path / "h").append(taken(subject), keep_days=400)
    as_app(counted, "select pg_sleep(0.0001)", 2)

    assert failures("statement-latency", subject) == ""


def test_counters_reset_after_the_snapshot_count_from_zero(
    counted: PrivatePostgres, tmp_path: Path
) -> None:
    subject = remembered(counted, tmp_path)
    as_app(counted, "select 1", 9)
    before = taken(subject)
    many = {key: StatementUse(calls=10**6, total_ms=1.0) for key in before.statements}
    Store(tmp_path / "h").append(before.model_copy(update={"statements": many}), keep_days=400)
    execute(counted.dsn(), _RESET)
    as_app(counted, "select 1", 2)

    evidence = judged("statement-latency", subject)
    assert evidence.measurements[0].samples == 2


def test_means_of_too_long_a_window_are_no_data(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    found = errors("statement-latency", database(counted, statements={"window_max_h": 1e-9}))
    assert "does not show in them" in found
    assert "databases.NAME.history" in found


def test_snapshot_just_before_the_run_hides_no_statement(
    counted: PrivatePostgres, tmp_path: Path
) -> None:
    as_app(counted, "select pg_sleep(0.02)", 20)
    subject = database(
        counted,
        statements={"warning_ms": 10.0, "roles": ["app"]},
        history={"path": str(tmp_path / "h")},
    )
    Store(tmp_path / "h").append(taken(subject), keep_days=400)

    assert "in 20 calls by app" in warnings("statement-latency", subject)


def test_evictions_warn_then_fail(counted: PrivatePostgres) -> None:
    as_app(counted, "select 1", 25)
    assert warnings("statement-eviction", database(counted)) == ""

    as_app(counted, ";".join(f"with no_{n} as (select 1) table no_{n}" for n in range(120)))
    found = warnings("statement-eviction", database(counted))
    assert "raise pg_stat_statements.max" in found

    strict = database(counted, statements={"evictions_max_per_day": 0.5})
    assert "evictions_max_per_day`): each removes" in failures("statement-eviction", strict)


def test_evictions_by_a_dump_are_not_the_applications(counted: PrivatePostgres) -> None:
    names = [f"dumped_{n}" for n in range(120)]
    execute(counted.dsn(), ";".join(f"create table {name} ()" for name in names), _RESET)
    locks = ";".join(f"LOCK TABLE {name} IN ACCESS SHARE MODE" for name in names)
    execute(counted.dsn(), f"begin; {locks}; commit")

    strict = database(counted, statements={"evictions_max_per_day": 0.5})
    found = warnings("statement-eviction", strict)
    assert "that ran once are pg_dump's or those of watcher" in found
    assert failures("statement-eviction", strict) == ""


def test_missing_extension_is_named_by_each_check(dsn: Dsn) -> None:
    subject = declared(dsn)

    assert "shared_preload_libraries" in failures("slow-query-tracking.installed", subject)
    for check in ("statement-latency", "statement-eviction"):
        assert "no statistics of its statements" in errors(check, subject)


def test_extension_that_is_not_loaded_is_an_error(dsn: Dsn) -> None:
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        found = "select 1 from pg_available_extensions where name = 'pg_stat_statements'"
        if not connection.execute(found.encode()).fetchone():
            pytest.skip("this PostgreSQL comes without pg_stat_statements")
        connection.execute("create extension pg_stat_statements")

    assert "shared_preload_libraries" in errors("statement-latency", declared(dsn))
    assert taken(declared(dsn)).statements == {}


def test_the_libraries_that_are_loaded_stay(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Named in one text, as postgresql.conf has them, the server would look for one library."""
    settings = {"shared_preload_libraries": "auto_explain, passwordcheck"}
    with PrivatePostgres.start(tmp_path_factory.mktemp("postgres"), settings=settings) as server:
        subject = declared(Dsn(server.dsn()))
        execute(server.dsn(), "alter system set log_min_duration_statement = -1")
        obey(missed(judged("slow-query-tracking", subject)), partial(execute, server.dsn()))
        server.restart()
        for key in ("installed", "logged"):
            assert failures(f"slow-query-tracking.{key}", subject) == ""
        with psycopg.connect(server.dsn()) as connection:
            found = connection.execute("show shared_preload_libraries").fetchone()
        assert found == ("auto_explain, passwordcheck, pg_stat_statements",)
