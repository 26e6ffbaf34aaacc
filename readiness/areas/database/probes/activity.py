"""What the sessions of a database do: open transactions, idle ones, and those that wait.

Sessions of this tool itself are left out: their drills wait and sleep on purpose, and they end.
"""

from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import seeing_all_sessions
from readiness.lib.text import clean, listed
from readiness.model.measurement import Measurement

_FROM_14: Final = 140000
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
    """A session of somebody else.

    Attributes:
        pid: of its process.
        user: its role.
        application: what it calls itself.
        seconds: how long this lasts already.
        detail: its state, or whom it waits for.
    """

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
    """Sessions in a state that should not last, the longest first.

    Attributes:
        found: those in it.
        looked_at: client sessions of others in the database.
    """

    found: tuple[Session, ...]
    looked_at: int

    def longest(self, name: str) -> Measurement:
        """The longest time that one is in it, in seconds; 0 if none is."""
        return Measurement(
            name,
            max((s.seconds for s in self.found), default=0.0),
            "s",
            "pg_stat_activity",
            samples=self.looked_at,
        )

    @property
    def worst(self) -> str:
        """The worst of them, in words."""
        return listed(map(str, self.found), between="; ")


def open_transactions(database: Database) -> Sessions:
    """Transactions that are open, by age.

    Raises:
        NotPermitted: the role does not see other roles' sessions.
        CouldNotMeasure: and its other kinds, see `postgres.connect`.
    """
    return _sessions(database, _OPEN)


def idle_transactions(database: Database) -> Sessions:
    """Transactions that are open and do nothing, by the time that they do nothing.

    Raises:
        NotPermitted: the role does not see other roles' sessions.
        CouldNotMeasure: and its other kinds, see `postgres.connect`.
    """
    return _sessions(database, _IDLE)


def blocked(database: Database) -> Sessions:
    """Sessions that wait for a lock, by the time they wait, with those they wait for.

    Raises:
        NotPermitted: the role does not see other roles' sessions.
        CouldNotMeasure: and its other kinds, see `postgres.connect`.
    """
    return _sessions(database, _BLOCKED)


def _sessions(database: Database, query: str) -> Sessions:
    with seeing_all_sessions(database) as connection:
        rows = postgres.fetch(connection, query.replace("@SINCE@", _wait_start(connection)))
        looked_at = int(postgres.fetch_value(connection, _COUNT))
    return Sessions(tuple(_session(row) for row in rows), looked_at)


def _wait_start(connection: Connection) -> str:
    """Since when a session waits; before PostgreSQL 14 only since when its statement runs."""
    return _WAIT_START if connection.info.server_version >= _FROM_14 else "a.query_start"


def _session(row: postgres.Row) -> Session:
    pid, user, application, seconds, detail = row
    text = f"waits for {', '.join(detail)}" if isinstance(detail, list) else str(detail)
    return Session(pid, user, application, max(0.0, float(seconds)), text)
