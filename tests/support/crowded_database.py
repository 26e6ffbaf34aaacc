"""A database with thousands of tables, and an application beside it that needs locks as well."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.servers.postgres import SCRATCH, PrivatePostgres

MONITOR: Final = "watcher"
PASSWORD: Final = "correct horse battery"
INDEXES: Final = 5
ENTRIES: Final = 500
"""Of pg_stat_statements; a tenth of the default."""
CONFIG: Final = """
[target]
name = "crowded"
[databases.crowded]
dsn = "${{DSN}}"
timeout_s = 60
[databases.crowded.schema]
timeout_s = 60
manifest = '{manifest}'
"""
_BATCH: Final = 100
# Every table references the one before it, but for the first of each ten.
_MAKE: Final = """
do $$ begin for n in {first}..{last} loop
    execute format('create table crowd.t%s (id bigserial primary key, parent bigint %s,'
        ' a int, b int, c int)', n,
        case when n % 10 <> 0 then format('references crowd.t%s (id)', n - 1) end);
    execute format('create index on crowd.t%1$s (parent); create index on crowd.t%1$s (a);'
        ' create index on crowd.t%1$s (b); create index on crowd.t%1$s (c);'
        ' insert into crowd.t%1$s (parent, a) values (1, 1)', n);
    if n % 10 = 9 then
        execute format('create view crowd.v%s as select x.id, y.a from crowd.t%s x'
            ' join crowd.t%s y on y.id = x.parent', n, n, n - 1);
    end if;
end loop; end $$"""
MODEST: Final = 1 / 15
"""Of the tables, what one transaction of the application touches: 200 of 3,000."""
_QUERY: Final = sql.SQL("select a from {} where id = 1")
# Sessions of ours, by the name that they give themselves, and pg_dump that one of them started.
_HELD: Final = """
    select a.application_name, a.pid, count(l.pid),
        coalesce(extract(epoch from clock_timestamp() - min(a.xact_start)), 0)::float
    from pg_stat_activity a left join pg_locks l on l.pid = a.pid
    where a.application_name ~ '^(readiness|pg_dump)' group by 1, 2"""


def settings(max_locks: int) -> dict[str, str]:
    """Settings of a server with so many locks for each transaction; 64 are the default.

    It counts fewer statements than there are tables; the application's own are left out.
    """
    return {
        **SCRATCH,
        "max_locks_per_transaction": str(max_locks),
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.max": str(ENTRIES),
        "shared_buffers": "256MB",
    }


def fill(server: PrivatePostgres, tables: int) -> None:
    """Make the tables, their sequences, indexes, foreign keys and views, and the roles."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"create role {MONITOR} login password '{PASSWORD}'".encode())
        connection.execute(f"grant pg_monitor to {MONITOR}".encode())
        for extension in ("pg_stat_statements", "pgstattuple", "amcheck"):
            connection.execute(
                f"do $$ begin if exists (select from pg_available_extensions"
                f" where name = '{extension}') then create extension {extension}; end if;"
                " end $$".encode()
            )
        # To count each statement, and to evict it, would take longer than to run it.
        connection.execute("set pg_stat_statements.track = none")
        connection.execute("create schema crowd")
        connection.execute(
            f"alter default privileges in schema crowd grant select on tables to {MONITOR};"
            f"alter default privileges in schema crowd grant select on sequences to {MONITOR};"
            f"grant usage on schema crowd to {MONITOR}".encode()
        )
        for first in range(0, tables, _BATCH):
            last = min(first + _BATCH, tables) - 1
            connection.execute(_MAKE.format(first=first, last=last).encode())
        connection.execute("select pg_stat_statements_reset()")


def evictions(server: PrivatePostgres) -> int:
    """How often pg_stat_statements made room since the tables were made."""
    with psycopg.connect(server.dsn()) as connection:
        found = connection.execute("select dealloc from pg_stat_statements_info").fetchone()
    assert found
    return int(found[0])


def statements(server: PrivatePostgres) -> int:
    """How many entries pg_stat_statements has."""
    with psycopg.connect(server.dsn()) as connection:
        found = connection.execute("select count(*) from pg_stat_statements").fetchone()
    assert found
    return int(found[0])


@dataclass
class Beside:
    """What went on beside the checks.

    Attributes:
        transactions: that the application ended well.
        errors: what the server refused the application.
        held: the most locks that one of our sessions was seen to hold, by its name.
        together: the most that all of them held at one time.
        sessions: the most that were open at one time.
        longest_s: seconds that the longest transaction of ours was seen to last.
        memory: bytes that the largest process of the server had for one session of ours; 0 where
            that cannot be seen.
        looks: how often somebody looked.
    """

    transactions: int = 0
    errors: list[str] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    together: int = 0
    sessions: int = 0
    longest_s: float = 0.0
    memory: int = 0
    looks: int = 0


@contextmanager
def application(dsn: str, tables: int, touched: float = MODEST) -> Iterator[Beside]:
    """An application that uses tables, and somebody who counts the locks, until it is left."""
    seen, over = Beside(), threading.Event()
    threads = [
        threading.Thread(target=_use, args=(dsn, tables, round(tables * touched), seen, over)),
        threading.Thread(target=_count, args=(dsn, seen, over)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _use(dsn: str, tables: int, touched: int, seen: Beside, over: threading.Event) -> None:
    first = 0
    with psycopg.connect(dsn, autocommit=True, application_name="application") as connection:
        connection.execute("set pg_stat_statements.track = none")
        while not over.is_set():
            numbers = [(first + n) % tables for n in range(touched)]
            first = (first + touched) % tables
            try:
                with connection.transaction():
                    for number in numbers:
                        connection.execute(_QUERY.format(sql.Identifier("crowd", f"t{number}")))
                seen.transactions += 1
            except psycopg.Error as error:
                seen.errors.append(str(error))


def _count(dsn: str, seen: Beside, over: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True, application_name="observer") as connection:
        while not over.wait(0.02):
            found = connection.execute(_HELD).fetchall()
            seen.looks += 1
            seen.together = max(seen.together, sum(locks for _, _, locks, _ in found))
            seen.sessions = max(seen.sessions, len(found))
            for name, pid, locks, lasts_s in found:
                seen.held[name] = max(seen.held[name], locks)
                seen.longest_s = max(seen.longest_s, lasts_s)
                seen.memory = max(seen.memory, _memory(pid))


def _memory(pid: int) -> int:
    """What a process has for itself, in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:  # it ended, or this is not Linux
        return 0
    found = re.search(r"^RssAnon:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
