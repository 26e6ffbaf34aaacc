"""Sessions that last: open transactions, idle ones, lock waits, clients that wait for PgBouncer.

Sessions of this tool itself are left out: their drills wait and sleep on purpose, and they end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from readiness.areas.database.config import Database, Pooler
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import seeing_all_sessions
from readiness.lib.text import clean, listed
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_OTHERS: Final = """
from pg_stat_activity a
where a.datname = current_database() and a.backend_type = 'client backend'
  and a.pid <> pg_backend_pid() and a.application_name not like 'readiness%'"""
_WHO: Final = "a.pid, coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), 'unnamed')"
_COUNT: Final = f"select count(*) {_OTHERS}"
_OPEN: Final = f"""
select {_WHO}, extract(epoch from clock_timestamp() - a.xact_start)::float8, a.state
{_OTHERS} and a.state <> 'idle' and a.xact_start is not null order by 4 desc"""  # noqa: S608
_IDLE: Final = f"""
select {_WHO}, extract(epoch from clock_timestamp() - a.state_change)::float8, a.state
{_OTHERS} and a.state like 'idle in transaction%' order by 4 desc"""  # noqa: S608
# Whom it waits for is asked only of those that wait: the answer stops the lock manager for a while.
_BLOCKED: Final = f"""
select {_WHO}, extract(epoch from clock_timestamp() - @SINCE@)::float8,
       array(select distinct coalesce(b.pid || ' ' || coalesce(nullif(b.application_name, ''),
                                                                'unnamed')
                                      || ' (' || coalesce(b.usename, '?') || ', '
                                      || coalesce(b.state, '?') || ')', 'a prepared transaction')
             from unnest(pg_blocking_pids(a.pid)) p left join pg_stat_activity b on b.pid = p)
{_OTHERS} and a.wait_event_type = 'Lock' and cardinality(pg_blocking_pids(a.pid)) > 0
order by 4 desc"""  # noqa: S608
_WAIT_START: Final = """
coalesce((select min(l.waitstart) from pg_locks l where l.pid = a.pid and not l.granted),
         a.query_start)"""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is not of this tool; `detail` is its state, or what it waits for."""

    pid: int
    user: str
    application: str
    seconds: float
    detail: str

    def __str__(self) -> str:
        who = clean(f"{self.application} ({self.user})")
        return f"process {self.pid} {who}: {self.seconds:.0f} s, {clean(self.detail)}"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions in a state that should not last, longest first, of all that were looked at."""

    found: tuple[Session, ...]
    looked_at: int

    def longest(self, name: str) -> Measurement:
        """The longest time in that state; 0 if no session is in it."""
        return Measurement(
            name,
            max((s.seconds for s in self.found), default=0.0),
            "s",
            "pg_stat_activity",
            samples=self.looked_at,
        )

    @property
    def worst(self) -> str:
        """The longest of them, as text for a message."""
        return listed(map(str, self.found), between="; ")


def open_transactions(database: Database) -> Sessions:
    """Transactions that are open, by age."""
    return _sessions(database, _OPEN)


def idle_transactions(database: Database) -> Sessions:
    """Transactions that are open and idle, by their time of being idle."""
    return _sessions(database, _IDLE)


def blocked(database: Database) -> Sessions:
    """Sessions that wait for a lock, by their time of waiting, with those that hold it."""
    return _sessions(database, _BLOCKED)


def _sessions(database: Database, query: str) -> Sessions:
    with seeing_all_sessions(database) as connection:
        # Before PostgreSQL 14 it is only known since when the statement runs that waits.
        since = _WAIT_START if postgres.is_at_least(connection, 14) else "a.query_start"
        rows = postgres.fetch(connection, query.replace("@SINCE@", since))
        looked_at = int(postgres.fetch_value(connection, _COUNT))
    return Sessions(tuple(_session(*row) for row in rows), looked_at)


def _session(
    pid: int, user: str, application: str, seconds: float, detail: str | list[str]
) -> Session:
    text = f"waits for {', '.join(detail)}" if isinstance(detail, list) else detail
    return Session(pid, user, application, max(0.0, seconds), text)


_TIMEOUT_S: Final = 10.0
_CONSOLE: Final = "pgbouncer"
_MICRO: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Pool:
    """The connections of one user to one database.

    Attributes:
        waiting: clients without a connection; the oldest of them waits for `wait_s`.
        active: server connections that clients use.
        size: how many there may be; None if the console does not show it.
        paused: whether the database is paused or disabled.
    """

    database: str
    user: str
    waiting: int
    wait_s: float
    active: int
    size: int | None
    paused: bool

    def __str__(self) -> str:
        size = "?" if self.size is None else self.size
        held = " (paused)" if self.paused else ""
        return (
            f"{self.database}/{self.user}{held}: {self.waiting} clients wait,"
            f" {self.active} of {size} connections in use"
        )


@dataclass(frozen=True, slots=True)
class Pools:
    """What the console shows: pools, longest wait first; the databases, and the paused ones."""

    pools: tuple[Pool, ...]
    databases: tuple[str, ...]
    paused: tuple[str, ...]

    @property
    def longest_wait(self) -> Measurement:
        """The longest wait of a client, in seconds; 0 if none waits."""
        return Measurement(
            "Longest wait of a client for a connection",
            max((pool.wait_s for pool in self.pools), default=0.0),
            "s",
            "SHOW POOLS",
            samples=len(self.pools),
        )


def pools(pooler: Pooler) -> Pools:
    """All pools that the console shows.

    Raises:
        NoData: the pooler serves no database.
        CouldNotMeasure: it is not a console.
    """
    with postgres.connect(pooler.dsn, timeout_s=_TIMEOUT_S, console=True) as connection:
        databases = [row for row in _show(connection, "DATABASES") if row["name"] != _CONSOLE]
        shown = [row for row in _show(connection, "POOLS") if row["database"] != _CONSOLE]
    if not databases:
        raise NoData("the pooler serves no database", where=pooler.dsn.address)
    sizes = {str(row["name"]): int(row["pool_size"]) for row in databases if "pool_size" in row}
    paused = {str(row["name"]) for row in databases if _number(row, "paused", "disabled")}
    found = [_pool(row, sizes, paused) for row in shown]
    return Pools(
        tuple(sorted(found, key=lambda pool: -pool.wait_s)),
        tuple(clean(str(row["name"])) for row in databases),
        tuple(sorted(clean(name) for name in paused)),
    )


def _pool(row: Mapping[str, Any], sizes: Mapping[str, int], paused: set[str]) -> Pool:
    name = str(row["database"])
    return Pool(
        database=clean(name),
        user=clean(str(row["user"])),
        waiting=int(row["cl_waiting"]),
        wait_s=float(row["maxwait"]) + _number(row, "maxwait_us") * _MICRO,
        active=int(row["sv_active"]),
        size=sizes.get(name),
        paused=name in paused,
    )


def _number(row: Mapping[str, Any], *columns: str) -> int:
    return sum(int(row.get(column) or 0) for column in columns)


def _show(connection: Connection, what: str) -> Sequence[Mapping[str, Any]]:
    statement = f"SHOW {what}"
    with postgres.translated(statement):
        cursor = connection.execute(statement.encode())
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if not {"name", "database"} & set(names):
        raise CouldNotMeasure(
            f"the answer to {statement} is not PgBouncer's",
            where=statement,
            remedy="point the dsn at the database `pgbouncer` of the pooler",
        )
    return rows
