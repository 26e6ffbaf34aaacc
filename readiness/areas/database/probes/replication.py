"""Whether standbys are connected and follow, who waits for them, and what slots retain."""

import re
import time
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Database, Standby
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import (
    in_recovery,
    looking,
    need_role,
    seeing_all_sessions,
    system_of,
)
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure

_POLL_S: Final = 0.02
_STREAMING: Final = "streaming"
# A standby whose connection broke comes back by itself after wal_retrieve_retry_interval, 5 s.
_PATIENCE_S: Final = 12.0
_ON_PRIMARY: Final = """
select coalesce(application_name, ''), coalesce(state, '') from pg_stat_replication"""
_ON_STANDBY: Final = "select coalesce(status, 'hidden') from pg_stat_wal_receiver"
_SYNCHRONOUS: Final = "select current_setting('synchronous_standby_names')"
_ASKED: Final = re.compile(r"\s*(?:(?:first|any)\s+)?(\d+)\s*\(", re.IGNORECASE)
_CONFIRMING: Final = """
select coalesce(application_name, ''), coalesce(sync_state, '') in ('sync', 'quorum')
from pg_stat_replication order by 1"""
# A message in the WAL: nothing else changes, and no right to write is needed. Its transaction is
# committed, so that it is flushed and sent at once.
_CANARY: Final = "select pg_logical_emit_message(true, 'readiness', %s)::text"
_REPLAYED: Final = "select coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
_SLOTS: Final = """
select slot_name, slot_type, active, coalesce(wal_status, 'unknown'),
       coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn()
                                     else pg_current_wal_lsn() end, restart_lsn), 0)::bigint,
       {idle}, restart_lsn is not null
from pg_replication_slots where not temporary order by 5 desc"""
_IDLE: Final = "extract(epoch from now() - inactive_since)::float8"
# Its oid is hidden from most roles before PostgreSQL 14. A process that fails at each change starts
# again and again: one that is a moment old is none.
_SUBSCRIPTIONS: Final = """
select quote_ident(s.subname), s.subenabled,
       coalesce(bool_or(a.backend_start < clock_timestamp() - interval '1 s'), false)
from pg_subscription s left join pg_stat_subscription w on w.subname = s.subname
left join pg_stat_activity a on a.pid = w.pid
where s.subdbid = (select oid from pg_database where datname = current_database())
group by 1, 2 order by 1"""
_BOUND: Final = "select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'"


@dataclass(frozen=True, slots=True)
class Link:
    """One standby, seen from both ends.

    Attributes:
        on_primary: its state on the primary: `streaming`, or `absent`.
        on_standby: the state of its WAL receiver: `streaming`, `not receiving`, or that it is a
            copy of another server.
        follows: whether it is a standby at all.
    """

    standby: str
    on_primary: str
    on_standby: str
    follows: bool

    @property
    def streams(self) -> bool:
        """Whether both ends report that it streams."""
        return self.follows and self.on_primary == self.on_standby == _STREAMING


@dataclass(frozen=True, slots=True)
class Arrival:
    """Whether a standby replayed a message of the primary, and after how many seconds.

    If it did not, the seconds are those of the wait.
    """

    seconds: float
    arrived: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot.

    Attributes:
        kind: `physical` or `logical`.
        active: whether a consumer reads it.
        wal: the state of its WAL: `reserved`, `extended`, `unreserved`, `lost`.
        held: bytes of WAL that it retains.
        idle_s: seconds without a consumer; None where the server does not record it (before 17).
        reserves: whether it retains WAL at all.
    """

    name: str
    kind: str
    active: bool
    wal: str
    held: int
    idle_s: float | None
    reserves: bool

    @property
    def lost(self) -> bool:
        """Whether its consumer can never continue."""
        return self.wal in ("unreserved", "lost")

    def __str__(self) -> str:
        read = "active" if self.active else "no consumer"
        return f"{self.name} ({self.kind}, {read}, WAL {self.wal}, {self.held / 1e6:.0f} MB)"


def links(database: Database) -> tuple[list[Link], list[str]]:
    """The declared standbys, and the names of all that the primary knows.

    What does not stream at first is given 12 s: a standby reconnects by itself.

    Raises:
        NotPermitted: the role does not see the state of replication.
        CouldNotMeasure: the database is a standby itself; or a standby does not answer.
    """
    return until(
        lambda: _links(database),
        lambda seen: all(link.streams for link in seen[0]),
        within_s=_PATIENCE_S,
    )


def _links(database: Database) -> tuple[list[Link], list[str]]:
    with seeing_all_sessions(database) as connection:
        if in_recovery(connection):
            raise is_standby(database)
        system = system_of(connection)
        rows = postgres.fetch(connection, _ON_PRIMARY)
    # Several may have one name, such as the default `walreceiver`.
    states: dict[str, str] = dict(sorted(rows, key=lambda row: row[1] == _STREAMING))
    found = []
    for standby in database.standbys.values():
        follows, receiver = _receiver(database, standby, system)
        primary = states.get(standby.known_as, "absent")
        found.append(Link(standby.name, clean(primary), receiver, follows))
    return found, sorted(clean(name) for name in states)


def _receiver(database: Database, standby: Standby, system: str) -> tuple[bool, str]:
    with postgres.connect(standby.dsn, timeout_s=database.timeout_s) as connection:
        need_role(connection, "pg_read_all_stats", "the state of the WAL receiver is hidden")
        if _are_others(system_of(connection), system):
            return in_recovery(connection), "a copy of another server"
        rows = postgres.fetch(connection, _ON_STANDBY)
        return in_recovery(connection), clean(rows[0][0]) if rows else "not receiving"


@dataclass(frozen=True, slots=True)
class Synchronous:
    """The standbys that every commit waits for.

    Attributes:
        names: `synchronous_standby_names`; empty if no commit waits.
        asked: how many must confirm a commit.
        confirming: how many are there that would.
        connected: the names of all standbys that are connected.
    """

    names: str
    asked: int
    confirming: int
    connected: tuple[str, ...]


def synchronous(connection: Connection) -> Synchronous:
    """Whether enough standbys are there to confirm a commit; one that is away is given 12 s.

    Raises:
        NotPermitted: commits wait, and the role does not see for whom.
    """
    names = str(postgres.fetch_value(connection, _SYNCHRONOUS))
    if not names.strip():
        return Synchronous("", 0, 0, ())
    need_role(connection, "pg_read_all_stats", "the state of replication is hidden")
    # A list without a number waits for the first one that is there.
    number = _ASKED.match(names)
    asked = int(number[1]) if number else 1
    rows = until(
        lambda: postgres.fetch(connection, _CONFIRMING),
        lambda seen: sum(confirms for _, confirms in seen) >= asked,
        within_s=_PATIENCE_S,
    )
    return Synchronous(
        clean(names),
        asked,
        sum(confirms for _, confirms in rows),
        tuple(clean(name) for name, _ in rows),
    )


def lag(database: Database, standby: Standby, longest_s: float) -> Arrival:
    """Commit a message on the primary, and wait up to `longest_s` until the standby replayed it.

    Raises:
        CouldNotMeasure: the database is a standby itself, or the standby is none of it.
    """
    with (
        looking(database) as primary,
        postgres.connect(
            standby.dsn, timeout_s=database.timeout_s, total_s=longest_s + 6 * database.timeout_s
        ) as follower,
    ):
        if in_recovery(primary):
            raise is_standby(database)
        if not in_recovery(follower):
            raise CouldNotMeasure(
                "it is not a standby, and replays nothing",
                where=f"[databases.{database.name}.standbys.{standby.name}]",
                remedy="correct its dsn; if it was promoted, rebuild it as a standby",
            )
        # The WAL of another server may be ahead: the message would seem to be there at once.
        if _are_others(system_of(follower), system_of(primary)):
            raise CouldNotMeasure(
                "it is a standby of another server",
                where=f"[databases.{database.name}.standbys.{standby.name}]",
                remedy="correct its dsn",
            )
        written = postgres.fetch_value(primary, _CANARY, [f"readiness {time.time_ns()}"])
        committed = time.monotonic()
        arrived = until(
            lambda: bool(postgres.fetch_value(follower, _REPLAYED, [written])),
            bool,
            within_s=longest_s,
            every_s=_POLL_S,
        )
        return Arrival(time.monotonic() - committed, arrived)


def slots(database: Database) -> tuple[list[Slot], bool]:
    """All lasting slots, the one that retains most first; and whether they have a bound."""
    with looking(database) as connection:
        idle = _IDLE if postgres.is_at_least(connection, 17) else "null::float8"
        rows = postgres.fetch(connection, _SLOTS.format(idle=idle))
        bounded = postgres.fetch_value(connection, _BOUND) >= 0
    return [Slot(clean(name), *figures) for name, *figures in rows], bounded


def unread(database: Database) -> list[Slot]:
    """Slots that retain WAL for nobody; one whose consumer just left is given 12 s.

    Left out are those of a standby server, which have no consumer there; those whose idle time the
    server records; and, where standbys are declared, theirs, which are judged by themselves.
    """
    with looking(database) as connection:
        if in_recovery(connection):
            return []

    def look() -> list[Slot]:
        return [
            slot
            for slot in slots(database)[0]
            if slot.reserves and not (slot.active or slot.lost) and slot.idle_s is None
            and not (slot.kind == "physical" and database.standbys)
        ]  # fmt: skip

    return until(look, lambda found: not found, within_s=_PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription to changes of another database; `works` says whether a process applies them.

    The name is as SQL needs it.
    """

    name: str
    enabled: bool
    works: bool

    def __str__(self) -> str:
        if self.enabled:
            return f"{self.name} (no process applies it; the server's log has the error)"
        return f"{self.name} (disabled): alter subscription {self.name} enable;"


def subscriptions(database: Database) -> list[Subscription]:
    """The subscriptions of a primary's database; one that just failed is given 12 s.

    Raises:
        NotPermitted: there are some, and the role does not see what processes do.
    """
    with looking(database) as connection:
        if in_recovery(connection):
            return []
        if postgres.fetch(connection, _SUBSCRIPTIONS):
            need_role(connection, "pg_read_all_stats", "the processes of subscriptions are hidden")
        rows = until(
            lambda: postgres.fetch(connection, _SUBSCRIPTIONS),
            lambda seen: all(works or not enabled for _, enabled, works in seen),
            within_s=_PATIENCE_S,
        )
    return [Subscription(clean(name), *state) for name, *state in rows]


def _are_others(system: str, other: str) -> bool:
    """Whether two servers certainly have different origins."""
    return bool(system and other) and system != other


def is_standby(database: Database) -> CouldNotMeasure:
    """The error for a database that is a standby where the primary is asked for."""
    return CouldNotMeasure(
        "it is a standby itself, and only the primary knows its standbys",
        where=f"[databases.{database.name}] dsn",
        remedy="point the dsn at the primary: add target_session_attrs=read-write",
    )
