"""Whether stored data is sound, and more can be stored: amcheck, collations, sequences."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from readiness.areas.database.config import Database, Standby
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.batches import last_values
from readiness.lib.postgres.sequences import BASE_TYPE, FEEDS
from readiness.lib.postgres.session import NOT_OURS, looking
from readiness.lib.text import clean, listed
from readiness.model.errors import NoData, NotPermitted
from readiness.model.secrets import Dsn

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
        postgres.adjust(connection, lock_timeout="2s")
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


# Hibernate, JPA and others ask a sequence themselves: only its name says whose it is. For
# `hibernate_sequence` these are all tables beside it.
_FEEDS_OR_NAMED: Final = f"""
  with certain as materialized ({FEEDS}),
  keys as materialized (
    select t.oid as relation, a.attnum as number, t.relnamespace, u.name
    from pg_index i
    join pg_class t on t.oid = i.indrelid and not t.relispartition
    join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
    cross join lateral (
      select t.relname || '_seq' as name
      union select t.relname || '_id_seq' union select t.relname || '_' || a.attname || '_seq'
      union select 'hibernate_sequence') u
    where i.indisprimary and i.indnkeyatts = 1 and not a.atthasdef and a.attidentity = ''
      and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))
  select sequence, relation, number, owned, '' as how from certain
  union all
  select s.oid, k.relation, k.number, false, ' (by its name)'
  from pg_class s join keys k on k.relnamespace = s.relnamespace and k.name = s.relname
  where s.relkind = 'S' and not exists (select from certain c where c.sequence = s.oid)"""  # noqa: S608
# What a sequence may reach is also bounded by the columns that it feeds, the narrowest first. One
# that cycles never ends, unless its column does before.
_SEQUENCES: Final = f"""
with feeds as ({_FEEDS_OR_NAMED}),
fed as (
  select distinct on (f.sequence) f.sequence, f.how,
         f.relation::regclass::text || '.' || quote_ident(a.attname) as feeds,
         b.oid::regtype::text as type,
         case b.oid when 'smallint'::regtype then 32767
                    when 'integer'::regtype then 2147483647 end as most
  from feeds f
  join pg_attribute a on a.attrelid = f.relation and a.attnum = f.number
  cross join lateral ({BASE_TYPE}) b
  order by f.sequence, most nulls last, f.owned desc, feeds)
select c.oid::bigint, format('%I.%I', n.nspname, c.relname),
       has_sequence_privilege(c.oid, 'select,usage') and has_schema_privilege(n.oid, 'usage'),
       s.seqincrement > 0, s.seqmin, s.seqmax, fed.most,
       coalesce(fed.feeds || ' ' || fed.type || fed.how, 'nothing')
from pg_sequence s
join pg_class c on c.oid = s.seqrelid
join pg_namespace n on n.oid = c.relnamespace
left join fed on fed.sequence = c.oid
where not (s.seqcycle and coalesce(case when s.seqincrement > 0 then s.seqmax <= fed.most
                                        else s.seqmin >= -fed.most end, true))
  and c.relpersistence <> 't' and {NOT_OURS}
order by 2"""  # noqa: S608 - constants
_FED: Final = f"""
with feeds as ({_FEEDS_OR_NAMED})
select f.relation::bigint, f.number::int, f.sequence::bigint
from feeds f join pg_sequence s on s.seqrelid = f.sequence and s.seqincrement > 0"""  # noqa: S608
# Columns of integer types that reference another one, in all foreign keys. If materialized,
# all of them would be looked through for each key.
_REFERENCES: Final = f"""
with columns as not materialized (
  select a.attrelid, a.attnum, b.oid::regtype::text as type, quote_ident(a.attname) as name
  from pg_attribute a cross join lateral ({BASE_TYPE}) b
  where b.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))
select k.conrelid::bigint, u.child::int, k.confrelid::bigint, u.parent::int,
       format('%I.%I', n.nspname, t.relname), c.name, c.type,
       format('%s.%s', k.confrelid::regclass, p.name), p.type
from pg_constraint k
join pg_class t on t.oid = k.conrelid
join pg_namespace n on n.oid = t.relnamespace
cross join lateral unnest(k.conkey, k.confkey) u(child, parent)
join columns c on c.attrelid = k.conrelid and c.attnum = u.child
join columns p on p.attrelid = k.confrelid and p.attnum = u.parent
where k.contype = 'f' and k.conparentid = 0 and {NOT_OURS}"""  # noqa: S608 - constants
_Column = tuple[int, int]
"""A relation and the number of its column."""
_MOST: Final = {"smallint": 32767, "integer": 2147483647, "bigint": 9223372036854775807}
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
        standby: the standby where it is so; empty for the primary.
    """

    name: str
    recorded: str | None
    actual: str | None
    indexes: int
    standby: str = ""

    @property
    def changed(self) -> bool:
        """Whether it may sort otherwise than the indexes were built."""
        return self.recorded is not None and self.recorded != self.actual

    @property
    def unknown(self) -> bool:
        """Whether a change could not be seen."""
        return self.recorded is None and self.actual is not None

    def __str__(self) -> str:
        there = f" on the standby {self.standby}" if self.standby else ""
        versions = f"recorded {self.recorded}, now {self.actual or 'none'}{there}"
        return f"{self.name} ({versions}, {self.indexes} indexes)"


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


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that is narrower than the one it references.

    Attributes:
        table: as SQL needs it; so is the column.
        parent: the column that it references, and its type.
        last: the last value that was issued for that one.
    """

    table: str
    column: str
    type: str
    parent: str
    parent_type: str
    last: int

    @property
    def share(self) -> float:
        """The used share of the numbers that the column can hold."""
        return self.last / _MOST[self.type]

    def __str__(self) -> str:
        return (
            f"{self.table}.{self.column} {self.type} references {self.parent} {self.parent_type},"
            f" whose sequence is at {self.last} ({self.share:.1%} of what it takes):"
            f" alter table {self.table} alter column {self.column} type {self.parent_type};"
        )


def references(database: Database) -> list[Reference]:
    """Columns narrower than the one they reference, by what was issued for that; fullest first."""
    with looking(database) as connection:
        last = last_values(connection)
        issued = {
            (relation, number): last.get(sequence) or 0
            for relation, number, sequence in postgres.fetch(connection, _FED)
        }
        rows = postgres.fetch(connection, _REFERENCES)
    keys = [((child, number), (parent, other)) for child, number, parent, other, *_ in rows]
    _hand_down(issued, keys)
    found = [
        Reference(
            clean(table), clean(column), narrow, clean(name), wide, issued.get((parent, other), 0)
        )
        for _, _, parent, other, table, column, narrow, name, wide in rows
        if _MOST[narrow] < _MOST[wide]
    ]
    return sorted(found, key=lambda one: -one.share)


def _hand_down(issued: dict[_Column, int], keys: list[tuple[_Column, _Column]]) -> None:
    """Give each referencing column the largest value of those it references, over any distance."""
    for _ in keys:
        changes = {
            child: issued[parent]
            for child, parent in keys
            if issued.get(parent, 0) > issued.get(child, 0)
        }
        if not changes:
            return
        issued.update(changes)


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
        return _collations(connection)


def collations_of_standby(database: Database, standby: Standby) -> list[Collation]:
    """The same on a standby: its files are the primary's, and its libraries are its own.

    Where no version was recorded, that of the primary counts.
    """
    with looking(database) as connection:
        of_primary = {one.name: one.actual for one in _collations(connection)}
        name = connection.info.dbname
    # Collations are those of one database, and its standby may be declared by another one.
    address = Dsn(make_conninfo(standby.dsn.reveal(), dbname=name))
    with postgres.connect(address, timeout_s=database.timeout_s) as connection:
        return [
            replace(one, standby=standby.name, recorded=one.recorded or of_primary.get(one.name))
            for one in _collations(connection)
        ]


def _collations(connection: Connection) -> list[Collation]:
    new = postgres.is_at_least(connection, 15)
    rows = postgres.fetch(connection, _COLLATIONS)
    rows += postgres.fetch(connection, _RECORDED if new else _UNRECORDED)
    return [Collation(clean(name), then, now, indexes) for name, then, now, indexes in rows]
