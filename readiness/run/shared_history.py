"""Records of earlier runs in a PostgreSQL database that a team shares: `[gate] history`.

`past` uses it where it is configured, and only then imports it.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from readiness.lib.postgres import Connection, connect, fetch, fetch_value, translated
from readiness.model.errors import CouldNotMeasure
from readiness.model.record import RunRecord
from readiness.model.secrets import Dsn
from readiness.report.history import MOST
from readiness.run.past import Whose

_TIMEOUT_S: Final = 10
KEPT: Final = 500
"""Records that are kept of each target, environment and profile."""
# Held while the tables are made or changed: two pipelines may be the first at once.
_LOCK: Final = 7_233_947_210
MIGRATIONS: Final = (
    """
    create table readiness.runs (
        run_id text primary key,
        target text not null,
        environment text not null,
        profile text not null,
        release text not null,
        started timestamptz not null,
        verdict text not null,
        whole boolean not null,
        record bytea not null
    );
    create index runs_newest on readiness.runs (target, environment, profile, started desc);
    comment on column readiness.runs.whole is 'whether it was of all checks, and not interrupted';
    comment on column readiness.runs.record is 'readiness.json, compressed by gzip'
    """,
)
"""What makes each version of the tables from the one before; never edited, only added to."""
_EXISTS: Final = """
    select exists (
        select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where (nspname, relname) = ('readiness', 'migrations'))"""
_NEWEST: Final = """
    select record from readiness.runs
    where (target, environment, profile) = (%s, %s, %s)
    order by started desc limit %s"""
_LAST_READY: Final = """
    select record from readiness.runs
    where (target, environment, profile) = (%s, %s, %s) and verdict = 'READY' and whole
    order by started desc limit 1"""
_STORE: Final = """
    insert into readiness.runs
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (run_id) do nothing"""
# Another pipeline may delete at the same time: what it has locked is left to it.
_FORGET: Final = """
    delete from readiness.runs where run_id in (
        select run_id from readiness.runs
        where (target, environment, profile) = (%s, %s, %s)
        order by started desc offset %s for update skip locked)"""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read at once: the newest records, and the last READY one; compressed."""

    newest: tuple[bytes, ...]
    ready: tuple[bytes, ...]

    def texts(self, target: str, *, ready: bool) -> Iterator[str]:  # noqa: ARG002 - of one target
        """See `Kept`; damaged ones are skipped."""
        for packed in self.ready if ready else self.newest:
            try:
                yield gzip.decompress(packed).decode()
            except (OSError, EOFError, UnicodeDecodeError):
                continue


def read(dsn: Dsn, whose: Whose) -> Read:
    """The newest records and the last READY one.

    Raises:
        CouldNotMeasure: the database cannot be reached or used; see `connect`.
    """
    with _connected(dsn) as connection:
        newest = fetch(connection, _NEWEST, (*whose.key, MOST))
        ready = fetch(connection, _LAST_READY, whose.key)
    return Read(tuple(row[0] for row in newest), tuple(row[0] for row in ready))


def store(dsn: Dsn, record: RunRecord) -> None:
    """Store a record, and forget the oldest ones beyond 500 of its kind.

    Raises:
        CouldNotMeasure: the database cannot be reached or used; see `connect`.
    """
    run, whose = record.run, Whose.of(record)
    whole = not (run.selection.partial or run.interrupted)
    packed = gzip.compress(record.to_json().encode("utf-8", "backslashreplace"), mtime=0)
    values = (run.id, *whose.key, record.target.release, run.started, record.verdict.value, whole)
    with _connected(dsn) as connection, connection.transaction():
        fetch(connection, _STORE, (*values, packed))
        fetch(connection, _FORGET, (*whose.key, KEPT))


def look(dsn: Dsn) -> str:
    """How many runs it holds, for `readiness doctor`; changes nothing.

    Raises:
        CouldNotMeasure: the database cannot be reached or used; see `connect`.
    """
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        if not _version(connection):
            return f"{dsn.address}: no tables yet, the first run makes them"
        count = fetch_value(connection, "select count(*) from readiness.runs")
    return f"{dsn.address}: runs stored: {count:,}"


@contextmanager
def _connected(dsn: Dsn) -> Iterator[Connection]:
    with connect(dsn, timeout_s=_TIMEOUT_S, application_name="readiness history") as connection:
        _migrate(connection)
        yield connection


def _migrate(connection: Connection) -> None:
    """Bring the tables to the version of this tool; one pipeline does, others wait for it."""
    if _version(connection) == len(MIGRATIONS):
        return
    with translated("the tables of the shared history"), connection.transaction():
        fetch(connection, "select pg_advisory_xact_lock(%s)", (_LOCK,))
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise CouldNotMeasure(
                f"its tables are of version {version}; this tool knows {len(MIGRATIONS)}",
                where="readiness.migrations",
                remedy="use the newer readiness, which another pipeline already has",
            )
        if version == 0:
            connection.execute("create schema if not exists readiness")
            connection.execute(
                "create table if not exists readiness.migrations ("
                "version integer primary key, applied timestamptz not null default now())"
            )
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            connection.execute(statements)
            connection.execute("insert into readiness.migrations values (%s)", (number,))


def _version(connection: Connection) -> int:
    # Not to_regclass(): its cache does not see what another session made while we waited.
    if not fetch_value(connection, _EXISTS):
        return 0
    version = fetch_value(connection, "select coalesce(max(version), 0) from readiness.migrations")
    return int(version)
