"""How the service judges itself."""

import asyncio
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from readiness.reference.service.settings import NEEDED, Settings

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]
# Longer than the pool waits between two attempts to connect, so that a request that comes right
# after an outage waits for the next attempt instead of failing.
DATABASE_TIMEOUT_S: Final = 2.0
# Shorter for readiness: a balancer asks several times in a row before it believes the state.
_READY_TIMEOUT_S: Final = 1.0
UNAVAILABLE: Final = (psycopg.OperationalError, PoolTimeout, TimeoutError)
_STARTED: Final = time.monotonic()


async def database(pool: Pool) -> dict[str, Any]:
    """Whether the database answers in time, and how fast."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            async with pool.connection(_READY_TIMEOUT_S) as connection:
                await connection.execute("select 1")
    except UNAVAILABLE as problem:
        return {"status": "fail", "reason": type(problem).__name__}
    return {"status": "ok", "latency_ms": round((time.perf_counter() - began) * 1000, 3)}


def memory(limit_bytes: int) -> dict[str, Any]:
    """This worker's resident memory against its limit."""
    used = _resident_bytes()
    status = "ok" if used < limit_bytes else "fail"
    return {"status": status, "resident_bytes": used, "limit_bytes": limit_bytes}


def environment(settings: Settings, name: str) -> dict[str, Any]:
    """Whether all needed variables are set; their names, never their values."""
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
    except OSError:  # no /proc: the peak is the next best
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
