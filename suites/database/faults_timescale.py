"""Faults of TimescaleDB."""

from collections.abc import Iterable, Mapping
from typing import Final

from readiness.areas.database.reference.timescale import PART
from readiness.model.fault import Fault, broken_by

_TIMESCALE: Final = "database.timescale[metrics]"
_HYPERTABLES: Final = "database.hypertables[metrics.readings]"

_CHUNKS: Final = "from timescaledb_information.chunks where hypertable_name = 'readings'"
_CHUNK: Final = "format('%I.%I', chunk_schema, chunk_name)::regclass"
_WRITTEN_BY: Final = (
    "update _timescaledb_catalog.metadata set value = {} where key = 'timescaledb_version'"
)
_RELEASE: Final = "(select extversion from pg_extension where extname = 'timescaledb')"
_INTERVAL: Final = "select set_chunk_time_interval('telemetry.readings', interval '{}')"
_SCHEDULED: Final = (
    "select alter_job(job_id, scheduled => {}) from timescaledb_information.jobs"
    " where proc_name = 'summarise'"
)
# Letters that nothing can be left out of, in so many rows.
_RANDOM: Final = "md5(random()::text) || md5(random()::text) || md5(random()::text)"


def _sql(name: str, story: str, misses: Mapping[str, Iterable[str]], do: str, undo: str) -> Fault:
    """A fault that is SQL in the database of the metrics."""
    return broken_by(name, story, misses, lambda levers: levers.timescale.sql(do, undo), needs=PART)


timescale_catalog_is_of_another_release = _sql(
    "timescale_catalog_is_of_another_release",
    "A dump of another release of TimescaleDB was restored over this one.",
    {_TIMESCALE: {"extension"}},
    _WRITTEN_BY.format("'2.12.0'"),
    _WRITTEN_BY.format(_RELEASE),
)


timescale_is_too_old = broken_by(
    "timescale_is_too_old",
    "The release needs a newer TimescaleDB than the server has.",
    {_TIMESCALE: {"extension"}},
    lambda levers: levers.replace_in_config('min_version = "2.11"', 'min_version = "9.0"'),
    needs=PART,
)

chunks_are_too_long = _sql(
    "chunks_are_too_long",
    "A migration made the chunks of a hypertable seven times as long.",
    {_HYPERTABLES: {"chunk-interval"}},
    _INTERVAL.format("7 days"),
    _INTERVAL.format("1 day"),
)


hypertable_became_a_plain_table = _sql(
    "hypertable_became_a_plain_table",
    "A migration made the table again, and it is not a hypertable any more.",
    {_HYPERTABLES: {"hypertable"}},
    "alter table telemetry.readings rename to readings_before;"
    "create table telemetry.readings (like telemetry.readings_before including all)",
    "drop table telemetry.readings;alter table telemetry.readings_before rename to readings",
)

chunk_is_not_compressed = _sql(
    "chunk_is_not_compressed",
    "A chunk was decompressed to fix some rows, and stayed decompressed.",
    {_HYPERTABLES: {"compression-coverage"}},
    f"select decompress_chunk({_CHUNK}) {_CHUNKS}"
    " and range_end between now() - interval '5 days' and now() - interval '4 days';"
    "analyze telemetry.readings",
    f"select compress_chunk({_CHUNK}) {_CHUNKS} and not is_compressed"
    " and range_end < now() - interval '2 days'",
)

compression_policy_is_gone = _sql(
    "compression_policy_is_gone",
    "The policy that compresses was removed.",
    {_HYPERTABLES: {"compression-policy"}},
    "select remove_compression_policy('telemetry.readings')",
    "select add_compression_policy('telemetry.readings', compress_after => interval '2 days')",
)

compression_saves_nothing = _sql(
    "compression_saves_nothing",
    "A column of random text came with the release: compression saves next to nothing.",
    {_HYPERTABLES: {"compression-ratio"}},
    "insert into telemetry.readings (at, sensor, value, note)"  # noqa: S608 - our own
    " select date_trunc('day', now()) - interval '20 days' + n * interval '1 second', n % 10,"
    f" random(), {_RANDOM} from generate_series(1, 60000) n;"
    f"select compress_chunk({_CHUNK}) {_CHUNKS} and range_end < now() - interval '15 days';"
    "analyze telemetry.readings",
    "select drop_chunks('telemetry.readings', older_than => interval '15 days')",
)

old_rows_are_kept = _sql(
    "old_rows_are_kept",
    "Rows that should have been dropped ten days ago are still there.",
    {_HYPERTABLES: {"expired-chunks"}},
    "insert into telemetry.readings (at, sensor, value)"  # noqa: S608 - our own
    " select now() - interval '40 days', n, 20 from generate_series(0, 9) n;"
    f"select compress_chunk({_CHUNK}) {_CHUNKS} and range_end < now() - interval '30 days'",
    "select drop_chunks('telemetry.readings', older_than => interval '30 days')",
)

retention_policy_is_gone = _sql(
    "retention_policy_is_gone",
    "The policy that drops old rows was removed.",
    {_HYPERTABLES: {"retention-policy"}},
    "select remove_retention_policy('telemetry.readings')",
    "select add_retention_policy('telemetry.readings', drop_after => interval '30 days')",
)

timescale_job_fails = broken_by(
    "timescale_job_fails",
    "The application's own job fails at every run.",
    {_TIMESCALE: {"jobs"}},
    lambda levers: levers.timescale.failing_job(),
    needs=PART,
)

timescale_job_is_paused = _sql(
    "timescale_job_is_paused",
    "A job was paused for the release, and not switched on again.",
    {_TIMESCALE: {"jobs"}},
    _SCHEDULED.format("false"),
    _SCHEDULED.format("true"),
)


timescale_is_left_restoring = _sql(
    "timescale_is_left_restoring",
    "A restore was prepared for, and timescaledb_post_restore() never called.",
    {_TIMESCALE: {"restoring", "scheduler"}},
    "select timescaledb_pre_restore()",
    "select timescaledb_post_restore()",
)

timescale_scheduler_is_stopped = _sql(
    "timescale_scheduler_is_stopped",
    "Somebody stopped the background workers for maintenance.",
    {_TIMESCALE: {"scheduler"}},
    "select _timescaledb_functions.stop_background_workers()",
    "select _timescaledb_functions.start_background_workers()",
)

readings_grow_too_fast = _sql(
    "readings_grow_too_fast",
    "Every sensor reports twenty times as often since the last release.",
    {_HYPERTABLES: {"growth"}},
    "insert into telemetry.readings (at, sensor, value, note)"  # noqa: S608 - our own
    " select date_trunc('day', now()) - interval '14 days' + n * interval '2 seconds',"
    f" n % 10, 20, left({_RANDOM}, 60) || repeat('-', 300) from generate_series(1, 100000) n;"
    f"select compress_chunk({_CHUNK}) {_CHUNKS} and not is_compressed"
    " and range_end < now() - interval '10 days';"
    "analyze telemetry.readings",
    "select drop_chunks('telemetry.readings', older_than => interval '11 days')",
)
