"""Talks to PostgreSQL: bounded in time, and every failure is one of our errors.

Whatever takes a connection raises what `connect` does; a function names only what it adds.
"""

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql

from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong, Unreachable
from readiness.model.secrets import Dsn, redact

Connection = psycopg.Connection[tuple[Any, ...]]
Statement = str | sql.SQL | sql.Composed
Row = tuple[Any, ...]
Params = Sequence[object] | Mapping[str, object]

_LONGEST_SOURCE: Final = 400
_WRONG_PASSWORD: Final = ("authentication failed", "no password supplied", "pg_hba.conf")
# What a server or pooler says that answers, and refuses the connection for another reason.
_REFUSALS: Final = {
    r"too many (clients|connections)|remaining connection slots|no more connections allowed|"
    r"query_wait_timeout": "no connection is left; see who has them, then close idle ones or raise "
    "the limit (max_connections, or `connection limit` of the role or database): "
    "select usename, state, count(*) from pg_stat_activity group by 1, 2;",
    r'database "[^"]*" does not exist|no such database': "check the name of the database in the "
    "connection string: psql -l",
    r"starting up|shutting down|not yet accepting|recovery mode": "wait until the server accepts "
    "connections; its log says what it does",
    r"not accepting connections to database|not currently accepting": "the database refuses all "
    "connections: alter database NAME allow_connections true;",
    r"could not translate host name|[Nn]ame or service not known": "check the host in the "
    "connection string, and whether its name is known here: getent hosts HOST",
    r"does not support SSL|SSL error|certificate verify|root certificate": "check `sslmode` and "
    "`sslrootcert` in the connection string against what the server offers",
}
_PRIVILEGE: Final = "42501"
_LOGIN: Final = "28"
_TIMEOUTS: Final = {"57014": "was cancelled", "55P03": "waited too long for a lock"}


@contextmanager
def connect(
    dsn: Dsn,
    *,
    timeout_s: float,
    total_s: float | None = None,
    application_name: str = "readiness",
    console: bool = False,
) -> Iterator[Connection]:
    """A connection in autocommit, closed at the end; every wait on it has a deadline.

    Behind a pooler the server keeps no deadline of ours: `total_s` alone ends a wait.

    Args:
        dsn: where to, and as whom.
        timeout_s: longest wait for the connection, and longest statement, in seconds.
        total_s: longest use of the connection, whatever is done with it; also ends a wait for a
            server that hangs and no longer keeps time itself. Default: six times `timeout_s`.
        application_name: how the server names us in its views and logs.
        console: it is that of a pooler, which takes its own commands and no settings of ours.

    Raises:
        Unreachable: no server answered, or it accepts no connections.
        NotPermitted: it refused the login or a statement.
        TookTooLong: a deadline passed.
        CouldNotMeasure: any other error of the server; `where` names the statement or the server.
    """
    # Also an interrupt must leave no connection.
    with closing(_open(dsn, timeout_s, application_name)) as connection:
        if not console and not adjust(connection, statement_timeout=f"{round(timeout_s * 1000)}"):
            # Each statement may run in another session, which knows nothing that was prepared.
            connection.prepare_threshold = None
        watchdog = _Watchdog(connection, total_s or 6 * timeout_s)
        try:
            with watchdog, translated(dsn.address):
                yield connection
        except CouldNotMeasure as error:
            if watchdog.expired:
                problem = f"aborted after {watchdog.seconds:g} s"
                raise TookTooLong(problem, where=error.where) from error
            raise


def adjust(connection: Connection, **settings: str) -> bool:
    """Change settings of the session, if it is ours alone; whether that was done.

    A pooler hands the session on to the application, and would hand it our settings as well, such
    as a statement_timeout. It is known by the process id that it invents for its clients.
    """
    pid = connection.info.backend_pid
    calls = sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, false)").format(name, value) for name, value in settings.items()
    )
    ours = sql.SQL("select {} where pg_backend_pid() = {}").format(calls, pid)
    return bool(fetch(connection, ours))


def fetch(connection: Connection, statement: Statement, params: Params | None = None) -> list[Row]:
    """All rows that a statement returns; errors are those of `connect`, and name the statement."""
    with translated(source_of(statement, connection)):
        cursor = connection.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def fetch_value(connection: Connection, statement: Statement, params: Params | None = None) -> Any:
    """The one value that a statement returns.

    Raises:
        NoData: it returned no row, several rows or columns, or NULL.
    """
    rows = fetch(connection, statement, params)
    if len(rows) != 1 or len(rows[0]) != 1 or rows[0][0] is None:
        raise NoData(
            f"expected one value, got {len(rows)} rows{' with NULL' if len(rows) == 1 else ''}",
            where=source_of(statement, connection),
        )
    return rows[0][0]


def is_at_least(connection: Connection, major: int) -> bool:
    """Whether the server is of that major release or a later one."""
    return connection.info.server_version >= major * 10_000


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turns an error of the driver or the server into one of ours, naming `where`."""
    try:
        yield
    except psycopg.Error as error:
        raise could_not(error, where) from error


def could_not(error: psycopg.Error, where: str) -> CouldNotMeasure:
    """The error of ours for one of a statement: not permitted, too slow, unreachable, or wrong."""
    message = _one_line(error)
    state = error.sqlstate or ""
    if state == _PRIVILEGE:
        return NotPermitted(
            message, where=where, remedy="grant the role the missing privilege, or use another role"
        )
    if state in _TIMEOUTS:
        return TookTooLong(f"the statement {_TIMEOUTS[state]}: {message}", where=where)
    if isinstance(error, psycopg.OperationalError) and not state:
        return Unreachable(f"the connection was lost: {message}", where=where)
    return CouldNotMeasure(message, where=where)


def source_of(statement: Statement, connection: Connection | None = None) -> str:
    """A statement on one line, as the source of a measurement or the place of an error."""
    text = statement if isinstance(statement, str) else statement.as_string(connection)
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SOURCE else f"{line[:_LONGEST_SOURCE]}…"


class _Watchdog:
    """Shuts a connection down when its time is over: nothing else ends a wait for a hung server."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        # A descriptor of our own: the connection's may be closed, and reused, at any time.
        self._line = socket.socket(fileno=os.dup(connection.fileno()))
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._line.close()

    def _cut(self) -> None:
        self.expired = True
        self._line.shutdown(socket.SHUT_RDWR)


def _open(dsn: Dsn, timeout_s: float, application_name: str) -> Connection:
    try:
        return psycopg.connect(
            dsn.reveal(),
            autocommit=True,
            connect_timeout=max(2, round(timeout_s)),
            application_name=application_name,
        )
    except psycopg.ProgrammingError:
        # Its message quotes the connection string, wherever the mistake in it is.
        raise CouldNotMeasure(
            "the connection string is not valid",
            where=dsn.address,
            remedy="write it as postgresql://user@host:port/database",
        ) from None
    except psycopg.OperationalError as error:
        raise _not_connected(error, dsn) from None


def _not_connected(error: psycopg.OperationalError, dsn: Dsn) -> CouldNotMeasure:
    message = _one_line(error)
    refused = (error.sqlstate or "").startswith(_LOGIN)
    if refused or any(words in message for words in _WRONG_PASSWORD):
        return NotPermitted(
            message, where=dsn.address, remedy="check the role, its password and pg_hba.conf"
        )
    for pattern, known in _REFUSALS.items():
        if re.search(pattern, message):
            return Unreachable(message, where=dsn.address, remedy=known)
    remedy = "check that it runs and is reachable from here:"
    if dsn.places:
        hosts, ports = (",".join(part) for part in zip(*dsn.places, strict=True))
        remedy += f" pg_isready -h {hosts} -p {ports}"
    return Unreachable(message, where=dsn.address, remedy=remedy)


def _one_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error) or type(error).__name__
    return redact(" ".join(text.split()))
