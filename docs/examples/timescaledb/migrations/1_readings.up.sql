create schema telemetry;

create table telemetry.readings (
    at timestamptz not null,
    sensor integer not null,
    value double precision not null,
    primary key (sensor, at)
);
select create_hypertable('telemetry.readings', 'at', chunk_time_interval => interval '1 day');
alter table telemetry.readings set (
    timescaledb.compress, timescaledb.compress_segmentby = 'sensor', timescaledb.compress_orderby = 'at'
);
select add_compression_policy('telemetry.readings', interval '2 days');
select add_retention_policy('telemetry.readings', interval '365 days');

create table telemetry.events (
    at timestamptz not null,
    machine integer not null,
    code integer not null,
    text text not null
);
create index on telemetry.events (machine, at desc);
select create_hypertable('telemetry.events', 'at', chunk_time_interval => interval '7 days');
alter table telemetry.events set (timescaledb.compress, timescaledb.compress_segmentby = 'machine');
select add_compression_policy('telemetry.events', interval '14 days');
select add_retention_policy('telemetry.events', interval '730 days');
