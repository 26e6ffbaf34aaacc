"""The faults that the service is told to have, by a file that all workers watch."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Behaviour(BaseModel):
    """What the service does wrong. The keys of the maps are routes, such as `/api/orders`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay_ms: dict[str, int] = {}
    status: dict[str, int] = {}
    body: dict[str, str] = {}
    content_type: dict[str, str] = {}
    ready_ignores_database: bool = False
    live_needs_database: bool = False
    ready_needs_restart: bool = False
    duplicate_series: bool = False
    malformed_metrics: bool = False
    series_by_customer: bool = False
    old_timestamps: bool = False
    busy_exporter: bool = False
    freeze_counters: bool = False
    ignore_error_counter: bool = False
    count_successes_as_errors: bool = False
    drop_writes: bool = False
    admin_is_open: bool = False
    cron_is_open: bool = False
    shows_tracebacks: bool = False
    environment: str | None = None
    version: str | None = None


class BehaviourFile:
    """The behaviour in a file, read again whenever the file has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._behaviour = Behaviour()

    def read(self) -> Behaviour:
        """The behaviour now; costs one `stat` while nothing changes."""
        try:
            info = os.stat(self._path)  # noqa: PTH116 - on every request, and twice as quick
        except OSError:
            self._stamp, self._behaviour = None, Behaviour()
            return self._behaviour
        stamp = (info.st_mtime_ns, info.st_size, info.st_ino)
        if stamp != self._stamp:
            self._behaviour = Behaviour.model_validate_json(Path(self._path).read_bytes())
            self._stamp = stamp
        return self._behaviour
