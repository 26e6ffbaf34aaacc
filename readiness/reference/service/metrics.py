"""What the service tells Prometheus: one answer for all workers."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from readiness.reference.service.behaviour import Behaviour

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_FIRST_ERROR: Final = 400
_CUSTOMERS: Final = 5000
# Whatever machine this is, an exporter that takes so many seconds of CPU a second is too busy.
_BUSY_CORES: Final = 1000
_OLD_S: Final = 10

REQUESTS: Final = Counter(
    "http_requests_total", "Requests answered.", ["route", "method", "status"]
)
DURATION: Final = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request.",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
ORDERS: Final = Counter("orders_created_total", "Orders stored.")
BUILD: Final = Gauge(
    "service_build_info", "The release that runs.", ["version"], multiprocess_mode="max"
)
POOL_SIZE: Final = Gauge(
    "db_pool_connections", "Connections in the pool.", multiprocess_mode="livesum"
)
POOL_IDLE: Final = Gauge(
    "db_pool_connections_idle", "Connections that wait for work.", multiprocess_mode="livesum"
)
POOL_WAITING: Final = Gauge(
    "db_pool_requests_waiting", "Requests that wait for a connection.", multiprocess_mode="livesum"
)


def count(route: str, method: str, status: int, seconds: float, behaviour: Behaviour) -> None:
    """Count one answered request."""
    if behaviour.freeze_counters:
        return
    if behaviour.ignore_error_counter and status >= _FIRST_ERROR:
        return
    REQUESTS.labels(route, method, str(status)).inc()
    if behaviour.count_successes_as_errors and status < _FIRST_ERROR:
        REQUESTS.labels(route, method, "404").inc()
    DURATION.labels(route, method).observe(seconds)


def worker_starts(version: str, routes: Iterable[tuple[str, str]]) -> None:
    """Tell the release, and begin the error counters at zero: an alert needs a series to watch."""
    BUILD.labels(version).set(1)
    for route, method in routes:
        REQUESTS.labels(route, method, "500").inc(0)


def exposition(behaviour: Behaviour) -> bytes:
    """All series of all workers, in the text format."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    text = generate_latest(registry)
    if behaviour.duplicate_series:
        samples = [line for line in text.splitlines() if not line.startswith(b"#")]
        text += samples[0] + b"\n"
    if behaviour.series_by_customer:
        text += b"# TYPE orders_by_customer gauge\n"
        text += b"".join(b'orders_by_customer{customer="%d"} 1\n' % n for n in range(_CUSTOMERS))
    if behaviour.busy_exporter:
        text += b"orders_exporter_build_info 1\n"
        text += b"process_cpu_seconds_total %d\n" % (time.time() * _BUSY_CORES)
    if behaviour.old_timestamps:
        stamp = b" %d" % ((time.time() - _OLD_S) * 1000)
        text = re.sub(rb"(?m)^(service_build_info.*)$", rb"\1" + stamp, text)
    text += _beside()
    if behaviour.malformed_metrics:
        text += b'http_requests_total{route="/broken} oops\n'
    return text


def _beside() -> bytes:
    """What jobs beside the service have measured, from the file that they write."""
    file = os.environ.get("SERVICE_STATEMENTS", "")
    try:
        return Path(file).read_bytes() if file else b""
    except FileNotFoundError:
        return b""


def worker_ends() -> None:
    """Take this worker's gauges out of the sums."""
    multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
