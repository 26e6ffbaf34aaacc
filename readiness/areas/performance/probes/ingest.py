"""Measures how fast a table stores rows by COPY: committed, and counted in the table itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.performance.config import Ingest
from readiness.areas.performance.probes.table_shape import ScratchTable, scratch_copy
from readiness.lib.postgres import Connection, connect, fetch, fetch_value, source_of, translated
from readiness.lib.sampling import percentile, quantile_points
from readiness.model.errors import TookTooLong
from readiness.model.measurement import Measurement

_BUDGET_S: Final = 20.0
_STATEMENT_S: Final = 30.0
_PILOT_ROWS: Final = 100
_FEWEST_SAMPLES: Final = 3
_ROUND_TRIPS: Final = 20
# What psycopg hands to libpq at once; larger blocks are cut, smaller ones cost calls.
_BLOCK: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class CopyRate:
    """What was measured: `rate` in rows/s, and two figures that explain it."""

    rate: Measurement
    round_trip: Measurement
    driver: Measurement


@dataclass(frozen=True, slots=True)
class Sample:
    """One COPY: rows sent, rows that are in the table since, and seconds it took."""

    sent: int
    stored: int
    seconds: float


def copy_rate(ingest: Ingest) -> CopyRate:
    """COPY rows into a scratch table of the target table's shape, several times.

    Every sample is one COPY of ready encoded rows that commits; what counts is the rows that
    are in the table afterwards. A pilot of 100 rows sizes the samples so that a slow table
    takes about 20 s in all; it and the first sample are discarded. The value is the median.

    Raises:
        NoData: the target table is empty.
        TookTooLong: the table is so slow that three samples did not fit.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with (
        connect(ingest.dsn, timeout_s=_STATEMENT_S, total_s=4 * _STATEMENT_S) as connection,
        scratch_copy(connection, ingest.dsn, ingest.table, triggers=ingest.triggers) as scratch,
    ):
        round_trip = _round_trip(connection)
        samples = list(_samples(connection, scratch, ingest))[1:]
        source = source_of(scratch.copy_statement(), connection)
    if len(samples) < _FEWEST_SAMPLES:
        raise TookTooLong(
            f"only {len(samples)} samples of COPY fit into {_BUDGET_S:g} s", where=ingest.table
        )
    return CopyRate(_rate(samples, source), round_trip, _driver())


def _samples(connection: Connection, scratch: ScratchTable, ingest: Ingest) -> Iterator[Sample]:
    pilot = copy_rows(connection, scratch, _PILOT_ROWS, 0)
    end = perf_counter() + _BUDGET_S
    share = _BUDGET_S / (ingest.samples + 1)
    rows = max(1, min(ingest.rows, scratch.largest, int(pilot.sent / pilot.seconds * share)))
    for number in range(ingest.samples + 1):
        if perf_counter() > end:
            return
        yield copy_rows(connection, scratch, rows, _PILOT_ROWS + number * rows)


def copy_rows(connection: Connection, scratch: ScratchTable, rows: int, first: int) -> Sample:
    """One COPY that commits; encoding before and counting after it are outside the clock.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    blocks = encoded(connection, scratch.rows_statement(rows, first))
    before = _count(connection, scratch)
    statement = scratch.copy_statement()
    with translated(source_of(statement, connection)), connection.cursor() as cursor:
        started = perf_counter()
        with cursor.copy(statement) as copy:
            for block in blocks:
                copy.write(block)
        seconds = perf_counter() - started
    return Sample(rows, _count(connection, scratch) - before, seconds)


def encoded(connection: Connection, statement: sql.Composed) -> list[bytes]:
    """The rows as the server itself writes them for COPY, in blocks of 128 KiB.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    blocks: list[bytes] = []
    pending = bytearray()
    with (
        translated(source_of(statement, connection)),
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for line in copy:
            pending += line
            if len(pending) >= _BLOCK:
                blocks.append(bytes(pending[:_BLOCK]))
                del pending[:_BLOCK]
    return [*blocks, bytes(pending)] if pending else blocks


def _count(connection: Connection, scratch: ScratchTable) -> int:
    return int(fetch_value(connection, sql.SQL("select count(*) from {}").format(scratch.name)))


def _rate(samples: Sequence[Sample], source: str) -> Measurement:
    rates = [sample.stored / sample.seconds for sample in samples]
    return Measurement(
        name="rows stored by COPY",
        value=percentile(rates, 0.5),
        unit="rows/s",
        source=f"{source}, {samples[0].sent} rows each",
        samples=len(rates),
        quantiles=quantile_points(rates),
    )


def _round_trip(connection: Connection) -> Measurement:
    times = []
    for _ in range(_ROUND_TRIPS):
        started = perf_counter()
        fetch(connection, "select 1")
        times.append((perf_counter() - started) * 1000)
    return Measurement(
        name="network round trip",
        value=percentile(times, 0.5),
        unit="ms",
        source="select 1",
        samples=len(times),
        quantiles=quantile_points(times),
    )


def _driver() -> Measurement:
    # The pure Python implementation is three times slower per row, and must be visible.
    return Measurement("psycopg implementation", psycopg.pq.__impl__, "text", "psycopg.pq")
