"""The PostgreSQL client against a real server, and against its absence."""

import os
import signal
import socket
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.lib.postgres.session import uncompiled
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong, Unreachable
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres

pytestmark = pytest.mark.contract


def _with_password(dsn: Dsn, password: str) -> Dsn:
    head, at, tail = dsn.reveal().rpartition("@")
    return Dsn(f"{head.rpartition(':')[0]}:{password}{at}{tail}")


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_query_returns_a_value_under_our_application_name(dsn: Dsn) -> None:
    with connect(dsn, timeout_s=5, application_name="readiness-test") as connection:
        name = fetch_value(connection, "select current_setting('application_name')")
    assert name == "readiness-test"


def test_parameters_and_percent_signs_are_passed(dsn: Dsn) -> None:
    with connect(dsn, timeout_s=5) as connection:
        assert fetch(connection, "select %s::int + 1", [1]) == [(2,)]
        assert fetch(connection, "select 'a' like '%a'") == [(True,)]


def test_a_stopped_server_is_unreachable(closed_port: int) -> None:
    dsn = Dsn(f"postgresql://me:hidden-word@127.0.0.1:{closed_port}/db")
    with pytest.raises(Unreachable, match=r"pg_isready -h 127\.0\.0\.1") as caught:
        connect(dsn, timeout_s=2).__enter__()
    assert "hidden-word" not in str(caught.value)


def test_a_server_that_never_answers_is_an_error(silent_port: int) -> None:
    dsn = Dsn(f"postgresql://me@127.0.0.1:{silent_port}/db")
    with pytest.raises(Unreachable):
        connect(dsn, timeout_s=2).__enter__()


def test_a_wrong_password_is_not_permitted(role: Dsn) -> None:
    with pytest.raises(NotPermitted) as caught:
        connect(_with_password(role, "wrong-horse"), timeout_s=5).__enter__()
    assert "wrong-horse" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "more", "remedy"),
    [
        ("alter role {role} connection limit 0", {}, "no connection is left"),
        ("alter database {database} allow_connections false", {}, "allow_connections true"),
        ("", {"dbname": "nowhere"}, "psql -l"),
        ("", {"host": "nowhere.invalid"}, "getent hosts"),
        ("", {"sslmode": "require"}, "`sslmode`"),
    ],
)
def test_a_refused_connection_has_the_remedy_for_its_reason(
    server: PrivatePostgres, role: Dsn, change: str, more: dict[str, str], remedy: str
) -> None:
    parts = conninfo_to_dict(role.reveal())
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(change.format(role=parts["user"], database=parts["dbname"]))
    with pytest.raises(Unreachable, match=remedy):
        connect(Dsn(make_conninfo(role.reveal(), **more)), timeout_s=5).__enter__()


def test_a_connection_string_with_a_mistake_is_not_repeated() -> None:
    with pytest.raises(CouldNotMeasure) as caught:
        connect(Dsn("host=127.0.0.1 secret-word-in-the-wrong-place"), timeout_s=5).__enter__()
    assert "secret-word" not in str(caught.value)


def test_a_missing_privilege_is_not_permitted(shop: Dsn, role: Dsn) -> None:
    with (
        pytest.raises(NotPermitted, match=r"select \* from shop\.orders"),
        connect(role, timeout_s=5) as connection,
    ):
        fetch(connection, "select *\nfrom shop.orders")


@pytest.mark.parametrize("mistake", ["select * from nothing", "selec 1", "select 1 / 0"])
def test_a_mistake_in_sql_names_the_statement(dsn: Dsn, mistake: str) -> None:
    with pytest.raises(CouldNotMeasure) as caught, connect(dsn, timeout_s=5) as connection:
        fetch(connection, mistake)
    assert caught.value.where == mistake


@pytest.mark.parametrize("nothing", ["select 1 where false", "select null", "select 1, 2"])
def test_a_missing_value_is_no_data(dsn: Dsn, nothing: str) -> None:
    with pytest.raises(NoData), connect(dsn, timeout_s=5) as connection:
        fetch_value(connection, nothing)


def test_a_slow_statement_is_cancelled(dsn: Dsn) -> None:
    with pytest.raises(TookTooLong, match="pg_sleep"), connect(dsn, timeout_s=0.1) as connection:
        fetch(connection, "select pg_sleep(60)")


def test_the_whole_use_of_a_connection_has_a_deadline(dsn: Dsn) -> None:
    with pytest.raises(TookTooLong, match="aborted after"):
        _ask_for_ever(dsn)


def _ask_for_ever(dsn: Dsn) -> None:
    end = time.monotonic() + 30
    with connect(dsn, timeout_s=5, total_s=0.2) as connection:
        while time.monotonic() < end:
            fetch(connection, "select 1")


def test_a_hanging_server_does_not_block_us(dsn: Dsn) -> None:
    with pytest.raises(TookTooLong, match="aborted after"):
        _ask_one_that_hangs(dsn)


def _ask_one_that_hangs(dsn: Dsn) -> None:
    with connect(dsn, timeout_s=5, total_s=0.5) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            fetch(connection, "select 1")
        finally:
            os.kill(backend, signal.SIGCONT)


def test_a_pooler_is_left_without_our_settings(pooler: str, server: PrivatePostgres) -> None:
    """PgBouncer hands the one session that it has from client to client, after each statement."""
    through = Dsn(f"{pooler}shop")
    reads = "select current_setting('statement_timeout'), current_setting('jit')"
    with connect(through, timeout_s=5) as connection:
        uncompiled(connection)
        # psycopg prepares what it executes often, in whichever session it reached.
        for _ in range(7):
            assert fetch(connection, "select %s::int", [1]) == [(1,)]
    with psycopg.connect(through.reveal()) as application:
        assert application.execute(reads).fetchall() == [("0", "on")]
        assert application.execute("select * from pg_prepared_statements").fetchall() == []
    with connect(Dsn(server.dsn()), timeout_s=5) as connection:
        uncompiled(connection)
        assert fetch(connection, reads) == [("5s", "off")]


def test_behind_a_pooler_a_wait_ends_as_well(pooler: str) -> None:
    with (
        pytest.raises(TookTooLong, match=r"aborted after 0\.3 s"),
        connect(Dsn(f"{pooler}shop"), timeout_s=5, total_s=0.3) as connection,
    ):
        fetch(connection, "select pg_sleep(30)")
