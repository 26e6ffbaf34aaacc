"""Sessions that do what they should not: stay open, hold locks, fill pools.

They call themselves by other names than this tool, whose own sessions no check looks at. What
runs as one long statement would be a slow query as well, for which there is an alert: so those
that only have to be open do something small, again and again.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
from psycopg import errors

from readiness.lib.retry import until
from readiness.model.errors import ReferenceSystemError

_Connection = psycopg.Connection[tuple[object, ...]]

NAME: Final = "orders-report"
_BUSY_S: Final = 0.4
_WITHIN_S: Final = 40.0
_LOCK: Final = 4711
# Each of them gives up and asks again before it is a slow query; one of them always waits long.
_WAITERS: Final = 3
_LOCK_TIMEOUT_MS: Final = 2400
_ROOM: Final = """
select current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int, count(*)
from pg_stat_activity where backend_type = 'client backend'"""


def connected(dsn: str) -> _Connection:
    """A session of an application, in autocommit."""
    return psycopg.connect(dsn, autocommit=True, connect_timeout=5, application_name=NAME)


def await_true(dsn: str, query: str) -> None:
    """Wait until a query gives true.

    Raises:
        ReferenceSystemError: it does not within 40 s.
    """
    with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        await_condition(lambda: connection.execute(query.encode()).fetchone() == (True,), query)


def await_condition(condition: Callable[[], bool], what: str) -> None:
    """Wait until something has come true.

    Raises:
        ReferenceSystemError: it does not within 40 s.
    """
    if not until(condition, bool, within_s=_WITHIN_S, every_s=0.1):
        raise ReferenceSystemError(f"does not come true within {_WITHIN_S:g} s", where=what)


@contextlib.contextmanager
def again_and_again(
    do: Callable[[], None], every_s: float, *, first_s: float = 0.0
) -> Iterator[None]:
    """Do something in the background while the block runs."""
    ended = threading.Event()

    def work() -> None:
        ended.wait(first_s)
        while not ended.is_set():
            do()
            ended.wait(every_s)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def busy_transaction(dsn: str) -> Iterator[_Connection]:
    """A transaction that goes on and on; its session is never idle for long."""
    with contextlib.closing(connected(dsn)) as connection:
        connection.execute("begin")
        with again_and_again(lambda: _touch(connection), _BUSY_S):
            yield connection


@contextlib.contextmanager
def idle_transaction(dsn: str) -> Iterator[None]:
    """A transaction that was begun, and forgotten."""
    with contextlib.closing(connected(dsn)) as connection:
        connection.execute("begin")
        connection.execute("select 1")
        yield


@contextlib.contextmanager
def old_snapshot(dsn: str) -> Iterator[None]:
    """A transaction that goes on seeing the rows of its beginning."""
    with contextlib.closing(connected(dsn)) as connection:
        connection.execute("begin isolation level repeatable read; select 1")
        yield


@contextlib.contextmanager
def locking(dsn: str, table: str) -> Iterator[None]:
    """A transaction with the lock of a migration: rows can be read and written."""
    with contextlib.closing(connected(dsn)) as connection:
        connection.execute(f"begin; lock table {table} in share update exclusive mode".encode())
        yield


@contextlib.contextmanager
def waiting(dsn: str) -> Iterator[None]:
    """Sessions that wait for a lock which another one forgot to give back."""
    with contextlib.ExitStack() as stack:
        holder, *waiters = [
            stack.enter_context(contextlib.closing(connected(dsn))) for _ in range(1 + _WAITERS)
        ]
        holder.execute("select pg_advisory_lock(%s)", [_LOCK])
        for number, waiter in enumerate(waiters):
            waiter.execute(f"set lock_timeout = {_LOCK_TIMEOUT_MS}".encode())
            offset_s = number * _LOCK_TIMEOUT_MS / 1000 / _WAITERS
            stack.enter_context(again_and_again(_asks(waiter), 0.0, first_s=offset_s))
        yield


@contextlib.contextmanager
def many(dsn: str, left: float) -> Iterator[None]:
    """So many sessions that only that share of the connections is left to others."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.closing(connected(dsn)))
        row = first.execute(_ROOM.encode()).fetchone()
        usable, used = (int(str(n)) for n in row or (0, 0))
        for _ in range(used, round(usable * (1 - left))):
            stack.enter_context(contextlib.closing(connected(dsn)))
        yield


@contextlib.contextmanager
def full_pool(dsn: str, size: int, waits: Callable[[], bool]) -> Iterator[None]:
    """Clients that hold every connection of a pool, and one that waits, as `waits` tells."""
    with contextlib.ExitStack() as stack:
        for _ in range(size):
            stack.enter_context(busy_transaction(dsn))
        waiter = stack.enter_context(contextlib.closing(connected(dsn)))
        waiter.pgconn.send_query(b"select 1")
        await_condition(waits, "SHOW POOLS")
        yield


def _touch(connection: _Connection) -> None:
    # The server may be taken away meanwhile: then there is nothing to hold any more.
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute("select 1")


def _asks(connection: _Connection) -> Callable[[], None]:
    def ask() -> None:
        with contextlib.suppress(errors.LockNotAvailable, psycopg.OperationalError):
            connection.execute("select pg_advisory_lock(%s)", [_LOCK])

    return ask
