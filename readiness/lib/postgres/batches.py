"""Splits work over many tables, so that the server's table of locks keeps room for the application.

A server has `max_locks_per_transaction * (max_connections + max_prepared_transactions)` locks in
all. Reading a table takes one for it, one for each of its indexes, and as many for each of its
partitions; they are kept until the transaction ends. The session that asks for one more than there
are fails with "out of shared memory", and that may be the application's.
https://www.postgresql.org/docs/current/runtime-config-locks.html
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeVar

from psycopg import sql

from readiness.lib.postgres import Connection, fetch
from readiness.model.errors import CouldNotMeasure

_BATCH_SHARE: Final = 1 / 40
"""Of all locks: what a transaction over many tables fills up to; 160 with default settings."""
_ALONE_SHARE: Final = 1 / 10
"""Of the free locks: what one transaction may take where it cannot be split."""
_DUMP_SHARE: Final = 3 / 4
"""Of the free locks: what `pg_dump` may take in a check; it locks all tables in one transaction."""
_BACKUP_SHARE: Final = 0.98
"""The same of all locks that there really are, in a backup: where pg_dump can, a backup can."""
_DUMP_CATALOG: Final = 250
_PG_DUMP: Final = "pg_dump, which locks all tables at once,"
_SPARE: Final = 1.1
"""What is advised exceeds what is needed now by so much: the locks of others vary."""
_VALID_S: Final = 1.0
_ROOM: Final = """
    select current_setting('max_locks_per_transaction')::integer,
        current_setting('max_connections')::integer
        + current_setting('max_prepared_transactions')::integer,
        (select count(*) from pg_locks where not fastpath),
        current_setting('autovacuum_max_workers')::integer + 1
        + current_setting('max_worker_processes')::integer
        + current_setting('max_wal_senders')::integer"""
# The server locks TOAST and its index as well, once a long value is read.
_OWN: Final = """
    select c.oid, 1 + case when c.reltoastrelid <> 0 then 2 else 0 end
        + coalesce(i.indexes, 0) as locks
    from pg_class c left join (select indrelid, count(*) as indexes from pg_index group by 1) i
        on i.indrelid = c.oid
    where c.relkind in ('r', 'p', 'm', 'f')"""
_LOCKS: Final = f"""
    with recursive own as ({_OWN}), tree as (
        select oid as root, oid as member from own where {{which}}
        union
        select tree.root, h.inhrelid from tree join pg_inherits h on h.inhparent = tree.member)
    select tree.root::bigint, sum(own.locks)::bigint from tree join own on own.oid = tree.member
    group by 1"""  # noqa: S608 - constants
_NAMED: Final = "oid in (select to_regclass(n) from unnest(%s::text[]) n)"
# Tables and sequences it locks, and what views and rules name.
_DUMPED: Final = """
    select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where (c.relkind in ('r', 'p', 'S') or c.relkind in ('v', 'm', 'f') and exists (
            select from pg_depend d join pg_rewrite w on w.oid = d.objid and w.ev_class <> c.oid
            where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
            and d.refobjid = c.oid))
        and c.relpersistence <> 't'
        and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'"""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Room:
    """The locks of a server.

    Attributes:
        each: its `max_locks_per_transaction`.
        sessions: its `max_connections` and `max_prepared_transactions` together.
        taken: how many locks are held now.
        workers: processes of its own that have a share of the locks, too.
    """

    each: int
    sessions: int
    taken: int
    workers: int = 0

    @property
    def all(self) -> int:
        """How many there are; the server may have a few more."""
        return self.each * self.sessions

    @property
    def free(self) -> int:
        """How many are not held."""
        return max(0, self.all - self.taken)

    @property
    def alone(self) -> int:
        """The most that one transaction of ours may take: a tenth of what is free."""
        return int(self.free * _ALONE_SHARE)

    @property
    def batch(self) -> int:
        """What a transaction is filled up to: a fortieth of all, or less where less is free."""
        return min(int(self.all * _BATCH_SHARE), self.alone)

    @property
    def for_dump(self) -> int:
        """The most that `pg_dump` may take in a check."""
        return int(self.free * _DUMP_SHARE)

    @property
    def for_backup(self) -> int:
        """The most that `pg_dump` can take: the workers of the server seldom need their share."""
        return int(self.each * (self.sessions + self.workers) * _BACKUP_SHARE) - self.taken


def room(connection: Connection) -> Room:
    """How many locks the server has, and how many are held now."""
    return Room(*fetch(connection, _ROOM)[0])


def locks_of_tables(connection: Connection) -> dict[int, int]:
    """The locks that it takes to read each table, by its number: with indexes and partitions."""
    # To compile it would take longer than to run it.
    fetch(connection, "set jit = off")
    return dict(fetch(connection, _LOCKS.format(which="true")))


def batches(
    connection: Connection,
    work: Iterable[_T],
    locks: Callable[[_T], int],
    *,
    longest: int = 1000,
) -> Iterator[list[_T]]:
    """Parts of the work, in its order; each is to be done in a transaction of its own.

    Args:
        connection: a session that is in no transaction whenever the next part is asked for.
        work: what is to be done.
        locks: how many locks a piece of it takes.
        longest: most pieces of a part.

    Raises:
        CouldNotMeasure: a piece takes more locks than may be taken.
    """
    seen, at = room(connection), time.monotonic()
    part: list[_T] = []
    held = 0
    for piece in work:
        wanted = locks(piece)
        if part and (held + wanted > seen.batch or len(part) >= longest):
            yield part
            part, held = [], 0
            # The server stops all who want a lock while it counts them: not for each part.
            if time.monotonic() - at > _VALID_S:
                seen, at = room(connection), time.monotonic()
        if wanted > seen.alone:
            raise _too_little(wanted, str(piece), seen, _ALONE_SHARE)
        part.append(piece)
        held += wanted
    if part:
        yield part


def need_room(connection: Connection, tables: Sequence[str]) -> None:
    """Make sure that these tables, named as SQL needs it, may be read in one transaction.

    One that does not exist takes no locks.

    Raises:
        CouldNotMeasure: they take more locks than may be taken.
    """
    found = fetch(connection, _LOCKS.format(which=_NAMED), [list(tables)])
    wanted, seen = sum(locks for _, locks in found), room(connection)
    if wanted > seen.alone:
        raise _too_little(wanted, " and ".join(tables), seen, _ALONE_SHARE)


def need_room_for_dump(connection: Connection) -> None:
    """Make sure that `pg_dump` gets all locks that it takes, and leaves some to the application.

    Raises:
        CouldNotMeasure: it would not.
    """
    wanted, seen = _of_dump(connection), room(connection)
    if wanted > seen.for_dump:
        raise _too_little(wanted, _PG_DUMP, seen, _DUMP_SHARE)


def need_room_for_backup(connection: Connection) -> str:
    """Make sure that the server has the locks that `pg_dump` takes.

    Returns:
        A warning where few are left to the application, else nothing.

    Raises:
        CouldNotMeasure: it has not: `pg_dump` would fail, or a query of the application.
    """
    wanted, seen = _of_dump(connection), room(connection)
    if wanted > seen.for_backup:
        raise _too_little(wanted, _PG_DUMP, seen, _DUMP_SHARE, most=seen.for_backup)
    if wanted > seen.for_dump:
        short = _too_little(wanted, _PG_DUMP, seen, _DUMP_SHARE)
        return f"few locks are left to the application: {short.message}; {short.remedy}"
    return ""


def _of_dump(connection: Connection) -> int:
    return int(fetch(connection, _DUMPED)[0][0]) + _DUMP_CATALOG


@contextmanager
def in_snapshot(connection: Connection, snapshot: str = "") -> Iterator[None]:
    """A transaction that sees what another one saw when it exported its snapshot.

    Without what `pg_export_snapshot` returned it is a transaction as any other.
    """
    with connection.transaction():
        if snapshot:
            fetch(connection, "set transaction isolation level repeatable read, read only")
            fetch(connection, sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)))
        yield


def fix_settings(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set these for the rest of the transaction."""
    if not settings:
        return
    calls = [sql.SQL("set_config({}, {}, true)").format(*pair) for pair in settings.items()]
    fetch(connection, sql.SQL("select ") + sql.SQL(", ").join(calls))


def _too_little(
    wanted: int, what: str, seen: Room, share: float, *, most: int | None = None
) -> CouldNotMeasure:
    enough = ceil(_SPARE * (seen.taken + wanted / share) / seen.sessions)
    may = int(seen.free * share) if most is None else max(0, most)
    return CouldNotMeasure(
        f"{what} takes {wanted} locks in one transaction; {seen.taken} of {seen.all} are held,"
        f" and readiness may take at most {may} of the free ones",
        where="pg_locks",
        remedy=f"alter system set max_locks_per_transaction = {enough}; then restart the server"
        f" (it is {seen.each} now); or run it when fewer locks are held",
    )


# A standby has no unlogged ones.
_READABLE: Final = """
    select q.seqrelid::bigint from pg_sequence q join pg_class c on c.oid = q.seqrelid
    where (c.relpersistence = 'p' or c.relpersistence = 'u' and not pg_is_in_recovery())
        and has_sequence_privilege(q.seqrelid, 'select,usage')
    order by 1"""
# One that was dropped meanwhile is not joined any more, and not asked for its value.
_VALUES: Final = """
    select q.seqrelid::bigint, pg_sequence_last_value(q.seqrelid)
    from pg_sequence q where q.seqrelid = any(%s::oid[])"""


def last_values(connection: Connection) -> dict[int, int | None]:
    """The last value of every sequence that the role may read, by its number; None if unused."""
    oids = [oid for (oid,) in fetch(connection, _READABLE)]
    return {
        oid: value
        for some in batches(connection, oids, lambda _: 1)
        for oid, value in fetch(connection, _VALUES, [some])
    }
