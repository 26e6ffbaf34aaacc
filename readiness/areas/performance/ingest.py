"""How fast rows are stored: by COPY into the table itself, and by the application's own interface.

Both count the rows that are in the table.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Final, cast

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from readiness.areas.performance.config import Ingest, IngestMethod, WritePath
from readiness.areas.performance.judging import Times
from readiness.areas.performance.table_shape import ScratchTable, scratch_copy
from readiness.config.base.tables import Service
from readiness.lib.http import Session, session_for
from readiness.lib.postgres import Connection, connect, fetch, fetch_value, source_of, translated
from readiness.lib.retry import until
from readiness.lib.sampling import percentile, quantile_points
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong
from readiness.model.measurement import Measurement

_BUDGET_S: Final = 20.0
_STATEMENT_S: Final = 30.0
_PILOT_ROWS: Final = 100
_FEWEST_SAMPLES: Final = 3
_ROUND_TRIPS: Final = 20
# What psycopg hands to libpq at once; larger blocks are cut, smaller ones cost calls.
_BLOCK: Final = 128 * 1024


# COPY's text format; a backslash begins what a line or a cell cannot hold.
_NULL: Final = b"\\N"
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_Row = list[str | None]


@dataclass(frozen=True, slots=True)
class CopyRate:
    """Rows per second, and what explains them.

    Attributes:
        rate: the median of all COPYs.
        each_s: seconds of one of them.
        times: milliseconds of each for the declared number of rows, however many it had.
    """

    rate: Measurement
    each_s: float
    fastest_s: float
    times: Times
    round_trip: Measurement
    driver: Measurement


@dataclass(frozen=True, slots=True)
class Sample:
    """One COPY: rows sent, rows added to the table, and seconds it took."""

    sent: int
    stored: int
    seconds: float


def copy_rate(ingest: Ingest) -> CopyRate:
    """Write rows into a scratch table of the target table's shape, several times.

    Every sample is one COPY of ready encoded rows that commits, or as many INSERTs; what counts is
    the rows that are in the table afterwards. A pilot of 100 rows sizes the samples so that a slow
    table takes about 20 s in all; it and the first sample are discarded. The value is the median.

    Raises:
        NoData: the target table is empty.
        TookTooLong: the table is so slow that three samples did not fit.
    """
    write = WRITERS[ingest.method]
    with (
        connect(ingest.dsn, timeout_s=_STATEMENT_S, total_s=4 * _STATEMENT_S) as connection,
        scratch_copy(connection, ingest.dsn, ingest.table, triggers=ingest.triggers) as scratch,
    ):
        round_trip = _round_trip(connection)
        taken = list(_samples(connection, scratch, ingest, write))[1:]
        source = source_of(_statement(scratch, ingest.method), connection)
    if len(taken) < _FEWEST_SAMPLES:
        raise TookTooLong(f"only {len(taken)} samples fit into {_BUDGET_S:g} s", where=ingest.table)
    # The pure Python implementation is three times slower per row: the report shows it.
    driver = Measurement("psycopg implementation", psycopg.pq.__impl__, "text", "psycopg.pq")
    seconds = [sample.seconds for sample in taken]
    each_s, fastest_s = percentile(seconds, 0.5), min(seconds)
    ms = [1000 * sample.seconds * ingest.rows / max(1, sample.stored) for sample in taken]
    times = Times(ms, f"{source}, {ingest.rows} rows")
    return CopyRate(
        _rate(taken, source, _WORDS[ingest.method]), each_s, fastest_s, times, round_trip, driver
    )


def _samples(
    connection: Connection, scratch: ScratchTable, ingest: Ingest, write: "Write"
) -> Iterator[Sample]:
    pilot = write(connection, scratch, _PILOT_ROWS, 0)
    end = perf_counter() + _BUDGET_S
    share = _BUDGET_S / (ingest.samples + 1)
    rows = max(1, min(ingest.rows, scratch.largest, int(pilot.sent / pilot.seconds * share)))
    for number in range(ingest.samples + 1):
        if perf_counter() > end:
            return
        yield write(connection, scratch, rows, _PILOT_ROWS + number * rows)


def copy_rows(connection: Connection, scratch: ScratchTable, rows: int, first: int) -> Sample:
    """One COPY that commits; encoding before and counting after it are outside the clock."""
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


def insert_batch(connection: Connection, scratch: ScratchTable, rows: int, first: int) -> Sample:
    """INSERTs in one transaction, sent without waiting for each answer; as for `copy_rows`."""
    return _inserted(connection, scratch, rows, first, _in_a_batch)


def insert_singly(connection: Connection, scratch: ScratchTable, rows: int, first: int) -> Sample:
    """INSERTs that commit each; as for `copy_rows`."""
    return _inserted(connection, scratch, rows, first, _one_by_one)


def _inserted(
    connection: Connection,
    scratch: ScratchTable,
    rows: int,
    first: int,
    insert: Callable[[Connection, sql.Composed, list[_Row]], None],
) -> Sample:
    values = [_decoded(line) for line in _lines(connection, scratch.rows_statement(rows, first))]
    before = _count(connection, scratch)
    statement = scratch.insert_statement()
    with translated(source_of(statement, connection)):
        started = perf_counter()
        insert(connection, statement, values)
        seconds = perf_counter() - started
    return Sample(rows, _count(connection, scratch) - before, seconds)


def _in_a_batch(connection: Connection, statement: sql.Composed, values: list[_Row]) -> None:
    with connection.transaction(), psycopg.RawCursor(connection) as cursor:
        cursor.executemany(statement, values)


def _one_by_one(connection: Connection, statement: sql.Composed, values: list[_Row]) -> None:
    """By libpq itself: the driver's work for a row takes half as long as a fast server's."""
    server = connection.pgconn
    _good(server.prepare(b"", statement.as_bytes(connection)), connection)
    for row in values:
        # psycopg passes None as NULL, although its types do not say so.
        cells = cast("list[bytes]", [None if cell is None else cell.encode() for cell in row])
        _good(server.exec_prepared(b"", cells), connection)


def _good(result: PGresult, connection: Connection) -> None:
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result, connection.info.encoding)


def _lines(connection: Connection, statement: sql.Composed) -> list[bytes]:
    return b"".join(encoded(connection, statement)).split(b"\n")[:-1]


def _decoded(line: bytes) -> _Row:
    """The values of a row in COPY's text format: the server reads each as its column's type."""
    return [None if cell == _NULL else _plain(cell) for cell in line.split(b"\t")]


def _plain(cell: bytes) -> str:
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), cell.decode())


def encoded(connection: Connection, statement: sql.Composed) -> list[bytes]:
    """The rows as the server itself writes them for COPY, in blocks of 128 KiB."""
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


Write = Callable[[Connection, ScratchTable, int, int], Sample]
"""Writes so many rows, numbered from one on."""
WRITERS: Final[Mapping[IngestMethod, Write]] = {
    "copy": copy_rows,
    "batch": insert_batch,
    "single": insert_singly,
}
_WORDS: Final[Mapping[IngestMethod, str]] = {
    "copy": "COPY",
    "batch": "INSERTs in batches",
    "single": "INSERTs that commit each",
}


def _statement(scratch: ScratchTable, method: IngestMethod) -> sql.Composed:
    return scratch.copy_statement() if method == "copy" else scratch.insert_statement()


def _rate(samples: Sequence[Sample], source: str, words: str) -> Measurement:
    rates = [sample.stored / sample.seconds for sample in samples]
    source = f"{source}, {samples[0].sent} rows each"
    return _median(f"rows stored by {words}", rates, "rows/s", source)


def _round_trip(connection: Connection) -> Measurement:
    times = []
    for _ in range(_ROUND_TRIPS):
        started = perf_counter()
        fetch(connection, "select 1")
        times.append((perf_counter() - started) * 1000)
    return _median("network round trip", times, "ms", "select 1")


def _median(name: str, values: Sequence[float], unit: str, source: str) -> Measurement:
    return Measurement(
        name,
        percentile(values, 0.5),
        unit,
        source,
        samples=len(values),
        quantiles=quantile_points(values),
    )


_COUNT_S: Final = 10.0
# Without an index on what refers to the rows, each that is deleted reads a whole table.
_CLEANUP_S: Final = 60.0
_TOTAL_S: Final = 120.0
_WINDOW_S: Final = 4.0
_PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.05
# A failing path is not flooded.
_MOST_FAILURES: Final = 10


@dataclass(frozen=True, slots=True)
class WriteRate:
    """What was measured.

    Attributes:
        rate: rows/s that arrived in the table.
        each_s: seconds of one request, on average.
        fastest_s: seconds of the fastest one.
        failed: requests that were not answered with a 2xx.
        missing: rows of requests that were answered with a 2xx, and are not in the table.
        first_failure: the answer to the first failed request.
        times: milliseconds of each accepted request.
    """

    rate: Measurement
    each_s: float
    fastest_s: float
    failed: Measurement
    missing: Measurement
    first_failure: str
    times: Times

    @property
    def lost_something(self) -> bool:
        """Whether a write failed, or was acknowledged and not stored."""
        return bool(self.failed.value or self.missing.value)


@dataclass(slots=True)
class _Sent:
    accepted: int = 0
    failures: int = 0
    first_failure: str = ""
    fastest_s: float = math.inf
    ms: list[float] = field(default_factory=list)


def write_rate(path: WritePath, service: Service, *, rows: int) -> WriteRate:
    """Send requests one after the other for 4 s or `rows` rows, whichever comes first.

    Rows count once the database counts them, and the clock runs until they are stored (up to
    5 s more, for a path that stores them later).

    Raises:
        Unreachable: the service does not answer.
        CouldNotMeasure: the rows could not be removed again.
    """
    with connect(path.dsn, timeout_s=_COUNT_S, total_s=_TOTAL_S) as connection:
        before = _stored(connection, path)
        with _cleaned_up(path, before), session_for(service) as session:
            started = time.perf_counter()
            sent = _send(session, path, service, rows)
            expected = before + sent.accepted * path.rows_per_request
            stored = _arrived(connection, path, expected) - before
            seconds = time.perf_counter() - started
    source = f"{path.method} {service.url}{path.path}, counted by {source_of(path.count_sql)}"
    requests = sent.accepted + sent.failures
    return WriteRate(
        rate=Measurement(
            "rows stored by the application", stored / seconds, "rows/s", source, samples=requests
        ),
        each_s=seconds / max(1, requests),
        fastest_s=sent.fastest_s,
        failed=Measurement("failed writes", sent.failures, "count", source, samples=requests),
        missing=Measurement(
            "rows acknowledged and not stored",
            max(0, expected - before - stored),
            "count",
            source,
            samples=requests,
        ),
        first_failure=sent.first_failure,
        times=Times(sent.ms, f"{path.method} {service.url}{path.path}"),
    )


def _send(session: Session, path: WritePath, service: Service, rows: int) -> _Sent:
    sent = _Sent()
    end = time.perf_counter() + _WINDOW_S
    # Microseconds since 1970: no earlier run has used them, and JSON readers keep them exact.
    for number in count(time.time_ns() // 1000):
        started = time.perf_counter()
        failure = _write(session, path, service, number)
        taken_s = time.perf_counter() - started
        sent.fastest_s = min(sent.fastest_s, taken_s)
        if failure is None:
            sent.accepted += 1
            sent.ms.append(1000 * taken_s)
        else:
            sent.failures += 1
            sent.first_failure = sent.first_failure or failure
        if (
            sent.accepted * path.rows_per_request >= rows
            or sent.failures >= _MOST_FAILURES
            or time.perf_counter() > end
        ):
            break
    return sent


def _write(session: Session, path: WritePath, service: Service, number: int) -> str | None:
    """None if the request was answered with a 2xx, else what happened."""
    body = path.body.replace("{n}", str(number)).encode()
    try:
        answer = session.request(path.method, f"{service.url}{path.path}", body)
    except (TookTooLong, NoData) as error:
        return error.sentence
    return None if 200 <= answer.status < 300 else str(answer)  # noqa: PLR2004 - HTTP's own


def _arrived(connection: Connection, path: WritePath, expected: int) -> int:
    """The count once it has reached what is expected, or after 5 s."""
    return until(
        lambda: _stored(connection, path),
        lambda found: found >= expected,
        within_s=_PATIENCE_S,
        every_s=_POLL_S,
    )


@contextmanager
def _cleaned_up(path: WritePath, before: int) -> Iterator[None]:
    try:
        yield
    finally:
        # Over a new connection: the old one may be broken.
        with connect(path.dsn, timeout_s=_CLEANUP_S, total_s=_TOTAL_S) as connection:
            try:
                fetch(connection, _marked(path.cleanup_sql))
            except CouldNotMeasure as error:
                raise CouldNotMeasure(
                    f"rows of the probe are left, as their cleanup failed: {error.message}",
                    where=source_of(path.cleanup_sql),
                    remedy=f"run it by hand: {path.cleanup_sql}",
                ) from None
            left = _stored(connection, path) - before
        if left > 0:
            raise CouldNotMeasure(
                f"{left} rows of the probe are left after the cleanup",
                where=source_of(path.cleanup_sql),
                remedy="let `cleanup_sql` delete what `count_sql` counts, and run it by hand",
            )


def _stored(connection: Connection, path: WritePath) -> int:
    found = fetch_value(connection, _marked(path.count_sql))
    if not isinstance(found, int):
        raise NoData(f"expected a number, not {found}", where=source_of(path.count_sql))
    return found


def _marked(statement: str) -> str:
    """The statement with a mark for the server's statistics: it is not the application's."""
    return f"{statement.rstrip().rstrip(';')}\n/* readiness */"
