"""Measures how fast an application stores rows through its own interface, as the table counts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from readiness.areas.performance.config import WritePath
from readiness.config.base.tables import Service
from readiness.lib.http import Session, session_for
from readiness.lib.postgres import Connection, connect, fetch, fetch_value, source_of
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong
from readiness.model.measurement import Measurement

_TIMEOUT_S: Final = 10.0
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
        failed: requests that were not answered with a 2xx.
        missing: rows of requests that were answered with a 2xx, and that are not in the table.
        first_failure: the first of the failures, in words; empty if there was none.
    """

    rate: Measurement
    failed: Measurement
    missing: Measurement
    first_failure: str

    @property
    def lost_something(self) -> bool:
        """Whether a write failed, or was acknowledged and is not there."""
        return bool(self.failed.value or self.missing.value)


@dataclass(slots=True)
class _Sent:
    accepted: int = 0
    failures: int = 0
    first_failure: str = ""


def write_rate(path: WritePath, service: Service, *, rows: int) -> WriteRate:
    """Send requests one after the other for 4 s or `rows` rows, whichever comes first.

    Rows count once the database counts them, and the clock runs until they are stored (up to
    5 s more, for a path that stores them later).

    Raises:
        Unreachable: the service does not answer.
        CouldNotMeasure: and its kinds; also if the rows could not be removed again.
    """
    with connect(path.dsn, timeout_s=_TIMEOUT_S, total_s=_TOTAL_S) as connection:
        before = _count(connection, path)
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
        failed=Measurement("failed writes", sent.failures, "count", source, samples=requests),
        missing=Measurement(
            "rows acknowledged and not stored",
            max(0, expected - before - stored),
            "count",
            source,
            samples=requests,
        ),
        first_failure=sent.first_failure,
    )


def _send(session: Session, path: WritePath, service: Service, rows: int) -> _Sent:
    sent = _Sent()
    end = time.perf_counter() + _WINDOW_S
    # Microseconds since 1970: no earlier run has used them, and JSON readers keep them exact.
    for number in count(time.time_ns() // 1000):
        failure = _write(session, path, service, number)
        if failure is None:
            sent.accepted += 1
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
    """None if the request was answered with a 2xx, else what happened.

    Raises:
        Unreachable: nobody answered.
    """
    body = path.body.replace("{n}", str(number)).encode()
    try:
        answer = session.request(path.method, f"{service.url}{path.path}", body)
    except (TookTooLong, NoData) as error:
        return error.sentence
    return None if 200 <= answer.status < 300 else str(answer)  # noqa: PLR2004 - HTTP's own


def _arrived(connection: Connection, path: WritePath, expected: int) -> int:
    """The count once it has reached what is expected, or after 5 s."""
    end = time.perf_counter() + _PATIENCE_S
    while (found := _count(connection, path)) < expected and time.perf_counter() < end:
        time.sleep(_POLL_S)
    return found


@contextmanager
def _cleaned_up(path: WritePath, before: int) -> Iterator[None]:
    try:
        yield
    finally:
        # Over a new connection: the old one may be broken.
        with connect(path.dsn, timeout_s=_TIMEOUT_S) as connection:
            fetch(connection, _marked(path.cleanup_sql))
            left = _count(connection, path) - before
        if left > 0:
            raise CouldNotMeasure(
                f"{left} rows of the probe are left after the cleanup",
                where=source_of(path.cleanup_sql),
                remedy="let `cleanup_sql` delete what `count_sql` counts, and run it by hand",
            )


def _count(connection: Connection, path: WritePath) -> int:
    found = fetch_value(connection, _marked(path.count_sql))
    if not isinstance(found, int):
        raise NoData(f"expected a number, not {found}", where=source_of(path.count_sql))
    return found


def _marked(statement: str) -> str:
    """The statement with a mark for the server's statistics: it is not the application's."""
    return f"{statement.rstrip().rstrip(';')}\n/* readiness */"
