-- Objects of a database's own schemas whose text is printed apart, as the server locks the tables
-- that it names until the transaction ends: kind, name, what is known without the text, the object's
-- number, and how many locks printing it takes. PostgreSQL 13 to 18.
with schemas as (
    select oid, quote_ident(nspname) as name from pg_namespace n
    where nspname <> 'information_schema' and nspname !~ '^(pg_|readiness_|_timescaledb_)'
        and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass
            and d.objid = n.oid and d.deptype = 'e')
), relations as (
    select c.oid, c.relkind, c.reloptions, s.name || '.' || quote_ident(c.relname) as name
    from pg_class c join schemas s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f', 'v', 'm') and c.relpersistence <> 't'
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
            and d.objid = c.oid and d.deptype = 'e')
), named as (
    select d.classid, d.objid, count(distinct d.refobjid) as relations from pg_depend d
    where d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass)
        and d.refclassid = 'pg_class'::regclass
    group by 1, 2
)
select 'rule', quote_ident(w.rulename) || ' on ' || r.name, '', w.oid::bigint,
    2 + coalesce(m.relations, 0)
from pg_rewrite w join relations r on r.oid = w.ev_class
    left join named m on m.classid = 'pg_rewrite'::regclass and m.objid = w.oid
where w.rulename <> '_RETURN'
union all
-- From 16 on a view of one table is printed without the table's name before its columns: names
-- before a dot are left out of the text, and what the view reads is listed.
select 'view', v.name, concat_ws(', ', case v.relkind when 'm' then 'materialized' end,
    array_to_string(v.reloptions, ', '),
    (select string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', '
        order by a.attnum) from pg_attribute a where a.attrelid = v.oid and a.attnum > 0),
    'reads ' || (select string_agg(distinct d.refobjid::regclass::text, ', '
            order by d.refobjid::regclass::text)
        from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
            and d.refclassid = 'pg_class'::regclass and d.refobjid <> v.oid)),
    v.oid::bigint, 2 + coalesce(m.relations, 0)
from relations v left join pg_rewrite w on w.ev_class = v.oid and w.rulename = '_RETURN'
    left join named m on m.classid = 'pg_rewrite'::regclass and m.objid = w.oid
where v.relkind in ('v', 'm')
union all
select 'function',
    s.name || '.' || quote_ident(p.proname)
        || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    concat_ws(' ', case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate'
        when 'w' then 'window' end,
    'returns ' || pg_get_function_result(p.oid), case when p.prosecdef then 'security definer' end),
    p.oid::bigint, 1 + coalesce(m.relations, 0)
from pg_proc p join schemas s on s.oid = p.pronamespace
    left join named m on m.classid = 'pg_proc'::regclass and m.objid = p.oid
where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
    and d.objid = p.oid and d.deptype = 'e')
