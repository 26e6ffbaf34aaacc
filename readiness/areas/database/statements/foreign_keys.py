"""Foreign keys whose columns no index finds: each delete of a parent then reads the whole child."""

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.statements.scope import SCOPE, uncompiled
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import NoData

# The leading columns as a set: (b, a) serves a key on (a, b). A partial index does not, unless it
# leaves out nothing but NULL, which references nothing; nor does a brin, which only tells where
# not to look. Rows of a table that was never analysed are told by its size: 200 bytes each. A
# function is asked and not the view, which would count all tables for each key; and an array, as a
# join would read all of pg_class for each. pg_partition_tree would lock every partition.
_FOREIGN_KEYS: Final = sql.SQL("""
select n.nspname || '.' || t.relname, k.conname,
       quote_ident(n.nspname) || '.' || quote_ident(t.relname),
       (select string_agg(quote_ident(a.attname), ', ' order by u.place)
        from unnest(k.conkey) with ordinality u (number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
       k.confrelid::regclass::text,
       r.rows::bigint, r.bytes::bigint,
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
        table: `schema.table` that references.
        name: of the constraint.
        quoted_table: the table, as SQL needs it.
        columns: those that reference, as SQL needs them.
        parent: what is referenced, as SQL needs it.
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
        """The statement that makes the index."""
        return f"create index concurrently on {self.quoted_table} ({self.columns});"


def read(connection: Connection) -> list[ForeignKey]:
    """All foreign keys of the application, those of the largest tables first.

    Raises:
        NoData: there is not even a table.
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    uncompiled(connection)
    found = postgres.fetch(connection, _FOREIGN_KEYS.format(scope=SCOPE))
    if not found and not postgres.fetch_value(connection, _TABLES.format(scope=SCOPE)):
        raise NoData(
            "there is no table outside of the system's schemas",
            where=connection.info.dbname,
            remedy="name the application's database in `dsn`, and fill it before the gate is run",
        )
    return [_foreign_key(row) for row in found]


def _foreign_key(row: postgres.Row) -> ForeignKey:
    table, name, quoted, columns, parent, rows, size, indexed = row
    return ForeignKey(table, name, quoted, columns, parent, rows or 0, size or 0, indexed)
