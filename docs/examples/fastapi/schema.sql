create table notes (id bigint generated always as identity primary key, text text not null);
insert into notes (text) select 'note ' || n from generate_series(1, 1000) n;
analyze notes;
create extension pg_stat_statements;
create extension amcheck;

-- The gate's role: it may read, and no more.
create role monitor login password 'change-me';
grant pg_monitor to monitor;
grant usage on schema public to monitor;
grant select on all tables in schema public to monitor;
grant select on all sequences in schema public to monitor;
grant execute on function bt_index_check(regclass, boolean) to monitor;
grant execute on function verify_heapam(regclass, boolean, boolean, text, bigint, bigint) to monitor;
