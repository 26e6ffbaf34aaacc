-- What surrounds the objects of a database, and changes what an application notices: kind, name,
-- definition. Not in the fingerprint of a restored copy or a scratch server, which differ in it.
-- PostgreSQL 13 to 18.
with recursive schemas as (
    select oid, quote_ident(nspname) as name from pg_namespace n
    where nspname <> 'information_schema' and nspname !~ '^(pg_|readiness_|_timescaledb_)'
), tables as (
    select c.oid, s.name || '.' || quote_ident(c.relname) as name, c.reloptions, c.reltoastrelid
    from pg_class c join schemas s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
            and d.objid = c.oid and d.deptype = 'e')
), here as (
    select d.*, d.datdba as owner, coalesce(d.datacl, acldefault('d', d.datdba)) as acl
    from pg_database d where d.datname = current_database()
), granted as (
    -- Roles that own something here, or are allowed something; public (0) is none.
    select x.grantee as role from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join schemas s on s.oid = n.oid, aclexplode(c.relacl) x where x.grantee <> 0
    union select x.grantee from pg_namespace n join schemas s on s.oid = n.oid,
        aclexplode(n.nspacl) x where x.grantee <> 0
    union select c.relowner from pg_class c join schemas s on s.oid = c.relnamespace
), roles as (
    select role from granted
    union select m.member from roles r join pg_auth_members m on m.roleid = r.role
), settings as (
    select s.setdatabase, s.setrole, split_part(x, '=', 1) as name,
        substr(x, strpos(x, '=') + 1) as value
    from pg_db_role_setting s, unnest(s.setconfig) x
    where s.setdatabase = (select oid from here) or s.setdatabase = 0 and s.setrole in (
        select x.grantee from pg_class c join schemas n on n.oid = c.relnamespace,
            aclexplode(c.relacl) x
        union select c.relowner from pg_class c join schemas n on n.oid = c.relnamespace)
)
select 'publication' as kind, quote_ident(pubname) as name, concat_ws(', ',
    case when puballtables then 'all tables' end, case when pubinsert then 'insert' end,
    case when pubupdate then 'update' end, case when pubdelete then 'delete' end,
    case when pubtruncate then 'truncate' end, case when pubviaroot then 'via root' end)
from pg_publication
union all
-- Lists of columns and filters are of PostgreSQL 15. A filter is only compared: to print it would
-- lock its table.
select 'publication', quote_ident(p.pubname) || ' on ' || t.name, concat_ws(' ', 'published',
    (select 'columns ' || string_agg(quote_ident(a.attname), ', ' order by a.attname)
        from pg_attribute a where a.attrelid = r.prrelid and a.attnum = any(
            regexp_split_to_array(btrim(to_jsonb(r) ->> 'prattrs', '[]'), '[, ]+')::int2[])),
    'where md5:' || md5(regexp_replace(to_jsonb(r) ->> 'prqual', ':location -?\d+', '', 'g')))
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
    join tables t on t.oid = r.prrelid
union all
select 'options', 'of ' || t.name, concat_ws(', ', array_to_string(t.reloptions, ', '),
    'toast.' || array_to_string(o.reloptions, ', toast.'))
from tables t left join pg_class o on o.oid = t.reltoastrelid
where t.reloptions is not null or o.reloptions is not null
union all
-- Without rows, a materialized view refuses to be read.
select 'options', 'of view ' || s.name || '.' || quote_ident(c.relname), 'without rows'
from pg_class c join schemas s on s.oid = c.relnamespace
where c.relkind = 'm' and not c.relispopulated
union all
-- Options of a foreign server or table may hold a password.
select 'server', quote_ident(v.srvname), concat_ws(' ', w.fdwname,
    'md5:' || md5(array_to_string(v.srvoptions, ',')))
from pg_foreign_server v join pg_foreign_data_wrapper w on w.oid = v.srvfdw
union all
select 'options', 'of foreign table ' || t.name, concat_ws(' ', 'on server', v.srvname,
    'md5:' || md5(array_to_string(f.ftoptions, ',')))
from pg_foreign_table f join tables t on t.oid = f.ftrelid
    join pg_foreign_server v on v.oid = f.ftserver
union all
select 'options', 'of column ' || quote_ident(a.attname) || ' of ' || t.name, concat_ws(', ',
    case when a.attstorage <> y.typstorage then 'storage ' || case a.attstorage when 'p' then 'plain'
        when 'e' then 'external' when 'm' then 'main' else 'extended' end end,
    array_to_string(a.attoptions, ', '))
from pg_attribute a join tables t on t.oid = a.attrelid join pg_type y on y.oid = a.atttypid
where a.attnum > 0 and not a.attisdropped
    and (a.attstorage <> y.typstorage or a.attoptions is not null)
union all
select 'default-grant', 'to ' || case x.grantee when 0 then 'public' else x.grantee::regrole::text
        end || ' on ' || case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
        when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' else 'objects' end
    || ' of ' || d.defaclrole::regrole::text
    || coalesce(' in ' || (select name from schemas where oid = d.defaclnamespace), ''),
    string_agg(lower(x.privilege_type) || case when x.is_grantable then ' with grant option'
        else '' end, ', ' order by x.privilege_type)
from pg_default_acl d, aclexplode(d.defaclacl) x
where x.grantee <> d.defaclrole
    and (d.defaclnamespace = 0 or d.defaclnamespace in (select oid from schemas))
group by x.grantee, d.defaclobjtype, d.defaclrole, d.defaclnamespace
union all
-- What everybody has without an entry: EXECUTE on functions and USAGE on types.
select 'default-grant', 'to public on ' || case d.defaclobjtype when 'f' then 'functions'
    else 'types' end || ' of ' || d.defaclrole::regrole::text, 'none'
from pg_default_acl d
where d.defaclnamespace = 0 and d.defaclobjtype in ('f', 'T')
    and not exists (select from aclexplode(d.defaclacl) x where x.grantee = 0)
union all
-- The value of an extension's or the application's own setting may be a secret.
select 'setting', quote_ident(name)
    || case when setrole = 0 then '' else ' of ' || setrole::regrole::text end
    || case when setdatabase = 0 then ' in all databases' else ' in this database' end,
    case when strpos(name, '.') > 0 then 'md5:' || md5(value) else value end
from settings
union all
-- Not until when a password is valid: it changes with each new password.
select 'role', quote_ident(r.rolname), concat_ws(', ', case when r.rolcanlogin then 'login' end,
    case when r.rolsuper then 'superuser' end, case when r.rolbypassrls then 'bypassrls' end,
    case when not r.rolinherit then 'noinherit' end, case when r.rolcreaterole then 'createrole' end,
    case when r.rolcreatedb then 'createdb' end, case when r.rolreplication then 'replication' end,
    case when r.rolconnlimit <> -1 then 'connection limit ' || r.rolconnlimit end)
from pg_roles r where r.oid in (select role from roles) and r.rolname !~ '^pg_'
union all
-- Who granted it is no matter. The options besides ADMIN are of PostgreSQL 16.
select distinct 'membership', 'of ' || m.member::regrole || ' in ' || m.roleid::regrole,
    concat_ws(', ', 'member',
        case when not coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
            then 'without inherit' end,
        case when not coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
            then 'without set' end)
from pg_auth_members m where m.member in (select role from roles)
union all
select 'database', 'encoding', pg_encoding_to_char(encoding) from here
union all
select 'database', 'collation', datcollate || ', ' || datctype from here
union all
select 'database', 'connections', case when datallowconn then '' else 'refused, ' end
    || 'limit ' || datconnlimit from here where not datallowconn or datconnlimit <> -1
union all
select 'database', 'owner', owner::regrole::text from here
union all
select 'database', 'grant to ' || case x.grantee when 0 then 'public'
        else x.grantee::regrole::text end, string_agg(lower(x.privilege_type)
    || case when x.is_grantable then ' with grant option' else '' end, ', '
        order by x.privilege_type)
from here, aclexplode(here.acl) x where x.grantee <> here.owner group by x.grantee
