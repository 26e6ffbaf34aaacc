"""Whether stored data is sound, and more can be stored: amcheck, collations, sequences."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import errors, sql

from readiness.areas.database.config import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.batches import last_values
from readiness.lib.postgres.session import NOT_OURS, looking
from readiness.lib.text import clean, listed
from readiness.model.errors import NoData, NotPermitted

_STATEMENT_S: Final = 60.0
# After that nothing more is begun: many small relations take long, too.
_BEGIN_S: Final = 6.0
_INSTALLED: Final = """
select quote_ident(n.nspname),
       has_schema_privilege(n.oid, 'usage') and has_function_privilege(
         format('%I.bt_index_check(regclass, boolean)', n.nspname), 'execute'),
       coalesce((select has_function_privilege(p.oid, 'execute') from pg_proc p
                 where p.proname = 'verify_heapam' and p.pronamespace = n.oid), false)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'amcheck'"""
# The largest ones hold most; of the others, each day has its own order, so that all have their
# turn. What is compared with an index is its whole table, which counts as well.
_CANDIDATES: Final = """
with sized as (
  select i.indexrelid as oid, format('%I.%I', n.nspname, c.relname) as name,
         pg_relation_size(i.indexrelid) + pg_relation_size(i.indrelid) as bytes, 'i' as kind
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_am m on m.oid = c.relam
  where m.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p'
    and i.indisvalid and i.indisready and i.indislive
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  union all
  select c.oid, format('%I.%I', n.nspname, c.relname), pg_relation_size(c.oid), 't'
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_am m on m.oid = c.relam
  where c.relkind in ('r', 'm') and m.amname = 'heap' and c.relpersistence = 'p'
    and n.nspname not in ('pg_catalog', 'information_schema'))
select oid::bigint, name, bytes, kind from sized
order by rank() over (partition by kind order by bytes desc) > 5,
         hashtext(oid::text || current_date::text)"""
_THERE: Final = "select 1 from pg_class where oid = %s"
_BUSY: Final = (errors.LockNotAvailable, errors.UndefinedTable, errors.UndefinedObject)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or index; `size` is the bytes that have to be read."""

    oid: int
    name: str
    size: int
    is_index: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """How many indexes, tables and bytes were read, out of all candidates, and what is damaged."""

    indexes: int
    tables: int
    size: int
    candidates: int
    damaged: tuple[str, ...]


def sample(database: Database, most_bytes: int) -> Sample:
    """Read tables and B-tree indexes, up to so many bytes: the largest, and others in turn.

    It ends sooner if six seconds have passed. A relation that exceeds the rest of `most_bytes` is
    left out.

    Raises:
        NoData: amcheck is not installed, or nothing could be read.
        NotPermitted: the role may not run it.
    """
    with postgres.connect(
        database.dsn, timeout_s=_STATEMENT_S, total_s=_BEGIN_S + _STATEMENT_S
    ) as connection:
        schema, heaps = _amcheck(connection)
        postgres.fetch(connection, "set lock_timeout = '2s'")
        found = [
            Relation(oid, clean(name), size, kind == "i")
            for oid, name, size, kind in postgres.fetch(connection, _CANDIDATES)
            if kind == "i" or heaps
        ]
        read, damaged = [], []
        for relation in _affordable(found, most_bytes):
            damage = _damage(connection, schema, relation)
            if damage is None:
                continue
            read.append(relation)
            if damage:
                damaged.append(f"{relation.name}: {damage}")
    _must_have_read(found, read, most_bytes)
    indexes = sum(relation.is_index for relation in read)
    size = sum(relation.size for relation in read)
    return Sample(indexes, len(read) - indexes, size, len(found), tuple(damaged))


def _amcheck(connection: Connection) -> tuple[sql.SQL, bool]:
    """Where amcheck is installed, and whether it may read tables (from PostgreSQL 14 on)."""
    found = postgres.fetch(connection, _INSTALLED)
    grant = "grant execute on function bt_index_check(regclass, boolean) to the monitoring role,"
    grant += " and from PostgreSQL 14 on verify_heapam"
    if not found:
        raise NoData(
            "the extension amcheck is not installed in the database",
            where="pg_extension",
            remedy=f"create extension amcheck; {grant}",
        )
    schema, may, heaps = found[0]
    if not may:
        raise NotPermitted("the role may not run amcheck", where="bt_index_check", remedy=grant)
    return sql.SQL(schema), bool(heaps)


def _affordable(found: list[Relation], most_bytes: int) -> Iterator[Relation]:
    """Those that fit, in their order, as long as there is time."""
    deadline, left = time.monotonic() + _BEGIN_S, most_bytes
    for relation in found:
        if time.monotonic() > deadline:
            return
        if relation.size <= left:
            left -= relation.size
            yield relation


def _damage(connection: Connection, schema: sql.SQL, relation: Relation) -> str | None:
    """What is wrong with it; empty if nothing is, None if it is gone or locked."""
    call = "select null from {}.bt_index_check({}::oid::regclass, true)"
    if not relation.is_index:
        call = "select msg from {}.verify_heapam({}::oid::regclass, on_error_stop => true)"
    statement = sql.SQL(call).format(schema, sql.Literal(relation.oid))
    try:
        rows = connection.execute(statement).fetchall()
    except (errors.DataCorrupted, errors.IndexCorrupted) as damage:
        return clean(damage.diag.message_primary or str(damage))
    except _BUSY:
        return None
    except psycopg.Error as problem:
        if not connection.closed and not postgres.fetch(connection, _THERE, [relation.oid]):
            return None
        raise postgres.could_not(problem, postgres.source_of(statement, connection)) from problem
    return "; ".join(clean(str(message)) for (message,) in rows[:1] if message is not None)


def _must_have_read(found: list[Relation], read: list[Relation], most_bytes: int) -> None:
    if not found:
        raise NoData(
            "the database has no table",
            where="pg_class",
            remedy="name the application's database in `dsn`, and fill it before the gate is run",
        )
    if not read:
        raise NoData(
            f"none of {len(found)} tables and indexes could be read within {most_bytes} bytes",
            where="bt_index_check",
            remedy="raise `corruption_sample_bytes` in [databases.NAME.limits]",
        )


# What a sequence may reach is also bounded by the column that it feeds.
_SEQUENCES: Final = """
with owned as (
  select d.objid, d.refobjid::regclass::text || '.' || quote_ident(a.attname) as feeds,
         a.atttypid::regtype::text as type,
         case a.atttypid when 'smallint'::regtype then 32767
                         when 'integer'::regtype then 2147483647 end as most
  from pg_depend d
  join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
    and d.deptype in ('a', 'i'))
select c.oid::bigint, format('%I.%I', n.nspname, c.relname),
       has_sequence_privilege(c.oid, 'select,usage') and has_schema_privilege(n.oid, 'usage'),
       s.seqincrement > 0, s.seqmin, s.seqmax, owned.most,
       coalesce(owned.feeds || ' ' || owned.type, 'nothing')
from pg_sequence s
join pg_class c on c.oid = s.seqrelid
join pg_namespace n on n.oid = c.relnamespace
left join owned on owned.objid = c.oid
where not s.seqcycle and c.relpersistence <> 't' and @OWN@
order by 2""".replace("@OWN@", NOT_OURS)
# Columns of user tables and of their indexes: where an order was stored.
_COLLATIONS: Final = """
select quote_ident(c.collname), c.collversion, pg_collation_actual_version(c.oid),
       (select count(distinct a.attrelid) from pg_attribute a
        join pg_class r on r.oid = a.attrelid
        where a.attcollation = c.oid and r.relkind in ('i', 'I') and r.oid >= 16384)
from pg_collation c
where c.collprovider <> 'd'
  and exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384)"""
_DEFAULT: Final = """
select 'the default of the database', {versions},
       (select count(*) from pg_class r where r.relkind in ('i', 'I') and r.oid >= 16384
        and exists (select from pg_attribute a where a.attrelid = r.oid and a.attcollation = 100))
from pg_database where datname = current_database()"""
_RECORDED: Final = _DEFAULT.format(
    versions="datcollversion, pg_database_collation_actual_version(oid)"
)
# Before PostgreSQL 15 the version of the default was not recorded at all.
_UNRECORDED: Final = (
    _DEFAULT.format(versions="null, datcollate") + " and datcollate not in ('C', 'POSIX')"
)


@dataclass(frozen=True, slots=True)
class Sequence:
    """How much of a sequence is used, up to the number `last`, and the column that it feeds."""

    name: str
    share: float
    last: int | None
    feeds: str

    def __str__(self) -> str:
        last = "unused" if self.last is None else self.last
        return f"{self.name} at {last} ({self.share:.1%} of what {self.feeds} takes)"


@dataclass(frozen=True, slots=True)
class Collation:
    """A collation in use.

    Attributes:
        recorded: its version when rows were sorted by it; None if it was not recorded.
        actual: its version now; None if it has none, as `C`.
        indexes: how many indexes are sorted by it.
    """

    name: str
    recorded: str | None
    actual: str | None
    indexes: int

    @property
    def changed(self) -> bool:
        """Whether it may sort otherwise than the indexes were built."""
        return self.recorded is not None and self.recorded != self.actual

    @property
    def unknown(self) -> bool:
        """Whether a change could not be seen."""
        return self.recorded is None and self.actual is not None

    def __str__(self) -> str:
        return f"{self.name} (recorded {self.recorded}, now {self.actual}, {self.indexes} indexes)"


def sequences(database: Database) -> list[Sequence]:
    """All sequences that can run out, the fullest first.

    Raises:
        NotPermitted: the role may not read one of them.
    """
    with looking(database) as connection:
        rows = postgres.fetch(connection, _SEQUENCES)
        last = last_values(connection)
    hidden = [name for _, name, readable, *_ in rows if not readable]
    if hidden:
        raise NotPermitted(
            f"{len(hidden)} of {len(rows)} sequences cannot be read: {listed(hidden)}",
            where="pg_sequences",
            remedy="grant usage on schema SCHEMA, and select on all sequences in schema SCHEMA, to"
            " the monitoring role",
        )
    found = [
        Sequence(clean(name), _share(last.get(oid), *bounds), last.get(oid), clean(feeds))
        for oid, name, _, *bounds, feeds in rows
    ]
    return sorted(found, key=lambda one: -one.share)


def _share(value: int | None, rises: bool, least: int, most: int, column: int | None) -> float:
    """The used share of the numbers that a sequence can give and its column can hold."""
    if value is None:
        return 0.0
    if rises:
        most = most if column is None else min(most, column)
        return (value - least + 1) / max(most - least + 1, 1)
    least = least if column is None else max(least, -column)
    return (most - value + 1) / max(most - least + 1, 1)


def collations(database: Database) -> list[Collation]:
    """The collations that columns of the database use."""
    with looking(database) as connection:
        new = postgres.is_at_least(connection, 15)
        rows = postgres.fetch(connection, _COLLATIONS)
        rows += postgres.fetch(connection, _RECORDED if new else _UNRECORDED)
    return [Collation(clean(name), then, now, indexes) for name, then, now, indexes in rows]
