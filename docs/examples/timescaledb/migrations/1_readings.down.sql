drop table telemetry.events;
drop table telemetry.readings;
drop schema telemetry;
