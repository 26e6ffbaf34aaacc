"""The checks of the server, its counters and its sessions, against a real one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from readiness.areas.database import AREA
from readiness.areas.database.config import Config
from readiness.areas.database.probes import server, sessions
from readiness.model.errors import NotPermitted
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import (
    database,
    errors,
    execute,
    failures,
    judged,
    name_of,
    warnings,
)
from tests.support.processes import eventually
from tests.support.servers import Run

pytestmark = pytest.mark.contract


@pytest.fixture
def monitor(role: Dsn, run: Run) -> Dsn:
    """The same database, as a monitoring role."""
    run(f"grant pg_monitor to {name_of(role)}")
    return role


@contextmanager
def session(dsn: Dsn, *statements: str, name: str = "shop") -> Iterator[psycopg.Connection]:
    with closing(
        psycopg.connect(dsn.reveal(), autocommit=True, application_name=name)
    ) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection


def test_monitoring_role_needs_pg_monitor_and_the_sequences(monitor: Dsn, run: Run) -> None:
    assert failures("privileges", database(monitor)) == ""
    run("create schema hidden; create sequence hidden.numbers")
    assert "1 of 1 sequences hidden from" in failures("privileges", database(monitor))


def test_missing_rights_are_named(role: Dsn, run: Run) -> None:
    expected = f"3 of 3 parts of pg_monitor missing for {name_of(role)}"
    found = failures("privileges", database(role))
    assert expected in found
    assert f"grant pg_read_all_stats to {name_of(role)}" in found
    # A right that is not inherited is none.
    run(f"alter role {name_of(role)} noinherit; grant pg_monitor to {name_of(role)}")
    assert expected in failures("privileges", database(role))


def test_doctor_lists_the_grants_that_make_the_checks_pass(role: Dsn, run: Run) -> None:
    run("create schema hidden; create sequence hidden.numbers")
    subject = database(role)
    config = Config.model_validate({"target": {"name": "t"}, "databases": {"d": subject}})
    [(_, look)] = [found for found in AREA.looks(config) if "database" in found[0]]
    with pytest.raises(NotPermitted, match="lacks privileges") as problem:
        look()
    assert f"grant pg_monitor to {name_of(role)}" in problem.value.grants
    run("; ".join(problem.value.grants))
    assert "PostgreSQL" in look()
    assert failures("privileges", subject) == ""


def test_doctor_asks_for_pgstattuple_where_a_table_is_large(role: Dsn, run: Run) -> None:
    subject = database(role)
    assert "create extension pgstattuple" not in server.grants(subject)
    run("create table big as select repeat('x', 1000) as t from generate_series(1, 12000)")
    run("analyze big")
    assert "create extension pgstattuple" in server.grants(subject)
    run("create extension pgstattuple")
    assert "create extension pgstattuple" not in server.grants(subject)


def test_superuser_fails(dsn: Dsn) -> None:
    assert "nosuperuser" in failures("privileges.superuser", database(dsn))


def test_unsafe_settings_fail_or_warn(role: Dsn, run: Run) -> None:
    run(f"alter role {name_of(role)} set synchronous_commit = 0")
    subject = database(role)
    # The tests' server runs without fsync.
    found = failures("settings-durability", subject)
    assert found == "fsync is off: a power cut damages the database"
    late = warnings("settings-durability.synchronous-commit", subject)
    assert late.endswith(f"synchronous_commit of the role {name_of(role)} is off:"
                         " a crash loses the last commits")  # fmt: skip


def test_older_release_than_required_fails(role: Dsn) -> None:
    wanted = database(role, limits={"min_version": "99.1", "support_min_days": 36500})
    assert "at least 99.1 required" in failures("version-supported.fixes", wanted)
    assert "at least 36,500 days required" in failures("version-supported.support", wanted)


def test_nearer_connection_limit_of_the_database_counts(monitor: Dsn, run: Run) -> None:
    name = monitor.address.rpartition("/")[2]
    run(f"alter database {name} connection limit 2")
    with session(monitor):
        found = failures("connections.in-use", database(monitor))
    assert "Connections in use of 2 (the database's connection limit): 100 %" in found


@pytest.mark.parametrize(
    "check", ["corruption", "connections", "sessions", "counters", "vacuum", "standby-connected"]
)
def test_missing_right_is_an_error_that_names_the_grant(check: str, role: Dsn) -> None:
    found = errors(check, database(role))
    assert "NotPermitted" in found
    assert f"grant pg_monitor to {name_of(role)}" in found


def test_open_transaction_is_named_unless_it_is_our_own(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"transaction_warn_s": 0.001, "transaction_max_s": 0.001}
    subject = database(monitor, limits=limits)
    with session(dsn, "begin", "select 1", name="readiness-drill"):
        assert failures("sessions.open-transaction", subject) == ""
        with session(dsn, "begin", "select 1", name="nightly"):
            found = failures("sessions.open-transaction", subject)
    assert "transaction_max_s`): process" in found
    assert "nightly (postgres)" in found
    assert "readiness-drill" not in found


def test_short_idle_transaction_is_a_warning(monitor: Dsn, dsn: Dsn) -> None:
    with session(dsn, "begin", "select 1"):
        subject = database(monitor, limits={"idle_transaction_warn_s": 0.001})
        assert "idle in transaction" in warnings("sessions.idle-in-transaction", subject)
        assert warnings("sessions.lock-wait", subject) == ""


def test_idle_session_is_not_a_transaction(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"transaction_warn_s": 0.001, "idle_transaction_warn_s": 0.001}
    with session(dsn, "select 1"):
        assert warnings("sessions", database(monitor, limits=limits)) == ""


def test_holder_of_a_lock_is_named(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"blocked_warn_s": 0.0001, "blocked_max_s": 0.0001}
    subject = database(monitor, limits=limits)
    with (
        session(dsn, "begin", "select pg_advisory_xact_lock(1)", name="migration"),
        session(dsn, name="checkout") as waiter,
    ):
        waiter.pgconn.send_query(b"select pg_advisory_lock(1)")
        assert eventually(lambda: bool(sessions.blocked(subject).found))
        found = failures("sessions.lock-wait", subject)
        waiter.cancel_safe()
    assert "checkout (postgres)" in found
    assert "waits for" in found
    assert "migration (postgres, idle in transaction)" in found


def test_young_server_passes(monitor: Dsn) -> None:
    for key in ("deadlocks", "temp-files", "checkpoints"):
        assert warnings(f"counters.{key}", database(monitor)) == ""
    assert failures("corruption.checksums", database(monitor)) == ""


def test_track_counts_off_is_an_error(monitor: Dsn, run: Run) -> None:
    run(f"alter role {name_of(monitor)} set track_counts = off")
    found = errors("counters", database(monitor))
    assert "the server counts nothing: track_counts is off" in found


def test_unused_cache_is_a_warning(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("postgres")
    with PrivatePostgres.start(folder) as fresh:
        execute(fresh.dsn(), "select pg_stat_reset()")
        found = warnings("counters.cache-hits", database(Dsn(fresh.dsn())))
        assert "Blocks read since the counters began" in found
        found = warnings("counters.reach", database(Dsn(fresh.dsn())))
        assert "the server itself is no older; judged from 20" in found
        assert judged("counters", database(Dsn(fresh.dsn()))).lost == []
        assert failures("counters.deadlocks", database(Dsn(fresh.dsn()))) == ""


def test_unreachable_server_is_an_error() -> None:
    away = database(Dsn("postgresql://nobody@127.0.0.1:1/none"), timeout_s=2)
    assert "nreachable" in errors("privileges", away)
