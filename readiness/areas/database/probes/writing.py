"""What makes the server refuse a write, or lose it: rights, published and unlogged tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from psycopg import sql

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import OF_THE_APPLICATION, uncompiled
from readiness.lib.text import clean

# Who but the owner may change rows of the table `c`, or add some.
_RIGHTS: Final = """
cross join lateral (
  select bool_or(a.privilege_type in ('UPDATE', 'DELETE')) filter (where a.grantee <> c.relowner)
           as changed,
         coalesce(bool_or(a.grantee <> c.relowner and a.privilege_type = 'INSERT'), false)
           as inserted
  from aclexplode(c.relacl) a) rights"""
# What counts is the partition that holds the row; it is published with each of its parents. An
# index that is deferrable, partial or of columns that may be NULL identifies no row.
_PUBLISHED: Final = """
with publications as (
  select oid, quote_ident(pubname) as name, puballtables as whole
  from pg_publication where pubupdate or pubdelete)
select format('%I.%I', n.nspname, c.relname), string_agg(p.name, ', ' order by p.name),
       coalesce(rights.changed, false) or not rights.inserted,
       (select quote_ident(x.relname) from pg_index i join pg_class x on x.oid = i.indexrelid
        where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid
          and i.indpred is null and i.indexprs is null
          and not exists (select from unnest(i.indkey[0:i.indnkeyatts - 1]) k
                          join pg_attribute a on a.attrelid = c.oid and a.attnum = k
                          where not a.attnotnull)
        order by i.indisprimary desc, x.relname limit 1)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join publications p on p.whole
  or exists (select from pg_publication_rel r where r.prpubid = p.oid and (r.prrelid = c.oid
             or r.prrelid in (select a from pg_partition_ancestors(c.oid) a)))
  {schemas}
{rights}
where c.relkind = 'r' and c.relpersistence = 'p' and {scope}
  and case c.relreplident
        when 'f' then false
        when 'd' then not exists (select from pg_index i where i.indrelid = c.oid
                                  and i.indisprimary and i.indisvalid and i.indimmediate)
        when 'i' then not exists (select from pg_index i where i.indrelid = c.oid
                                  and i.indisreplident and i.indisvalid)
        else true end
group by c.oid, n.nspname, c.relname, rights.changed, rights.inserted
order by 1"""
_SCHEMAS: Final = """
  or exists (select from pg_publication_namespace s where s.pnpubid = p.oid
             and (s.pnnspid = c.relnamespace or s.pnnspid in (
                  select t.relnamespace from pg_partition_ancestors(c.oid) a
                  join pg_class t on t.oid = a)))"""
# From PostgreSQL 15 on a publication may leave out rows or columns: it must leave the identity
# whole, and its condition must read nothing else. What is published of a partition under the name
# of its root is the root's. Numbers of columns differ between the two, and names do not.
_PUBLISHED_PARTLY: Final = f"""
with parts as (
  select c.oid, r.prqual, r.prrelid, r.prattrs is not null as listed,
         quote_ident(p.pubname) as name,
         array(select a.attname from pg_attribute a
               where a.attrelid = r.prrelid and a.attnum = any(r.prattrs)) as columns,
         array(select a.attname from pg_attribute a
               join regexp_matches(r.prqual::text, ':varattno (\\d+)', 'g') v
                 on a.attnum = v[1]::int
               where a.attrelid = r.prrelid) as read,
         array(select a.attname from pg_index i
               join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey::int2[])
               where i.indrelid = c.oid
                 and case c.relreplident when 'i' then i.indisreplident
                                         when 'd' then i.indisprimary end) as identity
  from pg_publication_rel r
  join pg_publication p on p.oid = r.prpubid and (p.pubupdate or p.pubdelete)
  join pg_class c on c.oid = r.prrelid or p.pubviaroot and c.relispartition
                     and r.prrelid in (select a from pg_partition_ancestors(c.oid) a)
  where c.relkind = 'r' and (r.prqual is not null or r.prattrs is not null)),
wrong as (
  select oid, name, prrelid, prqual, columns, listed,
         listed and (relreplident = 'f' or not columns @> identity) as lacking,
         relreplident <> 'f' and not identity @> read as reading, identity
  from parts join pg_class using (oid) where relreplident in ('f', 'i', 'd'))
select format('%I.%I', n.nspname, c.relname), w.name,
       coalesce(rights.changed, false) or not rights.inserted,
       case when lacking then format(
              'alter publication %s drop table %s; alter publication %s add table %s%s%s;',
              w.name, root.name, w.name, root.name,
              (select ' (' || string_agg(quote_ident(x), ', ') || ')'
               from (select unnest(columns) union select unnest(identity)) u(x)
               where c.relreplident <> 'f'),
              ' where (' || pg_get_expr(prqual, prrelid) || ')')
            else format('alter table %I.%I replica identity full;', n.nspname, c.relname) end
from wrong w
join pg_class c on c.oid = w.oid
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (select format('%I.%I', rn.nspname, r.relname) as name from pg_class r
                    join pg_namespace rn on rn.oid = r.relnamespace where r.oid = prrelid) root
{_RIGHTS}
where (lacking or reading) and {OF_THE_APPLICATION}
order by 1, 2"""  # noqa: S608 - constants
# Sequences of unlogged tables are unlogged with them.
_UNLOGGED: Final = sql.SQL("""
select n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname), c.relkind = 'S',
       case when c.relkind = 'S' then 0 else pg_relation_size(c.oid) end,
       array(select distinct format('%I.%I', fn.nspname, f.relname)
             from pg_constraint k join pg_class f on f.oid = k.confrelid
                  join pg_namespace fn on fn.oid = f.relnamespace
             where k.conrelid = c.oid and k.contype = 'f' and f.relpersistence = 'u'
               and f.oid <> c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relpersistence = 'u' and {scope} and (c.relkind = 'r' or c.relkind = 'S'
  and not exists (select from pg_depend d join pg_class t on t.oid = d.refobjid
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid
                    and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
                    and t.relpersistence = 'u'))
order by 4 desc nulls last, 1""")
_TABLES: Final = sql.SQL("""
select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and {scope}""")


# A default takes the next number as whoever inserts; that of an identity column needs no right.
# What is granted on a partition is for reading: rows come through its parent.
_DENIED: Final = """
with tables as (
  select c.oid, format('%%I.%%I', n.nspname, c.relname) as name, n.oid as schema, n.nspname, r.role
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  cross join unnest(%s::bigint[]::oid[]) r(role)
  where c.relkind in ('r', 'p') and not c.relispartition and {scope}
    and has_table_privilege(r.role, c.oid, 'INSERT'))
select t.role::bigint, t.name, format('usage on schema %%I', t.nspname), true
from tables t where not has_schema_privilege(t.role, t.schema, 'USAGE')
union all
select t.role::bigint, t.name, format('usage on sequence %%I.%%I', n.nspname, s.relname), false
from tables t
join pg_attrdef f on f.adrelid = t.oid
join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
  and d.refclassid = 'pg_class'::regclass
join pg_class s on s.oid = d.refobjid and s.relkind = 'S'
join pg_namespace n on n.oid = s.relnamespace
where has_schema_privilege(t.role, t.schema, 'USAGE')
  and not has_sequence_privilege(t.role, s.oid, 'USAGE')
  and not has_sequence_privilege(t.role, s.oid, 'UPDATE')
order by 2, 3"""


# A rule that replaces each INSERT by nothing: no error, and no row. A command of nothing has the
# number 6, from PostgreSQL 15 on 7 (CmdType in nodes.h); no condition is stored as `<>`.
_DISCARDED: Final = """
select format('%%I.%%I', n.nspname, c.relname),
       format('drop rule %%I on %%I.%%I;', w.rulename, n.nspname, c.relname)
from pg_rewrite w
join pg_class c on c.oid = w.ev_class
join pg_namespace n on n.oid = c.relnamespace
where w.ev_type = '3' and w.is_instead and w.ev_enabled in ('O', 'A')
  and w.ev_qual::text = '<>'
  and w.ev_action::text like '({QUERY :commandType '
    || case when current_setting('server_version_num')::int < 150000 then 6 else 7 end || ' %%'
  and c.relkind in ('r', 'p') and {scope}
  and exists (select from unnest(%s::bigint[]::oid[]) r
              where has_table_privilege(r, c.oid, 'INSERT'))
order by 1, 2"""


@dataclass(frozen=True, slots=True)
class Denied:
    """A table into which a role may insert, and cannot.

    Attributes:
        role: its number.
        table: as SQL needs it; so is the missing right.
        of_schema: whether the role cannot even name the table.
    """

    role: int
    table: str
    right: str
    of_schema: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A table whose changes are published, and whose rows cannot be identified by that.

    Attributes:
        table: as SQL needs it; so are the publications.
        changes: whether somebody is allowed to update or delete its rows.
        statement: the SQL that ends it.
    """

    table: str
    publications: str
    changes: bool
    statement: str

    def __str__(self) -> str:
        return f"{self.table} (published by {self.publications}): {self.statement}"


@dataclass(frozen=True, slots=True)
class Unlogged:
    """A table or sequence that a crash empties.

    Attributes:
        name: plain.
        is_sequence: whether it is a sequence.
        size: in bytes.
        fix: the statements that make it survive a crash: what a logged table references must be
            logged before it. Empty in a circle of references, where the server refuses them all.
    """

    name: str
    is_sequence: bool
    size: int
    fix: str

    def __str__(self) -> str:
        return f"{self.name}: {self.fix or 'its foreign keys form a circle of unlogged tables'}"


def tables(connection: Connection) -> int:
    """How many tables the application has."""
    found = postgres.fetch_value(connection, _TABLES.format(scope=sql.SQL(OF_THE_APPLICATION)))
    return int(found)


def denied(connection: Connection, roles: Sequence[int]) -> list[Denied]:
    """Tables into which these roles may insert, without a right that every INSERT needs."""
    statement = _DENIED.replace("{scope}", OF_THE_APPLICATION)
    return [
        Denied(role, clean(table), clean(right), of_schema)
        for role, table, right, of_schema in postgres.fetch(connection, statement, [list(roles)])
    ]


def discarded(connection: Connection, roles: Sequence[int]) -> list[str]:
    """Tables into which these roles may insert, where a rule discards each row: with the remedy."""
    statement = _DISCARDED.replace("{scope}", OF_THE_APPLICATION)
    found = postgres.fetch(connection, statement, [list(roles)])
    return [f"{clean(table)}: {clean(drop)}" for table, drop in found]


def without_identity(connection: Connection) -> list[Published]:
    """Published tables of which every UPDATE and DELETE fails."""
    uncompiled(connection)
    schemas = _SCHEMAS if postgres.is_at_least(connection, 15) else ""
    statement = _PUBLISHED.replace("{schemas}", schemas).replace("{scope}", OF_THE_APPLICATION)
    return [
        Published(clean(table), clean(names), bool(changes), _identified(table, index))
        for table, names, changes, index in postgres.fetch(
            connection, statement.replace("{rights}", _RIGHTS)
        )
    ]


def _identified(table: str, index: str | None) -> str:
    by = f"using index {index}" if index else "full"
    return f"alter table {table} replica identity {by};"


def published_partly(connection: Connection) -> list[Published]:
    """Published tables of which an UPDATE fails by what the publication leaves out."""
    if not postgres.is_at_least(connection, 15):
        return []
    return [
        Published(clean(table), clean(name), bool(changes), statement)
        for table, name, changes, statement in postgres.fetch(connection, _PUBLISHED_PARTLY)
    ]


def unlogged(connection: Connection) -> list[Unlogged]:
    """What a crash empties, and no standby or copy of the files holds; the largest first."""
    found = postgres.fetch(connection, _UNLOGGED.format(scope=sql.SQL(OF_THE_APPLICATION)))
    references = {quoted: parents for _, quoted, _, _, parents in found}
    return [
        Unlogged(clean(name), is_sequence, size, _logging(quoted, is_sequence, references))
        for name, quoted, is_sequence, size, _ in found
    ]


def _logging(quoted: str, is_sequence: bool, references: Mapping[str, Sequence[str]]) -> str:
    """The statements that log a table, and before it what it references; empty in a circle."""
    if is_sequence:
        return f"alter sequence {quoted} set logged;"
    above: dict[str, Sequence[str]] = {}
    new = [quoted]
    while new:
        above |= {name: references.get(name, ()) for name in new}
        new = [name for some in above.values() for name in some if name not in above]
    try:
        order = [*TopologicalSorter(above).static_order()]
    except CycleError:
        return ""
    return " ".join(f"alter table {name} set logged;" for name in order)
