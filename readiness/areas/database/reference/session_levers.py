"""Levers on sessions, which stay open, hold locks, fill pools, or leave traces in the counters.

The sessions use other names than those of this tool, which no check looks at. A session that only
has to be open runs something small again and again: one long statement would be a slow query as
well, for which there is an alert. What a server never stops counting is done in a database that is
dropped, and its counters with it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
from psycopg import errors

from readiness.areas.database.config import Pooler as PoolerSettings
from readiness.areas.database.probes import sessions
from readiness.areas.database.reference.parts import POOL_SIZE, DatabaseParts, Pooler
from readiness.lib.retry import until
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import Dsn
from readiness.servers.shop import NAME as SHOP
from readiness.servers.shop import Server

Connection = psycopg.Connection[tuple[object, ...]]

_NAME: Final = "orders-report"
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
_SCRATCH: Final = "readiness_fault"
_SOURCE: Final = "readiness_fault_source"
_FROM_15: Final = 150000
_DEADLOCKS: Final = 3
_SCANS: Final = 10
_MOST_SCANS: Final = 200
_COUNTED: Final = "select {} from pg_stat_database where datname = 'readiness_fault'"
_SPILL: Final = """
set work_mem = '64kB';
select count(*) from (select g from generate_series(1, 2500000) g order by -g offset 0) s"""
# Larger than a quarter of the shared buffers: a scan of it keeps nothing in them. The inserted rows
# stay there, though, until the table is rewritten.
_LARGE: Final = """
create unlogged table large (filler text);
alter table large alter filler set storage plain;
insert into large select repeat('x', 7500) from generate_series(1, 5000)"""
_ANEW: Final = "vacuum full large"
_HITS: Final = """
select sum(blks_hit)::float8 / sum(blks_hit + blks_read) < 0.985 from pg_stat_database"""


@contextlib.contextmanager
def session(dsn: str, *statements: str) -> Iterator[Connection]:
    """A session of an application, in autocommit, that has run some statements."""
    with contextlib.closing(
        psycopg.connect(dsn, autocommit=True, connect_timeout=5, application_name=_NAME)
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection


def execute(dsn: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with session(dsn, *statements):
        pass


def fetch_one(dsn: str, query: str) -> object:
    """The first value that a query returns; None if there is none."""
    with session(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def await_true(dsn: str, query: str) -> None:
    """Wait until a query returns true; raises ReferenceSystemError after 40 s."""
    with session(dsn) as connection:
        _await(lambda: connection.execute(query.encode()).fetchone() == (True,), query)


class SessionLevers:
    """Sessions that do what they should not. Every method gives a context manager."""

    _parts: DatabaseParts

    @contextlib.contextmanager
    def connections_taken(self, *, left: float) -> Iterator[None]:
        """Take connections until only that share of them is left."""
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(session(self._parts.shop.app))
            row = first.execute(_ROOM.encode()).fetchone()
            usable, used = (int(str(n)) for n in row or (0, 0))
            for _ in range(used, round(usable * (1 - left))):
                stack.enter_context(session(self._parts.shop.app))
            yield

    @contextlib.contextmanager
    def transaction_open(self, seconds: float) -> Iterator[None]:
        """Have a transaction open for that long, and longer; it does something all the time."""
        with _busy_transaction(self._parts.shop.owner):
            self._await_session("xact_start", seconds)
            yield

    @contextlib.contextmanager
    def transaction_forgotten(self, seconds: float) -> Iterator[None]:
        """Have a transaction open that does nothing for that long, and longer."""
        with session(self._parts.shop.owner, "begin", "select 1"):
            self._await_session("state_change", seconds)
            yield

    @contextlib.contextmanager
    def lock_forgotten(self) -> Iterator[None]:
        """Have sessions wait for a lock that another one holds and does not release."""
        dsn = self._parts.shop.owner
        with contextlib.ExitStack() as stack:
            stack.enter_context(session(dsn, f"select pg_advisory_lock({_LOCK})"))
            for number in range(_WAITERS):
                limit = f"set lock_timeout = {_LOCK_TIMEOUT_MS}"
                ask = _asking(stack.enter_context(session(dsn, limit)))
                offset_s = number * _LOCK_TIMEOUT_MS / 1000 / _WAITERS
                stack.enter_context(_again_and_again(ask, 0.0, first_s=offset_s))
            yield

    @contextlib.contextmanager
    def pool_exhausted(self) -> Iterator[None]:
        """Have a client of the pooler wait while others hold all of its connections."""
        pooler = self._pooler()
        settings = PoolerSettings(dsn=Dsn(pooler.console))

        def waits() -> bool:
            waited = sessions.pools(settings).longest_wait.value
            return float(waited) > 2 * settings.wait_warn_s

        with contextlib.ExitStack() as stack:
            for _ in range(POOL_SIZE):
                stack.enter_context(_busy_transaction(pooler.client))
            waiter = stack.enter_context(session(pooler.client))
            waiter.pgconn.send_query(b"select 1")
            _await(waits, "SHOW POOLS")
            yield

    @contextlib.contextmanager
    def pool_paused(self) -> Iterator[None]:
        """Pause the statements of all clients of the pooler."""
        with session(self._pooler().admin, f"PAUSE {SHOP}") as connection:
            try:
                yield
            finally:
                connection.execute(f"RESUME {SHOP}".encode())

    @contextlib.contextmanager
    def deadlocks(self) -> Iterator[None]:
        """Have three deadlocks counted."""
        server = self._parts.server
        with _scratch(server) as dsn:
            for _ in range(_DEADLOCKS):
                _deadlock(dsn)
            await_true(server.dsn(), _COUNTED.format(f"deadlocks >= {_DEADLOCKS}"))
            yield

    @contextlib.contextmanager
    def spilled_sort(self) -> Iterator[None]:
        """Have a sort of more than 50 MB written to disk, and counted."""
        server = self._parts.server
        with _scratch(server) as dsn:
            execute(dsn, _SPILL)
            await_true(server.dsn(), _COUNTED.format("temp_bytes > 50000000"))
            yield

    @contextlib.contextmanager
    def uncached_reads(self) -> Iterator[None]:
        """Read a table that does not fit into the cache until the share of hits is low."""
        server = self._parts.server
        with _scratch(server) as dsn:
            execute(dsn, _LARGE, _ANEW)
            for _ in range(_MOST_SCANS // _SCANS):
                execute(dsn, *["select count(*) from large"] * _SCANS)
                if fetch_one(server.dsn(), _HITS):
                    break
            await_true(server.dsn(), _HITS)
            yield

    @contextlib.contextmanager
    def damaged_page(self) -> Iterator[None]:
        """Change bytes of a page on the disk, and read it."""
        server = self._parts.server
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(_scratch(server, _SOURCE))
            execute(source, "create table t as select generate_series(1, 1000) i")
            # Copied file by file, so that no page of the copy is in the cache.
            options = f"template {_SOURCE}"
            if int(str(fetch_one(server.dsn(), "show server_version_num"))) >= _FROM_15:
                options += " strategy file_copy"
            dsn = stack.enter_context(_scratch(server, _SCRATCH, options))
            path = fetch_one(dsn, "select pg_relation_filepath('t')")
            flip = f"printf readiness | dd of={path} bs=1 seek=6000 conv=notrunc"
            execute(dsn, f"copy (select 1) to program '{flip} 2>/dev/null'")
            with contextlib.suppress(errors.DataCorrupted):
                execute(dsn, "select count(*) from t")
            await_true(server.dsn(), _COUNTED.format("checksum_failures > 0"))
            yield

    def _pooler(self) -> Pooler:
        if self._parts.pooler is None:
            raise ReferenceSystemError("this system has no pooler")
        return self._parts.pooler

    def _await_session(self, since: str, seconds: float) -> None:
        await_true(
            self._parts.shop.admin,
            f"select coalesce(max(clock_timestamp() - {since}) > interval '{seconds} s', false)"  # noqa: S608
            f" from pg_stat_activity where application_name = '{_NAME}'",
        )


@contextlib.contextmanager
def _scratch(server: Server, name: str = _SCRATCH, options: str = "") -> Iterator[str]:
    """A database that is dropped at the end; gives its address, as superuser."""
    execute(server.dsn(), f"create database {name} {options}")
    try:
        yield server.dsn(name)
    finally:
        execute(server.dsn(), f"drop database if exists {name} with (force)")


@contextlib.contextmanager
def _busy_transaction(dsn: str) -> Iterator[None]:
    """An open transaction whose session is never idle for long."""

    def touch() -> None:
        # The server may be taken away meanwhile.
        with contextlib.suppress(psycopg.OperationalError):
            connection.execute("select 1")

    with session(dsn, "begin") as connection, _again_and_again(touch, _BUSY_S):
        yield


@contextlib.contextmanager
def _again_and_again(
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


def _asking(connection: Connection) -> Callable[[], None]:
    def ask() -> None:
        with contextlib.suppress(errors.LockNotAvailable, psycopg.OperationalError):
            connection.execute("select pg_advisory_lock(%s)", [_LOCK])

    return ask


def _deadlock(dsn: str) -> None:
    """Two transactions that wait for each other; the server ends one of them."""
    begin = ("set deadlock_timeout = '50ms'", "begin")
    with (
        session(dsn, *begin, "select pg_advisory_xact_lock(1)") as one,
        session(dsn, *begin, "select pg_advisory_xact_lock(2)") as other,
    ):
        one.pgconn.send_query(b"select pg_advisory_xact_lock(2)")
        with contextlib.suppress(errors.DeadlockDetected):
            other.execute("select pg_advisory_xact_lock(1)")


def _await(condition: Callable[[], bool], what: str) -> None:
    if not until(condition, bool, within_s=_WITHIN_S, every_s=0.1):
        raise ReferenceSystemError(f"was not true within {_WITHIN_S:g} s", where=what)
