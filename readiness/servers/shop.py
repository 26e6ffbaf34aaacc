"""The server and the database of the shop, as the parts of the reference system are given them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from readiness.servers.binaries import Binaries
from readiness.servers.postgres import StopMode
from readiness.servers.programs import refused

SETTINGS: Final[Mapping[str, str]] = {
    "max_connections": "150",
    "shared_buffers": "64MB",
    "track_io_timing": "on",
    # As database.slow-query-tracking wants it.
    "log_min_duration_statement": "500",
    "max_prepared_transactions": "5",
    # A standby that is away must not fill the disk; when it is back, it comes at once.
    "max_slot_wal_keep_size": "2GB",
    # A checkpoint that began before the standby's slot was made would take the WAL away from it.
    "wal_keep_size": "64MB",
    "wal_retrieve_retry_interval": "500ms",
}
STATISTICS: Final = "pg_stat_statements"
COUNTING: Final[Mapping[str, str]] = {
    "shared_preload_libraries": STATISTICS,
    # Enough for many runs of the gate, whose schemas have names of their own: none is thrown out.
    "pg_stat_statements.max": "10000",
}


class Server(Protocol):
    """A PostgreSQL server, wherever it runs."""

    def dsn(
        self, database: str = "postgres", user: str | None = None, password: str | None = None
    ) -> str:
        """A connection string; the superuser's unless another user is named."""
        ...

    def halt(self, mode: StopMode = "fast") -> None:
        """Stop it and keep its data."""
        ...

    def restart(self) -> None:
        """Start it again, where it was."""
        ...

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it for good."""
        ...


def settings_of(binaries: Binaries) -> dict[str, str]:
    """What a server of the reference system is set to, if it runs these programs."""
    return {**SETTINGS, **(COUNTING if _has_statistics(binaries) else {})}


def _has_statistics(binaries: Binaries) -> bool:
    """Whether these binaries come with pg_stat_statements (the wheel's do not)."""
    release = binaries.folder.parent
    return any(release.glob("lib/**/pg_stat_statements.*")) and not refused(STATISTICS)


NAME: Final = "shop"


@dataclass(frozen=True, slots=True)
class Shop:
    """How to reach the shop's database, as each of its roles.

    Attributes:
        superuser: in the shop's database.
        admin: the superuser in another database, for what cannot be done from inside.
        owner: owns the schema.
        app: what the service runs as.
        monitor: reads statistics and rows.
        backup: reads everything.
        replica: copies the server, and streams what it writes.
        release: of the server, as `15.4`.
        drill: makes schemas of its own, restore points, and finishes WAL files.
        has_statistics: whether it counts the time of statements.
        has_amcheck: whether it can look for damage.
        measures_bloat: whether it can tell how much of a table is empty.
    """

    superuser: str
    admin: str
    owner: str
    app: str
    monitor: str
    backup: str
    replica: str
    release: str
    drill: str
    has_statistics: bool
    has_amcheck: bool
    measures_bloat: bool
