"""What a server counts for ever, made to happen in a database that is dropped: so is the count."""

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import errors

from readiness.areas.database.reference.session_levers import await_true, connected
from readiness.servers.shop import Server

NAME: Final = "readiness_fault"
_SOURCE: Final = "readiness_fault_source"
_FROM_15: Final = 150000
_DEADLOCKS: Final = 3
_SCANS: Final = 10
_MOST_SCANS: Final = 200
_COUNTED: Final = "select {} from pg_stat_database where datname = 'readiness_fault'"
_SPILL: Final = """
set work_mem = '64kB';
select count(*) from (select g from generate_series(1, 2500000) g order by -g offset 0) s"""
# Larger than a quarter of the shared buffers: a scan of it keeps nothing in them. What was
# inserted lies there, though, until it is written anew.
_LARGE: Final = """
create unlogged table large (filler text);
alter table large alter filler set storage plain;
insert into large select repeat('x', 7500) from generate_series(1, 5000)"""
_ANEW: Final = "vacuum full large"
_HITS: Final = """
select sum(blks_hit)::float8 / sum(blks_hit + blks_read) < 0.985 from pg_stat_database"""


@contextlib.contextmanager
def database(server: Server, name: str = NAME, options: str = "") -> Iterator[str]:
    """A database that is dropped at the end; gives its address, as superuser."""
    _admin(server, f"create database {name} {options}")
    try:
        yield server.dsn(name)
    finally:
        _admin(server, f"drop database if exists {name} with (force)")


@contextlib.contextmanager
def deadlocks(server: Server) -> Iterator[None]:
    """Three deadlocks, counted."""
    with database(server) as dsn:
        for _ in range(_DEADLOCKS):
            _deadlock(dsn)
        await_true(server.dsn(), _COUNTED.format(f"deadlocks >= {_DEADLOCKS}"))
        yield


@contextlib.contextmanager
def spilled(server: Server) -> Iterator[None]:
    """A sort of more than 50 MB that did not fit into memory, counted."""
    with database(server) as dsn:
        _run(dsn, _SPILL)
        await_true(server.dsn(), _COUNTED.format("temp_bytes > 50000000"))
        yield


@contextlib.contextmanager
def uncached(server: Server) -> Iterator[None]:
    """So many reads of a table that does not fit into the cache that the share of hits falls."""
    with database(server) as dsn:
        _run(dsn, _LARGE)
        _run(dsn, _ANEW)
        with contextlib.closing(connected(dsn)) as connection:
            for _ in range(_MOST_SCANS // _SCANS):
                for _ in range(_SCANS):
                    connection.execute("select count(*) from large")
                if _is_true(server, _HITS):
                    break
        await_true(server.dsn(), _HITS)
        yield


@contextlib.contextmanager
def damaged(server: Server) -> Iterator[None]:
    """A page whose bytes changed on the disk, and that was read since."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(database(server, _SOURCE))
        _run(source, "create table t as select generate_series(1, 1000) i")
        # Copied file by file, so that no page of the copy lies in the cache.
        options = f"template {_SOURCE}"
        if _version(server) >= _FROM_15:
            options += " strategy file_copy"
        dsn = stack.enter_context(database(server, NAME, options))
        with psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute("select pg_relation_filepath('t')").fetchone()
            path = str(row[0]) if row else ""
            flip = f"printf readiness | dd of={path} bs=1 seek=6000 conv=notrunc"
            connection.execute(f"copy (select 1) to program '{flip} 2>/dev/null'".encode())
            with contextlib.suppress(errors.DataCorrupted):
                connection.execute("select count(*) from t")
        await_true(server.dsn(), _COUNTED.format("checksum_failures > 0"))
        yield


def _deadlock(dsn: str) -> None:
    """Two transactions, each of which waits for the other; the server ends one of them."""
    with contextlib.closing(connected(dsn)) as one, contextlib.closing(connected(dsn)) as other:
        for connection, lock in ((one, 1), (other, 2)):
            connection.execute("set deadlock_timeout = '50ms'")
            connection.execute("begin")
            connection.execute(f"select pg_advisory_xact_lock({lock})".encode())
        one.pgconn.send_query(b"select pg_advisory_xact_lock(2)")
        with contextlib.suppress(errors.DeadlockDetected):
            other.execute("select pg_advisory_xact_lock(1)")


def _run(dsn: str, statements: str) -> None:
    with contextlib.closing(connected(dsn)) as connection:
        connection.execute(statements.encode())


def _admin(server: Server, statement: str) -> None:
    _run(server.dsn(), statement)


def _is_true(server: Server, query: str) -> bool:
    with psycopg.connect(server.dsn(), connect_timeout=5) as connection:
        return connection.execute(query.encode()).fetchone() == (True,)


def _version(server: Server) -> int:
    with psycopg.connect(server.dsn(), connect_timeout=5) as connection:
        return connection.info.server_version
