"""Asks a database what its backups are compared with: sizes, roles, sequences, large objects."""

from dataclasses import dataclass
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib.postgres import Connection, connect, fetch, fetch_value
from readiness.lib.postgres.batches import last_values
from readiness.model.errors import NoData, NotPermitted
from readiness.model.measurement import Measurement

# Without indexes, which a dump does not hold; one statement over the catalogue, no rows read.
_TABLES: Final = """
    select coalesce(sum(pg_table_size(c.oid)), 0)::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname !~ '^readiness_'
        and n.nspname <> 'information_schema'"""
_ROLE: Final = """
    select rolsuper or rolbypassrls
    from pg_roles where rolname = %s"""
# Its owner sees all of a table, unless row security is forced.
_HIDDEN: Final = """
    select format('%%s.%%s', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relrowsecurity
        and (c.relforcerowsecurity or not pg_has_role(%s, c.relowner, 'usage'))
    order by 1"""
# A sequence that was never used has no value; neither has one that may not be read.
_SEQUENCES: Final = """
    select format('%s.%s', n.nspname, c.relname), c.oid::bigint, p.seqincrement > 0, p.seqcycle,
        has_sequence_privilege(c.oid, 'select,usage')
    from pg_sequence p join pg_class c on c.oid = p.seqrelid
        join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence <> 't' and not exists (select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    order by 1"""
# One after the other: the server never holds more than one of them.
_LARGE_OBJECTS: Final = """
    select count(*), coalesce(sum((('x' || substr(md5(oid || md5(lo_get(oid))), 1, 16))
        ::bit(64)::bigint)::numeric), 0)::text
    from pg_largeobject_metadata"""


def size_of_tables(database: Database) -> Measurement:
    """The size on disk of all tables of a database, without indexes.

    Raises:
        NoData: it has no table with any rows.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        size = int(fetch_value(connection, _TABLES))
    source = f"pg_table_size of all tables of {database.dsn.address}"
    if not size:
        raise NoData(
            "the database has no table with any rows",
            where=database.dsn.address,
            remedy="is it the right database? see `database` in [backup.NAME]",
        )
    return Measurement("size of the tables", size, "bytes", source)


@dataclass(frozen=True, slots=True)
class Sight:
    """Which rows a role sees.

    Attributes:
        bypasses: whether no policy applies to it.
        tables: the tables with row security that applies to it.
        source: the statement and server.
    """

    bypasses: bool
    tables: tuple[str, ...]
    source: str


def sight_of(role: str, database: Database) -> Sight:
    """Which rows a role sees of a database, as the monitoring role can tell.

    Raises:
        NoData: there is no such role.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        rows = fetch(connection, _ROLE, [role])
        if not rows:
            raise NoData(
                f"there is no role {role!r}", where=database.dsn.address, remedy="see `role`"
            )
        tables = tuple(str(name) for (name,) in fetch(connection, _HIDDEN, [role]))
    return Sight(bool(rows[0][0]), tables, f"pg_roles, pg_class of {database.dsn.address}")


@dataclass(frozen=True, slots=True)
class Sequence:
    """How far a sequence has come.

    Attributes:
        value: the last value it issued; None if it never issued one.
        rising: whether its values grow.
        cycles: whether it begins again at its end, so that values cannot be compared.
    """

    value: int | None
    rising: bool = True
    cycles: bool = False

    def lags(self, other: "Sequence") -> bool:
        """Whether it would issue values again that the other one has issued."""
        if self.cycles or other.value is None:
            return False
        if self.value is None:
            return True
        return self.value < other.value if self.rising else self.value > other.value


@dataclass(frozen=True, slots=True)
class LargeObjects:
    """The large objects of a database: how many, and a checksum over numbers and contents."""

    number: int
    checksum: str


def sequences(connection: Connection) -> dict[str, Sequence]:
    """How far every sequence has come, by `schema.sequence`.

    Sequences keep to no snapshot: what is read before a dump is made is never ahead of the dump.

    Raises:
        NotPermitted: the role may not read one of them.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    found: dict[str, Sequence] = {}
    values = last_values(connection)
    for name, oid, rising, cycles, may in fetch(connection, _SEQUENCES):
        if not may:
            raise NotPermitted(
                f"permission denied for the sequence {name}",
                where="pg_sequence_last_value",
                remedy=f"grant select on sequence {name} to the role that makes the backups",
            )
        found[name] = Sequence(values.get(oid), rising, cycles)
    return found


def lagging(expected: dict[str, Sequence], found: dict[str, Sequence]) -> list[str]:
    """Sequences that are missing, or that would issue values again, in words."""
    behind = []
    for name, before in sorted(expected.items()):
        after = found.get(name)
        if after is None:
            behind.append(f"{name} is missing")
        elif after.lags(before):
            behind.append(f"{name} is at {after.value or 'its start'}, was at {before.value}")
    return behind


def large_objects(connection: Connection) -> LargeObjects:
    """The large objects, in the caller's snapshot.

    Raises:
        NotPermitted: the role may not read one of them.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    number, checksum = fetch(connection, _LARGE_OBJECTS)[0]
    return LargeObjects(number, checksum)
