"""What configures the service: variables of its environment, and a file with its faults."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

RELEASES: Final[Mapping[str, str]] = {"1.4.0": "9f2d1c7", "1.5.0": "c41e8ab"}
"""The released versions of the service, and the commit each was made from."""
NEEDED: Final = ("DATABASE_URL", "ADMIN_TOKEN", "CRON_SECRET")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one worker.

    Attributes:
        version: its release.
        environment: the name of the environment.
        database_url: the connection string of its role.
        admin_token: the bearer token of `/admin`.
        cron_secret: the header `X-Cron-Secret` of `/cron`.
        behaviour: the file with its faults; empty for none.
        memory_limit_bytes: resident memory above which it reports itself unhealthy.
    """

    version: str
    environment: str
    database_url: str
    admin_token: str
    cron_secret: str
    behaviour: str
    memory_limit_bytes: int

    @property
    def commit(self) -> str:
        """The commit this release was made from."""
        return RELEASES.get(self.version, "unknown")

    @property
    def has_filter(self) -> bool:
        """Whether orders have a currency and can be listed by status: since 1.5.0."""
        return self.version != "1.4.0"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; missing ones are empty, and `/health` reports them."""
        return cls(
            version=environ.get("SERVICE_VERSION", "1.5.0"),
            environment=environ.get("SERVICE_ENVIRONMENT", "production"),
            database_url=environ.get("DATABASE_URL", ""),
            admin_token=environ.get("ADMIN_TOKEN", ""),
            cron_secret=environ.get("CRON_SECRET", ""),
            behaviour=environ.get("SERVICE_BEHAVIOUR", ""),
            memory_limit_bytes=int(environ.get("MEMORY_LIMIT_BYTES", str(1 << 30))),
        )


class Behaviour(BaseModel):
    """The faults of the service. The keys of the maps are routes, such as `/api/orders`.

    Attributes:
        every: for a route with a delay, status or body: only each n-th request has it.
        after_per_s: if set, they are only had for ten seconds after a worker was sent more
            requests than this within one second.
        page_timeout_s: how long a page that reads may take; default: no limit of its own.
        pool_timeout_s: how long such a page waits for a connection; default: as all requests.
        keeps_connection_ms: how long it keeps the connection once it has its rows.
        leak_kib: memory that each request keeps.
        leak_connection_every: each n-th request keeps a connection to the database.
        starts_after_s: how much longer a worker takes to start.
        first_answer_ms: added to the first answer of a worker under `/api`.
        warms_up_s: so long after its start a worker answers 500 under `/api`.
        accepts: for `admin` (its settings) and `cron`: credentials that open it besides the right
            ones; `none` for none at all, `*` for any that are not empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    page_timeout_s: float | None = None
    pool_timeout_s: float | None = None
    keeps_connection_ms: int = 0
    leak_kib: int = 0
    leak_connection_every: int = 0
    starts_after_s: float = 0
    first_answer_ms: int = 0
    warms_up_s: float = 0
    delay_ms: dict[str, int] = {}
    status: dict[str, int] = {}
    body: dict[str, str] = {}
    content_type: dict[str, str] = {}
    every: dict[str, int] = {}
    after_per_s: int = 0
    accepts: dict[str, list[str]] = {}
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
    clock_behind_s: int = 0
    admin_is_open: bool = False
    shows_tracebacks: bool = False
    any_body_size: bool = False
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
