-- The roles of the gate and of the ingest measurement, as superuser in the database `plant`.
create extension if not exists pg_stat_statements;
create table readiness_marker (environment text not null);
insert into readiness_marker values ('staging');
create role monitor login password 'change-me';
grant pg_monitor to monitor;
grant usage on schema telemetry to monitor;
grant select on all tables in schema telemetry to monitor;
grant select on readiness_marker to monitor;
create role writer login password 'change-me';
grant usage on schema telemetry to writer;
grant select, insert on all tables in schema telemetry to writer;
grant create on database plant to writer;    -- the measurement writes to a schema of its own
