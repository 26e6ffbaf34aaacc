"""Indexes, and foreign keys without one, as the catalogues describe them; no grant is needed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import OF_THE_APPLICATION, no_objects, uncompiled

_SCOPE: Final = sql.SQL(OF_THE_APPLICATION)

# Only the root of a partitioned index is read: a part of it cannot be dropped by itself.
# Sizes are those of the last vacuum or analyze: to ask for the true ones would open ten thousand
# indexes, and wait for sessions that lock one.
# The expressions are compared as text: the trees in the catalogue say where each word stood.
INDEXES: Final = sql.SQL("""
select c.oid::bigint, n.nspname, c.relname, t.relname,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       quote_ident(tn.nspname) || '.' || quote_ident(t.relname),
       concat_ws('/', i.indrelid, c.relam, i.indnkeyatts, i.indkey::text, i.indclass::text,
                 i.indcollation::text, i.indoption::text,
                 coalesce(pg_get_expr(i.indexprs, i.indrelid), '-'),
                 coalesce(pg_get_expr(i.indpred, i.indrelid), '-')),
       i.indisunique, {nulls}, i.indisexclusion,
       i.indisvalid and i.indisready and i.indislive, i.indisreplident or i.indisclustered,
       0 = any(i.indkey::int2[]),
       k.own, coalesce(k.referenced, false),
       exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass
                 and d.objid = c.oid and d.deptype = 'e')
       or exists (select 1 from pg_inherits h join pg_class hc on hc.oid = h.inhrelid
                  join pg_namespace hn on hn.oid = hc.relnamespace
                  where h.inhparent = i.indrelid and hn.nspname ~ '^_timescaledb_'),
       i.indrelid in (select p.relid from pg_stat_progress_create_index p where p.datid =
                      (select oid from pg_database where datname = current_database())),
       (current_setting('block_size')::bigint * case c.relkind when 'i' then c.relpages
            else (with recursive part (oid) as (
                      select c.oid
                      union all
                      select h.inhrelid from part join pg_inherits h on h.inhparent = part.oid)
                  select coalesce(sum(l.relpages), 0) from part
                  join pg_class l on l.oid = part.oid) end)::bigint
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = i.indrelid
join pg_namespace tn on tn.oid = t.relnamespace
left join (
    select conindid, min(quote_ident(conname)) filter (where contype in ('p', 'u', 'x')) as own,
           bool_or(contype = 'f') as referenced
    from pg_constraint where conindid <> 0 group by 1
) k on k.conindid = c.oid
where {scope} and not c.relispartition
order by n.nspname, c.relname""")


@dataclass(frozen=True, slots=True)
class Index:
    """One index; of a partitioned one, its root.

    Attributes:
        name: `schema.index`; `quoted` is the same, and `quoted_table` its table, as SQL needs it.
        signature: equal for indexes that hold the same, in the same order.
        nulls_distinct: whether it treats NULLs as different from each other.
        exclusion: whether it belongs to an exclusion constraint.
        sound: whether it is valid, ready and live.
        chosen: whether it is the replica identity, or what the table is clustered by.
        expression: whether it has an expression, for which the planner then keeps statistics.
        constraint: the constraint that it implements, as SQL needs it.
        referenced: whether foreign keys reference it.
        of_extension: whether it came with an extension, or is a hypertable's own index, which is
            never used: those of its chunks are.
        building: whether an index of its table is being built just now.
        size: in bytes, with all its parts, as of the last vacuum or analyze.
    """

    oid: int
    name: str
    table: str
    quoted: str
    quoted_table: str
    signature: str
    unique: bool
    nulls_distinct: bool
    exclusion: bool
    sound: bool
    chosen: bool
    expression: bool
    constraint: str | None
    referenced: bool
    of_extension: bool
    building: bool
    size: int

    @property
    def droppable(self) -> bool:
        """Whether nothing but speed depends on it."""
        return not (
            self.unique
            or self.exclusion
            or self.chosen
            or self.expression
            or self.constraint
            or self.referenced
            or self.of_extension
        )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An index to drop, and the one that holds the same and is kept."""

    keep: Index
    drop: Index

    @property
    def statement(self) -> str:
        """The SQL that drops the duplicate."""
        if self.drop.constraint:
            return f"alter table {self.drop.quoted_table} drop constraint {self.drop.constraint};"
        return f"drop index concurrently {self.drop.quoted};"


def read(connection: Connection) -> list[Index]:
    """All indexes of the application; raises NoData if there is none."""
    uncompiled(connection)
    nulls = "not i.indnullsnotdistinct" if postgres.is_at_least(connection, 15) else "true"
    statement = INDEXES.format(nulls=sql.SQL(nulls), scope=_SCOPE)
    found = [
        Index(oid, f"{schema}.{name}", *rest)
        for oid, schema, name, *rest in postgres.fetch(connection, statement)
    ]
    if not found:
        raise no_objects(connection, "index")
    return found


def duplicates(indexes: Iterable[Index]) -> list[Duplicate]:
    """Which valid indexes duplicate another one, the largest first.

    The one to keep is the one that the most depends on.
    """
    alike: dict[str, list[Index]] = defaultdict(list)
    for index in indexes:
        if index.sound and not index.of_extension:
            alike[index.signature].append(index)
    found = [pair for group in alike.values() for pair in _superfluous(group)]
    return sorted(found, key=lambda pair: (-pair.drop.size, pair.drop.name))


def _superfluous(group: Sequence[Index]) -> list[Duplicate]:
    keep = max(group, key=_weight)
    return [Duplicate(keep, other) for other in group if other is not keep and _covers(keep, other)]


def _weight(index: Index) -> tuple[bool, bool, bool, bool, bool, int]:
    constraint = index.constraint is not None
    return (
        index.referenced, constraint, index.unique, not index.nulls_distinct, index.chosen,
        -index.oid,
    )  # fmt: skip


def _covers(keep: Index, other: Index) -> bool:
    """Whether nothing is lost by dropping `other`: what is unique stays unique."""
    if other.chosen or other.referenced or other.exclusion:
        return False
    if other.unique and not keep.unique:
        return False
    return not (other.unique and keep.nulls_distinct and not other.nulls_distinct)


def invalid(indexes: Iterable[Index]) -> list[Index]:
    """Those that no query may use, and that are not being built, the largest first."""
    found = [index for index in indexes if not index.sound and not index.building]
    return sorted(found, key=lambda index: (-index.size, index.name))


# The leading columns as a set: (b, a) serves a key on (a, b). A partial index does not, unless it
# leaves out nothing but NULL, which references nothing; nor does a brin, which only shows where
# not to look. Rows of a table that was never analyzed are estimated by its size: 200 bytes each. A
# function is asked and not the view, which would count all tables for each key; and an array, as a
# join would read all of pg_class for each. pg_partition_tree would lock every partition.
_FOREIGN_KEYS: Final = sql.SQL("""
select n.nspname || '.' || t.relname, k.conname,
       quote_ident(n.nspname) || '.' || quote_ident(t.relname),
       (select string_agg(quote_ident(a.attname), ', ' order by u.place)
        from unnest(k.conkey) with ordinality u (number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
       k.confrelid::regclass::text,
       coalesce(r.rows, 0)::bigint, coalesce(r.bytes, 0)::bigint,
       exists (
           select 1 from pg_index i
           where i.indrelid = k.conrelid and i.indisvalid and i.indisready
             and (select a.amname from pg_class x join pg_am a on a.oid = x.relam
                  where x.oid = i.indexrelid) in ('btree', 'hash')
             and i.indnkeyatts >= cardinality(k.conkey)
             and (i.indpred is null or (cardinality(k.conkey) = 1
                  and pg_get_expr(i.indpred, i.indrelid) = '(' || quote_ident(
                      (select attname from pg_attribute
                       where attrelid = k.conrelid and attnum = k.conkey[1])) || ' IS NOT NULL)'))
             and (select array_agg(x order by x)
                  from unnest((string_to_array(i.indkey::text, ' ')::int2[])
                              [1:cardinality(k.conkey)]) x)
               = (select array_agg(x order by x) from unnest(k.conkey) x))
from pg_constraint k
join pg_class t on t.oid = k.conrelid
join pg_namespace n on n.oid = t.relnamespace
cross join lateral (
    select sum(greatest(l.reltuples, pg_stat_get_live_tuples(l.oid), 0,
                        case when l.reltuples <= 0 then pg_relation_size(l.oid) / 200 end)) as rows,
           sum(case when l.reltuples <= 0 then pg_relation_size(l.oid) else
                    l.relpages * current_setting('block_size')::bigint end) as bytes
    from pg_class l where l.relkind <> 'p' and l.oid = any(array(
        with recursive part (oid) as (
            select k.conrelid::oid
            union all
            select h.inhrelid from part join pg_class p on p.oid = part.oid and p.relkind = 'p'
            join pg_inherits h on h.inhparent = part.oid)
        select oid from part))
) r
where k.contype = 'f' and k.conparentid = 0 and {scope}
order by r.bytes desc nulls last, 1, 2""")
_TABLES: Final = sql.SQL("""
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and {scope}""")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One foreign key.

    Attributes:
        table: `schema.table` that references; `quoted_table` is the same as SQL needs it.
        columns: those that reference, as SQL needs them.
        parent: the referenced table, as SQL needs it.
        rows: of the table, as the server estimates them.
        size: of the table, in bytes.
        indexed: whether an index finds the rows that reference one parent.
    """

    table: str
    name: str
    quoted_table: str
    columns: str
    parent: str
    rows: int
    size: int
    indexed: bool

    @property
    def statement(self) -> str:
        """The SQL that creates the index."""
        return f"create index concurrently on {self.quoted_table} ({self.columns});"


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """All foreign keys, those of the largest tables first; raises NoData if there is no table."""
    uncompiled(connection)
    found = postgres.fetch(connection, _FOREIGN_KEYS.format(scope=_SCOPE))
    if not found and not postgres.fetch_value(connection, _TABLES.format(scope=_SCOPE)):
        raise no_objects(connection, "table")
    return [ForeignKey(*row) for row in found]
