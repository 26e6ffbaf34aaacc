"""The checks of the server, of what it counted and of its sessions, against a real one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from readiness.areas.database.probes import activity
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import database, execute, failures, judged, name_of, warnings
from tests.support.servers import Run
from tests.support.waiting import eventually

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


def test_a_monitoring_role_has_what_it_needs(monitor: Dsn) -> None:
    assert failures("server.privileges", database(monitor)) == ""


def test_a_role_without_rights_lacks_them_by_name(role: Dsn) -> None:
    found = failures("server.privileges", database(role))
    assert "parts of pg_monitor that it lacks 3" in found
    assert f"grant pg_monitor to {name_of(role)}" in found


def test_rights_that_are_not_inherited_are_none(monitor: Dsn, run: Run) -> None:
    run(f"revoke pg_monitor from {name_of(monitor)}; alter role {name_of(monitor)} noinherit")
    run(f"grant pg_monitor to {name_of(monitor)}")
    assert "lacks 3" in failures("server.privileges", database(monitor))


def test_a_superuser_is_too_much(dsn: Dsn) -> None:
    assert "nosuperuser" in failures("server.privileges", database(dsn))


def test_a_sequence_that_cannot_be_read_is_named(monitor: Dsn, run: Run) -> None:
    run("create schema hidden; create sequence hidden.numbers")
    assert "hidden.numbers" in failures("server.privileges", database(monitor))


def test_settings_that_lose_data_fail(role: Dsn) -> None:
    found = failures("server.settings-durability", database(role))  # the tests' server has no fsync
    assert found.startswith("fsync off, must be != off")
    assert "full_page_writes" not in found


def test_a_role_that_does_not_wait_for_the_disk_is_a_warning(role: Dsn, run: Run) -> None:
    run(f"alter role {name_of(role)} set synchronous_commit = 0")
    evidence = judged("server.settings-durability", database(role))
    run(f"alter role {name_of(role)} reset synchronous_commit")

    assert f"synchronous_commit of the role {name_of(role)} off" in "; ".join(evidence.warnings)


def test_checksums_are_on_and_none_was_wrong(monitor: Dsn) -> None:
    assert failures("server.data-checksums", database(monitor)) == ""


def test_an_older_release_than_is_wanted_fails(role: Dsn) -> None:
    wanted = database(role, limits={"min_version": "99.1"})
    assert "`min_version`" in failures("server.version-supported", wanted)


def test_the_limit_of_the_database_counts_if_it_is_nearer(monitor: Dsn, run: Run) -> None:
    name = monitor.address.rpartition("/")[2]
    run(f"alter database {name} connection limit 2")
    with session(monitor):
        found = failures("server.connections", database(monitor))
    assert "connections in use of 2 (the database's connection limit)" in found


@pytest.mark.parametrize(
    "check",
    [
        "server.data-checksums",
        "server.connections",
        "activity.long-transactions",
        "activity.idle-in-transaction",
        "activity.blocked-sessions",
        "counters.deadlocks",
        "counters.cache-hits",
        "counters.temp-files",
        "vacuum.xmin-horizon",
    ],
)
def test_what_cannot_be_seen_is_an_error_that_names_the_grant(check: str, role: Dsn) -> None:
    with pytest.raises(NotPermitted) as problem:
        judged(check, database(role))
    assert f"grant pg_monitor to {name_of(role)}" in problem.value.remedy


def test_an_open_transaction_is_named_and_ours_is_not(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"transaction_warn_s": 0.001, "transaction_max_s": 0.001}
    with session(dsn, "begin", "select 1", name="readiness-drill"):
        assert failures("activity.long-transactions", database(monitor, limits=limits)) == ""
        with session(dsn, "begin", "select 1", name="nightly"):
            found = failures("activity.long-transactions", database(monitor, limits=limits))
    assert "nightly (postgres)" in found
    assert "readiness-drill" not in found


def test_what_warns_does_not_fail(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"idle_transaction_warn_s": 0.001}
    with session(dsn, "begin", "select 1"):
        subject = database(monitor, limits=limits)
        assert "idle in transaction" in warnings("activity.idle-in-transaction", subject)
        # It is not one that waits.
        assert warnings("activity.blocked-sessions", subject) == ""


def test_an_idle_session_is_no_transaction(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"transaction_warn_s": 0.001, "idle_transaction_warn_s": 0.001}
    with session(dsn, "select 1"):
        for check in ("activity.long-transactions", "activity.idle-in-transaction"):
            assert warnings(check, database(monitor, limits=limits)) == ""


def test_whoever_blocks_is_named(monitor: Dsn, dsn: Dsn) -> None:
    limits = {"blocked_warn_s": 0.0001, "blocked_max_s": 0.0001}
    subject = database(monitor, limits=limits)
    with (
        session(dsn, "begin", "select pg_advisory_xact_lock(1)", name="migration"),
        session(dsn, name="checkout") as waiter,
    ):
        waiter.pgconn.send_query(b"select pg_advisory_lock(1)")
        assert eventually(lambda: bool(activity.blocked(subject).found))
        found = failures("activity.blocked-sessions", subject)
        waiter.cancel_safe()
    assert "checkout (postgres)" in found
    assert "waits for" in found
    assert "migration (postgres, idle in transaction)" in found


def test_a_server_that_counts_nothing_is_an_error(monitor: Dsn, run: Run) -> None:
    run(f"alter role {name_of(monitor)} set track_counts = off")
    with pytest.raises(NoData, match="track_counts"):
        judged("counters.deadlocks", database(monitor))


def test_a_young_server_passes_by_what_there_is(monitor: Dsn) -> None:
    for check in ("counters.deadlocks", "counters.temp-files", "counters.checkpoints"):
        assert warnings(check, database(monitor)) == ""


def test_a_cache_that_nobody_used_is_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("postgres")
    with PrivatePostgres.start(folder) as fresh:
        execute(fresh.dsn(), "select pg_stat_reset()")
        with pytest.raises(NoData, match="blocks were read since the counters began"):
            judged("counters.cache-hits", database(Dsn(fresh.dsn())))


def test_a_server_that_is_away_is_an_error() -> None:
    away = database(Dsn("postgresql://nobody@127.0.0.1:1/none"), timeout_s=2)
    with pytest.raises(CouldNotMeasure):
        judged("server.privileges", away)
