"""Indexes, and foreign keys without one, as the catalogues describe them; no grant is needed."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import OF_THE_APPLICATION, no_objects, uncompiled
from readiness.lib.text import clean

_SCOPE: Final = sql.SQL(OF_THE_APPLICATION)

# A part of a partitioned index, which cannot be dropped by itself, is `attached`.
# Sizes are those of the last vacuum or analyze: to ask for the true ones would open ten thousand
# indexes, and wait for sessions that lock one.
# The expressions are compared as text: the trees in the catalogue say where each word stood.
INDEXES: Final = sql.SQL("""
with building as (
    select relid as oid from pg_stat_progress_create_index
    where datid = (select oid from pg_database where datname = current_database()))
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
       i.indrelid in (select oid from building) or t.reltoastrelid in (select oid from building),
       (current_setting('block_size')::bigint * case c.relkind when 'i' then c.relpages
            else (with recursive part (oid) as (
                      select c.oid
                      union all
                      select h.inhrelid from part join pg_inherits h on h.inhparent = part.oid)
                  select coalesce(sum(l.relpages), 0) from part
                  join pg_class l on l.oid = part.oid) end)::bigint,
       c.relkind = 'I', c.relispartition, i.indimmediate,
       case when c.relkind = 'I' and not i.indisvalid
            then replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') end,
       exists (select from pg_constraint f
               where f.conrelid = i.indrelid and f.contype = 'f' and (
                   select array_agg(x order by x)
                   from unnest((string_to_array(i.indkey::text, ' ')::int2[])
                               [1:least(cardinality(f.conkey), i.indnkeyatts)]) x)
                 = (select array_agg(x order by x) from unnest(f.conkey) x))
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
where {scope}
order by n.nspname, c.relname""")
# Those of the TOAST tables of the application's tables.
_OF_TOAST: Final = sql.SQL("""
select format('%I.%I', xn.nspname, x.relname), format('%I.%I', n.nspname, c.relname),
       exists (select from pg_index o where o.indrelid = i.indrelid and o.indisvalid)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_index i on i.indrelid = c.reltoastrelid
join pg_class x on x.oid = i.indexrelid
join pg_namespace xn on xn.oid = x.relnamespace
where {scope} and not (i.indisvalid and i.indisready and i.indislive)
  and not exists (select from pg_stat_progress_create_index p
                  where p.relid in (c.oid, c.reltoastrelid))
order by 1""")
# What `reindex concurrently` calls the new index, and the old one, until it has ended.
_LEFT_OVER: Final = re.compile(r"_cc(new|old)\d*$")


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
        partitioned: whether it is one of a partitioned table.
        attached: whether it is a part of a partitioned index.
        immediate: whether uniqueness is checked at once; one that is deferrable is no arbiter of
            `on conflict`.
        definition: the SQL that creates a partitioned index that is invalid, with all its parts.
        serves_key: whether it finds the rows that reference a parent, by a foreign key: without it
            a delete of a parent, however rare, reads the whole table.
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
    partitioned: bool
    attached: bool
    immediate: bool
    definition: str | None
    serves_key: bool = False

    @property
    def dropping(self) -> str:
        """The SQL that drops it; one of a partitioned table cannot be dropped concurrently."""
        return f"drop index {'' if self.partitioned else 'concurrently '}{self.quoted};"

    @property
    def left_over(self) -> bool:
        """Whether a `reindex concurrently` that failed left it, by its name."""
        return bool(_LEFT_OVER.search(self.name))

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
            or self.serves_key
            or self.of_extension
            or self.attached
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
        return self.drop.dropping


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
    kept: list[Index] = []
    found = []
    for index in sorted(group, key=_weight, reverse=True):
        keep = next((other for other in kept if _covers(other, index)), None)
        if keep:
            found.append(Duplicate(keep, index))
        else:
            kept.append(index)
    return found


def _weight(index: Index) -> tuple[bool, bool, bool, bool, bool, bool, bool, int]:
    constraint = index.constraint is not None
    return (
        index.attached, index.referenced, constraint, index.unique, index.immediate,
        not index.nulls_distinct, index.chosen, -index.oid,
    )  # fmt: skip


def _covers(keep: Index, other: Index) -> bool:
    """Whether nothing is lost by dropping `other`: what is unique stays so, and at once."""
    if other.chosen or other.referenced or other.exclusion or other.attached:
        return False
    if not other.unique:
        return True
    if not keep.unique or (other.immediate and not keep.immediate):
        return False
    return other.nulls_distinct or not keep.nulls_distinct


def invalid(indexes: Iterable[Index]) -> list[Index]:
    """Those that no query may use, and that are not being built, the largest first."""
    found = [index for index in indexes if not index.sound and not index.building]
    return sorted(found, key=lambda index: (-index.size, index.name))


def remedy(broken: Index, indexes: Iterable[Index]) -> str:
    """The SQL that ends it: to build it again would leave a duplicate where there is another one.

    What `reindex concurrently` left is dropped; one of the same definition does its work.
    """
    if broken.definition:
        # It becomes valid when each partition has a part of it.
        return f"{broken.dropping} {broken.definition};"
    for other in indexes:
        if other is not broken and other.signature == broken.signature:
            spare = other.sound or (broken.left_over and not other.left_over)
            if spare and _covers(other, broken) and not broken.constraint:
                return broken.dropping
    return f"reindex index concurrently {broken.quoted};"


def invalid_of_toast(connection: Connection) -> list[str]:
    """Invalid indexes of TOAST tables, each with the SQL that ends it."""
    return [
        f"{clean(name)} of the TOAST table of {clean(table)}: "
        + (f"drop index {name};" if spare else f"reindex table concurrently {table};")
        for name, table, spare in postgres.fetch(connection, _OF_TOAST.format(scope=_SCOPE))
    ]


# The leading columns as a set: (b, a) serves a key on (a, b). A partial index does not, unless it
# leaves out nothing but NULL in the key, which references nothing; nor does a brin, which only
# shows where not to look. A gist or gin does where its operators have `=`, as those of btree_gist,
# of which an exclusion constraint is made. Of a partitioned table, each partition needs one.
# Rows of a table that was never analyzed are estimated by its size: 200 bytes each. A function is
# asked and not the view, which would count all tables for each key; and an array, as a join would
# read all of pg_class for each. pg_partition_tree would lock every partition.
# Right after a restore the catalogues have no statistics either: materialized, so that it is
# computed once, whatever the planner believes.
_FOREIGN_KEYS: Final = sql.SQL("""
with recursive keys as (
    select k.oid, k.oid as root, k.conrelid, k.conkey
    from pg_constraint k where k.contype = 'f' and k.conparentid = 0
    union all
    select c.oid, keys.root, c.conrelid, c.conkey
    from keys join pg_constraint c on c.conparentid = keys.oid and c.contype = 'f'),
covered as materialized (
    select p.root, bool_and(exists (
           select 1 from pg_index i
           where i.indrelid = p.conrelid and i.indisvalid and i.indisready
             and not exists (
                 select from unnest((string_to_array(i.indclass::text, ' ')::oid[])
                                    [1:cardinality(p.conkey)]) k(class)
                 join pg_opclass c on c.oid = k.class
                 join pg_am a on a.oid = c.opcmethod
                 where a.amname not in ('btree', 'hash') and not (
                     a.amname in ('gist', 'gin') and exists (
                         select from pg_amop o join pg_operator r on r.oid = o.amopopr
                         where o.amopfamily = c.opcfamily and r.oprname = '='
                           and o.amoplefttype = c.opcintype)))
             and i.indnkeyatts >= cardinality(p.conkey)
             and (i.indpred is null or not exists (
                  select from regexp_split_to_table(
                      btrim(pg_get_expr(i.indpred, i.indrelid), '()'), '[)] AND [(]') part
                  where part <> all (select quote_ident(a.attname) || ' IS NOT NULL'
                                     from pg_attribute a where a.attrelid = p.conrelid
                                       and a.attnum = any(p.conkey))))
             and (select array_agg(x order by x)
                  from unnest((string_to_array(i.indkey::text, ' ')::int2[])
                              [1:cardinality(p.conkey)]) x)
               = (select array_agg(x order by x) from unnest(p.conkey) x))) as wholly
    from keys p join pg_class l on l.oid = p.conrelid and l.relkind <> 'p'
    group by 1)
select n.nspname || '.' || t.relname, k.conname,
       quote_ident(n.nspname) || '.' || quote_ident(t.relname),
       (select string_agg(quote_ident(a.attname), ', ' order by u.place)
        from unnest(k.conkey) with ordinality u (number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
       k.confrelid::regclass::text,
       coalesce(r.rows, 0)::bigint, coalesce(r.bytes, 0)::bigint,
       coalesce(covered.wholly, true), t.relkind = 'p'
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
left join covered on covered.root = k.oid
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
        partitioned: whether the table is.
    """

    table: str
    name: str
    quoted_table: str
    columns: str
    parent: str
    rows: int
    size: int
    indexed: bool
    partitioned: bool

    @property
    def statement(self) -> str:
        """The SQL that creates the index; a partitioned table cannot have it concurrently."""
        way = "" if self.partitioned else "concurrently "
        return f"create index {way}on {self.quoted_table} ({self.columns});"


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """All foreign keys, those of the largest tables first; raises NoData if there is no table."""
    uncompiled(connection)
    found = postgres.fetch(connection, _FOREIGN_KEYS.format(scope=_SCOPE))
    if not found and not postgres.fetch_value(connection, _TABLES.format(scope=_SCOPE)):
        raise no_objects(connection, "table")
    return [ForeignKey(*row) for row in found]
