-- The metrics of the reference system: ten days of readings, in a chunk for each day.
-- Run as superuser in an empty database that has TimescaleDB; times are counted back from now.

create schema telemetry;

create table telemetry.readings (
    at     timestamptz not null,
    sensor integer not null,
    value  double precision not null,
    note   text
);

select create_hypertable('telemetry.readings', 'at', chunk_time_interval => interval '1 day');

-- Every 20 seconds a reading of one of ten sensors: what repeats compresses well.
insert into telemetry.readings (at, sensor, value, note)
select date_trunc('minute', now()) - n * interval '20 seconds', n % 10,
       20 + n / 1000 % 7, 'within the limits that were agreed for this sensor'
from generate_series(1, 43200) n;

alter table telemetry.readings set (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'sensor',
    timescaledb.compress_orderby = 'at'
);
select add_compression_policy('telemetry.readings', compress_after => interval '2 days');
select add_retention_policy('telemetry.readings', drop_after => interval '30 days');

-- A job of the application's own.
create table telemetry.summary (
    sensor integer primary key,
    latest timestamptz not null
);
create procedure telemetry.summarise(job_id integer, config jsonb) language sql as $$
    insert into telemetry.summary select sensor, max(at) from telemetry.readings group by sensor
    on conflict (sensor) do update set latest = excluded.latest
$$;
select add_job('telemetry.summarise', interval '1 hour');

grant usage on schema telemetry to metrics_monitor;
grant select on all tables in schema telemetry to metrics_monitor;

-- The monitoring role may look for damage and for bloat, where the server can.
do $$
declare
    checker regprocedure;
begin
    if exists (select from pg_available_extensions where name = 'amcheck') then
        create extension amcheck;
        for checker in
            select oid from pg_proc where proname in ('bt_index_check', 'verify_heapam')
        loop
            execute format('grant execute on function %s to metrics_monitor', checker);
        end loop;
    end if;
    if exists (select from pg_available_extensions where name = 'pgstattuple') then
        create extension pgstattuple;
    end if;
end
$$;
