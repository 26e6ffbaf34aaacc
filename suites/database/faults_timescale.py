"""Faults of TimescaleDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.areas.database.reference.metrics import PART
from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_TIMESCALE: Final = "database.timescale[metrics]"
_HYPERTABLES: Final = "database.hypertables[metrics.readings]"

_CHUNKS: Final = "from timescaledb_information.chunks where hypertable_name = 'readings'"
_CHUNK: Final = "format('%I.%I', chunk_schema, chunk_name)::regclass"
# Letters that nothing can be left out of, in so many rows.
_RANDOM: Final = "md5(random()::text) || md5(random()::text) || md5(random()::text)"


@fault(
    needs=PART,
    misses={_TIMESCALE: {"extension"}},
    story="A dump of another release of TimescaleDB was restored over this one.",
)
@contextmanager
def timescale_catalog_is_of_another_release(system: ReferenceSystem) -> Iterator[None]:
    """Its own tables tell who wrote them."""
    change = "update _timescaledb_catalog.metadata set value = {} where key = 'timescaledb_version'"
    right = "(select extversion from pg_extension where extname = 'timescaledb')"
    with system.levers.timescale.sql(change.format("'2.12.0'"), change.format(right)):
        yield


@fault(
    needs=PART,
    misses={_TIMESCALE: {"extension"}},
    story="The release needs a newer TimescaleDB than the server has.",
)
@contextmanager
def timescale_is_too_old(system: ReferenceSystem) -> Iterator[None]:
    """What is met on the day of the roll-out, otherwise."""
    with system.levers.replace_in_config('min_version = "2.11"', 'min_version = "9.0"'):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"chunk-interval"}},
    story="A migration made the chunks of a hypertable seven times as long.",
)
@contextmanager
def chunks_are_too_long(system: ReferenceSystem) -> Iterator[None]:
    """The chunks that are there stay as they are."""
    change = "select set_chunk_time_interval('telemetry.readings', interval '{}')"
    with system.levers.timescale.sql(change.format("7 days"), change.format("1 day")):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"hypertable"}},
    story="A migration made the table again, and it is no hypertable any more.",
)
@contextmanager
def hypertable_became_a_plain_table(system: ReferenceSystem) -> Iterator[None]:
    """Every query still works."""
    with system.levers.timescale.sql(
        "alter table telemetry.readings rename to readings_before;"
        "create table telemetry.readings (like telemetry.readings_before including all)",
        "drop table telemetry.readings;alter table telemetry.readings_before rename to readings",
    ):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"compression-coverage"}},
    story="A chunk was decompressed to mend some rows, and stayed so.",
)
@contextmanager
def chunk_is_not_compressed(system: ReferenceSystem) -> Iterator[None]:
    """The ratio of the others is as good as ever."""
    with system.levers.timescale.sql(
        f"select decompress_chunk({_CHUNK}) {_CHUNKS}"
        " and range_end between now() - interval '5 days' and now() - interval '4 days';"
        "analyze telemetry.readings",
        f"select compress_chunk({_CHUNK}) {_CHUNKS} and not is_compressed"
        " and range_end < now() - interval '2 days'",
    ):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"compression-policy"}},
    story="The policy that compresses was removed.",
)
@contextmanager
def compression_policy_is_gone(system: ReferenceSystem) -> Iterator[None]:
    """What is compressed stays so; nothing more will be."""
    with system.levers.timescale.sql(
        "select remove_compression_policy('telemetry.readings')",
        "select add_compression_policy('telemetry.readings', compress_after => interval '2 days')",
    ):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"compression-ratio"}},
    story="A column of random text came with the release: compression saves next to nothing.",
)
@contextmanager
def compression_saves_nothing(system: ReferenceSystem) -> Iterator[None]:
    """Every chunk is compressed, and one of them, out of all proportion, in vain."""
    with system.levers.timescale.sql(
        "insert into telemetry.readings (at, sensor, value, note)"  # noqa: S608 - our own
        " select date_trunc('day', now()) - interval '20 days' + n * interval '1 second', n % 10,"
        f" random(), {_RANDOM} from generate_series(1, 60000) n;"
        f"select compress_chunk({_CHUNK}) {_CHUNKS} and range_end < now() - interval '15 days';"
        "analyze telemetry.readings",
        "select drop_chunks('telemetry.readings', older_than => interval '15 days')",
    ):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"expired-chunks"}},
    story="Rows that should have been dropped ten days ago are still there.",
)
@contextmanager
def old_rows_are_kept(system: ReferenceSystem) -> Iterator[None]:
    """The policy is on, and its last run was a success."""
    with system.levers.timescale.sql(
        "insert into telemetry.readings (at, sensor, value)"  # noqa: S608 - our own
        " select now() - interval '40 days', n, 20 from generate_series(0, 9) n;"
        f"select compress_chunk({_CHUNK}) {_CHUNKS} and range_end < now() - interval '30 days'",
        "select drop_chunks('telemetry.readings', older_than => interval '30 days')",
    ):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"retention-policy"}},
    story="The policy that drops old rows was removed.",
)
@contextmanager
def retention_policy_is_gone(system: ReferenceSystem) -> Iterator[None]:
    """Nothing is too old yet."""
    with system.levers.timescale.sql(
        "select remove_retention_policy('telemetry.readings')",
        "select add_retention_policy('telemetry.readings', drop_after => interval '30 days')",
    ):
        yield


@fault(
    needs=PART,
    misses={_TIMESCALE: {"jobs"}},
    story="The application's own job fails at every run.",
)
@contextmanager
def timescale_job_fails(system: ReferenceSystem) -> Iterator[None]:
    """The scheduler tries again and again, and tells nobody."""
    with system.levers.timescale.failing_job():
        yield


@fault(
    needs=PART,
    misses={_TIMESCALE: {"jobs"}},
    story="A job was paused for the release, and not switched on again.",
)
@contextmanager
def timescale_job_is_paused(system: ReferenceSystem) -> Iterator[None]:
    """Its last run was a success."""
    change = (
        "select alter_job(job_id, scheduled => {}) from timescaledb_information.jobs"
        " where proc_name = 'summarise'"
    )
    with system.levers.timescale.sql(change.format("false"), change.format("true")):
        yield


@fault(
    needs=PART,
    misses={_TIMESCALE: {"restoring", "scheduler"}},
    story="A restore was prepared for, and timescaledb_post_restore() never called.",
)
@contextmanager
def timescale_is_left_restoring(system: ReferenceSystem) -> Iterator[None]:
    """Rows can be read, and none can be written."""
    with system.levers.timescale.sql(
        "select timescaledb_pre_restore()", "select timescaledb_post_restore()"
    ):
        yield


@fault(
    needs=PART,
    misses={_TIMESCALE: {"scheduler"}},
    story="Somebody stopped the background workers for maintenance.",
)
@contextmanager
def timescale_scheduler_is_stopped(system: ReferenceSystem) -> Iterator[None]:
    """No setting tells of it, and no job is late yet."""
    with system.levers.timescale.sql(
        "select _timescaledb_functions.stop_background_workers()",
        "select _timescaledb_functions.start_background_workers()",
    ):
        yield


@fault(
    needs=PART,
    misses={_HYPERTABLES: {"growth"}},
    story="Every sensor tells twenty times as often since the last release.",
)
@contextmanager
def readings_grow_too_fast(system: ReferenceSystem) -> Iterator[None]:
    """Compressed as well as ever, and too much of it."""
    with system.levers.timescale.sql(
        "insert into telemetry.readings (at, sensor, value, note)"  # noqa: S608 - our own
        " select date_trunc('day', now()) - interval '14 days' + n * interval '2 seconds',"
        f" n % 10, 20, left({_RANDOM}, 60) || repeat('-', 300) from generate_series(1, 100000) n;"
        f"select compress_chunk({_CHUNK}) {_CHUNKS} and not is_compressed"
        " and range_end < now() - interval '10 days';"
        "analyze telemetry.readings",
        "select drop_chunks('telemetry.readings', older_than => interval '11 days')",
    ):
        yield
