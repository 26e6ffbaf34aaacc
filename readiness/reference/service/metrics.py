"""What the service reports about itself: its health, and its series for Prometheus."""

import asyncio
import os
import re
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import psycopg
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from readiness.reference.service.settings import NEEDED, Behaviour, Settings

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_FIRST_ERROR: Final = 400
_CUSTOMERS: Final = 5000
# CPU seconds per second: more than any machine has.
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
MEMORY: Final = Gauge(
    "service_resident_memory_bytes", "Resident memory.", multiprocess_mode="livesum"
)

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]
# Longer than the pool waits between two attempts to connect, so that a request right after an
# outage waits for the next attempt instead of failing.
DATABASE_TIMEOUT_S: Final = 2.0
# Shorter for readiness: a balancer checks several times in a row before it reacts.
_READY_TIMEOUT_S: Final = 1.0
UNAVAILABLE: Final = (psycopg.OperationalError, PoolTimeout, TimeoutError)
_STARTED: Final = time.monotonic()


async def database_state(pool: Pool) -> dict[str, Any]:
    """Whether the database answers within a second, and how fast."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            async with pool.connection(_READY_TIMEOUT_S) as connection:
                await connection.execute("select 1")
    except UNAVAILABLE as problem:
        return {"status": "fail", "reason": type(problem).__name__}
    return {"status": "ok", "latency_ms": round((time.perf_counter() - began) * 1000, 3)}


def memory_state(limit_bytes: int) -> dict[str, Any]:
    """Whether this worker's resident memory is below its limit."""
    used = _resident_bytes()
    status = "ok" if used < limit_bytes else "fail"
    return {"status": status, "resident_bytes": used, "limit_bytes": limit_bytes}


def environment_state(settings: Settings, name: str) -> dict[str, Any]:
    """Whether all required variables are set; names the missing ones, never values."""
    missing = [
        variable
        for variable, value in zip(
            NEEDED,
            (settings.database_url, settings.admin_token, settings.cron_secret),
            strict=True,
        )
        if not value
    ]
    return {"status": "fail" if missing else "ok", "name": name, "missing": missing}


def uptime_s() -> float:
    """Seconds since this worker started."""
    return round(time.monotonic() - _STARTED, 3)


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no /proc: use the peak
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def measure_memory() -> None:
    """Set this worker's gauge."""
    MEMORY.set(_resident_bytes())


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
    """Set the release, and start error counters at zero so that alerts have a series."""
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
    text += _job_metrics()
    if behaviour.malformed_metrics:
        text += b'http_requests_total{route="/broken} oops\n'
    return text


def _job_metrics() -> bytes:
    """The series that other jobs have written to a file."""
    file = os.environ.get("SERVICE_STATEMENTS", "")
    try:
        return Path(file).read_bytes() if file else b""
    except FileNotFoundError:
        return b""


def worker_ends() -> None:
    """Remove this worker's gauges from the sums."""
    multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
