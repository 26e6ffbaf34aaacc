"""A connection to look with, whether the role sees what it looks at, and which schemas count."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import NoData, NotPermitted

# Conditions on `n`, a row of pg_namespace. Schemas named `readiness_…` are this tool's own, hold
# synthetic data, and are dropped soon.
NOT_OURS: Final = "n.nspname !~ '^readiness_'"
"""All schemas but our own, TimescaleDB's chunks included."""
OF_THE_APPLICATION: Final = "n.nspname !~ '^(pg_|information_schema$|readiness_|_timescaledb_)'"
"""The application's own schemas. Chunks are left out, as their hypertable is judged instead.
`fingerprint.sql` has the same rule."""

_OF_THE_SERVER: Final = """
    select name, setting from pg_settings where name in ('max_locks_per_transaction',
        'max_connections', 'max_prepared_transactions', 'shared_preload_libraries')"""
_SYSTEM: Final = "select system_identifier::text from pg_control_system()"


@contextmanager
def looking(database: Database) -> Iterator[Connection]:
    """A connection as the database's monitoring role."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        yield connection


@contextmanager
def seeing_all_sessions(database: Database) -> Iterator[Connection]:
    """The same, of a role that sees what every session does.

    Raises:
        NotPermitted: other roles' sessions are hidden, which would look like an idle server.
    """
    with looking(database) as connection:
        need_role(connection, "pg_read_all_stats", "other roles' sessions are hidden")
        yield connection


def need_role(connection: Connection, role: str, without: str) -> None:
    """Make sure that the role has the rights of another one.

    Raises:
        NotPermitted: it has not; `without` says what that hides.
    """
    may, who = postgres.fetch(
        connection,
        "select pg_has_role(current_user, %s, 'usage'), quote_ident(current_user)",
        [role],
    )[0]
    if not may:
        raise NotPermitted(
            f"{without}: {who} is not a member of {role}",
            where="pg_has_role",
            remedy=f"grant pg_monitor to {who}",
        )


def system_of(connection: Connection) -> str:
    """The number that a server shares with its standbys; empty where a provider hides it."""
    try:
        return str(postgres.fetch_value(connection, _SYSTEM))
    except NotPermitted:
        return ""


def settings_for_a_copy(connection: Connection) -> dict[str, str]:
    """Settings of the server that a copy of it needs as well; those that the role may see."""
    return dict(postgres.fetch(connection, _OF_THE_SERVER))


def in_recovery(connection: Connection) -> bool:
    """Whether the server is a standby."""
    return bool(postgres.fetch_value(connection, "select pg_is_in_recovery()"))


def uncompiled(connection: Connection) -> None:
    """Switch JIT off for queries of the catalogues.

    The server overestimates them, and compiles each for half a second to run some milliseconds.
    """
    postgres.adjust(connection, jit="off")


def no_objects(connection: Connection, what: str) -> NoData:
    """The error for a database without a single table or index of the application."""
    return NoData(
        f"the database has no {what} outside of the system's schemas",
        where=connection.info.dbname,
        remedy="name the application's database in `dsn`, and fill it before the gate is run",
    )
