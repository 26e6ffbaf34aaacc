"""Views and functions that read protected tables as a role to which their policies do not apply."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.schema.probes.rows import text_of
from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.session import OF_THE_APPLICATION
from readiness.lib.text import clean

_PROTECTED: Final = """
    protected as (
        select c.oid, c.relname, c.relowner, c.relforcerowsecurity,
            n.nspname || '.' || c.relname as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relrowsecurity
            and c.oid in (select to_regclass(t) from unnest(%(tables)s::text[]) t)
    ), application as (select oid from pg_roles where rolname = any(%(roles)s))"""
# The policies of the table `t` do not apply to the role `o`.
_UNBOUND: Final = """(o.rolsuper or o.rolbypassrls
    or not t.relforcerowsecurity and pg_has_role(o.oid, t.relowner, 'USAGE'))"""
_RETURNS_ROWS: Final = """(b.proretset
    or b.prorettype in ('json'::regtype, 'jsonb'::regtype, 'xml'::regtype)
    or exists (select from pg_class c
        where c.reltype = b.prorettype and c.oid in (select oid from protected)))"""
# A view reads tables as its owner, a security_invoker as who uses it, and as the owner of a
# materialized view above it. What asks who uses it (`asks`) may filter by tenant. `runs` is the
# role that `relation` is read as, and 0 whoever uses the view. Rules are read as they are stored:
# to print one would lock what it names.
_VIEWS: Final = f"""
with recursive {_PROTECTED}, used as (
    select distinct w.ev_class as view, d.refobjid as relation,
        w.ev_action::text ~ ':hasAggs true' as totals,
        w.ev_action::text ~ 'SQLVALUEFUNCTION :op (9|1\\d)\\M' or w.ev_action::text ~ (':funcid ('
            || 'pg_catalog.current_setting(text)'::regprocedure::oid || '|'
            || 'pg_catalog.current_setting(text, boolean)'::regprocedure::oid || ')\\M')
            or exists (select from pg_depend f where f.classid = 'pg_rewrite'::regclass
                and f.objid = w.oid and f.refclassid = 'pg_proc'::regclass) as asks
    from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    where w.ev_type = '1' and d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class
), views as (
    select c.oid, c.relowner, c.relkind, c.relnamespace, n.nspname || '.' || c.relname as name,
        exists (select from unnest(c.reloptions) x
            where x in ('security_invoker=true', 'security_invoker=on', 'security_invoker=1',
                'security_invoker=yes')) as invoker
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where {OF_THE_APPLICATION} and c.relkind in ('v', 'm')
), way as (
    select v.oid as top, u.relation, case when v.relkind = 'm' then v.relowner else 0 end as base,
        case when v.invoker then 0 else v.relowner end as runs, u.totals,
        u.asks or v.invoker as asks, array[v.oid] as passed
    from views v join used u on u.view = v.oid
    union all
    select y.top, u.relation, case when v.relkind = 'm' then v.relowner else y.base end,
        case when v.invoker then y.base else v.relowner end, y.totals or u.totals,
        y.asks or u.asks or v.invoker, y.passed || v.oid
    from way y join views v on v.oid = y.relation join used u on u.view = v.oid
    where not v.oid = any(y.passed)
)
select v.name, string_agg(distinct t.name, ', ') filter (where {_UNBOUND}),
    min(o.rolname::text) filter (where {_UNBOUND}), bool_or(y.totals),
    v.relkind <> 'm' and bool_or(y.asks),
    (select array_agg(a.attname::text) from pg_attribute a
        where a.attrelid = v.oid and a.attnum > 0)
from way y join views v on v.oid = y.top left join protected t on t.oid = y.relation
    left join pg_roles o on o.oid = y.runs
where exists (select from application r where has_any_column_privilege(r.oid, v.oid, 'SELECT')
    and has_schema_privilege(r.oid, v.relnamespace, 'USAGE'))
group by v.oid, v.name, v.relkind
having bool_or(t.oid is not null and {_UNBOUND})
order by 1"""  # noqa: S608 - constants
# What is read by its own name is not bound by the policies of the table that it is a part of.
_PARTS: Final = f"""
with recursive {_PROTECTED}, parts as (
    select i.inhrelid as part, t.name as root
    from pg_inherits i join protected t on t.oid = i.inhparent
    union
    select i.inhrelid, p.root from pg_inherits i join parts p on i.inhparent = p.part
)
select n.nspname || '.' || c.relname, min(p.root),
    (select array_agg(a.attname::text) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0)
from parts p join pg_class c on c.oid = p.part join pg_namespace n on n.oid = c.relnamespace
where not c.relrowsecurity
    and exists (select from application r where has_any_column_privilege(r.oid, c.oid, 'SELECT')
        and has_schema_privilege(r.oid, c.relnamespace, 'USAGE'))
group by c.oid, n.nspname, c.relname order by 1"""  # noqa: S608 - constants
# A table of a later migration that has the tenant's column of a declared one, and its type.
_FORGOTTEN: Final = f"""
with application as (select oid from pg_roles where rolname = any(%(roles)s)),
whose as (
    select distinct c.relnamespace, a.attname, a.atttypid
    from unnest(%(tables)s::text[], %(columns)s::text[]) d(name, tenant)
        join pg_class c on c.oid = to_regclass(d.name)
        join pg_attribute a on a.attrelid = c.oid and a.attname = d.tenant
)
select n.nspname || '.' || c.relname
from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    join whose w using (relnamespace, attname, atttypid)
where {OF_THE_APPLICATION} and c.relkind in ('r', 'p') and not c.relrowsecurity
    and not exists (select from pg_inherits i where i.inhrelid = c.oid)
    and exists (select from application r where has_schema_privilege(r.oid, n.oid, 'USAGE')
        and (has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE')
            or has_table_privilege(r.oid, c.oid, 'DELETE')))
order by 1"""  # noqa: S608 - constants
# A body that asks for nothing of its caller. Without arguments it returns the same to all; with
# them, or where it writes, it may do what it is meant to, and the caller chooses whose rows.
_FUNCTIONS: Final = f"""
with {_PROTECTED}, bodies as (
    select p.*, n.nspname, regexp_replace(case p.prosrc when '' then pg_get_functiondef(p.oid)
        else p.prosrc end, '--[^\\n]*|/\\*.*?\\*/', ' ', 'g') as body
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        join pg_language l on l.oid = p.prolang
    where {OF_THE_APPLICATION} and p.prosecdef and p.prokind = 'f'
        and l.lanname in ('sql', 'plpgsql')
        and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
            and d.objid = p.oid and d.deptype = 'e')
        and not exists (select from pg_depend d where d.classid = 'pg_policy'::regclass
            and d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid)
        and exists (select from application r where has_function_privilege(r.oid, p.oid, 'EXECUTE')
            and has_schema_privilege(r.oid, p.pronamespace, 'USAGE'))
)
select format('%%s.%%s(%%s)', b.nspname, b.proname, pg_get_function_identity_arguments(b.oid)),
    min(t.name), o.rolname::text, b.pronargs > 0 or not {_RETURNS_ROWS}
from bodies b join pg_roles o on o.oid = b.proowner
    join protected t on b.body ~* ('\\m' || t.relname || '\\M') and {_UNBOUND}
where ({_RETURNS_ROWS} or b.body ~* ('\\m(update|delete\\s+from|truncate(\\s+table)?)\\s+'
        || '(only\\s+)?("?\\w+"?\\.)?"?' || t.relname || '\\M'))
    and b.body !~* '\\m(current_setting|current_user|current_role|session_user|system_user|user)\\M'
    and b.body !~* '\\m(count|sum|avg|min|max)\\s*\\('
    and not exists (select from pg_proc q join pg_namespace n on n.oid = q.pronamespace
        where {OF_THE_APPLICATION} and q.oid <> b.oid
            and b.body ~* ('\\m' || regexp_replace(q.proname, '\\W', '.', 'g') || '"?\\s*\\('))
group by 1, 3, 4 order by 1"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Bypass:
    """A view, a partition or a function that the application may use.

    Attributes:
        reads: the protected tables.
        role: whom it runs as; empty for a partition.
        totals: whether it returns sums or counts, which may be meant for all.
        asks: whether it asks who uses it, and may filter by that.
        columns: of a view.
        chosen: whether it is a function whose caller chooses what it reads, or that writes.
    """

    name: str
    reads: str
    role: str
    totals: bool = False
    asks: bool = False
    columns: tuple[str, ...] = ()
    chosen: bool = False

    def __str__(self) -> str:
        if not self.role:
            return f"{self.name} is a part of {self.reads}, and has no row security of its own"
        return f"{self.name} reads {self.reads} as {self.role}, whom no policy binds"


def forgotten(
    connection: Connection, columns: Mapping[str, str], roles: Collection[str]
) -> list[str]:
    """Tables that have the tenant's column of a table beside them, and no row security.

    Args:
        connection: the database's.
        columns: tables shared by tenants, as SQL needs them, each with its tenant's column.
        roles: those of the application; a table that none of them may use is left out.
    """
    asked = {
        "tables": [text_of(connection, table) for table in columns],
        "columns": [*columns.values()],
        "roles": [*roles],
    }
    return [clean(name) for (name,) in fetch(connection, _FORGOTTEN, asked)]


def bypasses(
    connection: Connection, tables: Collection[str], roles: Collection[str]
) -> list[Bypass]:
    """The views and functions that these roles may use, and that reach around row security."""
    names = {"tables": [text_of(connection, table) for table in tables], "roles": list(roles)}
    views = [
        Bypass(name, reads, role, totals, asks, tuple(columns))
        for name, reads, role, totals, asks, columns in fetch(connection, _VIEWS, names)
    ]
    parts = [
        Bypass(name, reads, "", columns=tuple(columns))
        for name, reads, columns in fetch(connection, _PARTS, names)
    ]
    functions = [
        Bypass(name, reads, role, chosen=chosen)
        for name, reads, role, chosen in fetch(connection, _FUNCTIONS, names)
    ]
    return [*views, *parts, *functions]
