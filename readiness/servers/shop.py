"""The shop's database and its server: what the areas' parts of the reference system are given."""

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
    # Required by database.slow-query-tracking.
    "log_min_duration_statement": "500",
    "max_prepared_transactions": "5",
    # A stopped standby must not fill the disk; once started, it must catch up at once.
    "max_slot_wal_keep_size": "2GB",
    # A checkpoint that begins before the standby's slot exists would remove WAL that it needs.
    "wal_keep_size": "64MB",
    "wal_retrieve_retry_interval": "500ms",
}
STATISTICS: Final = "pg_stat_statements"
COUNTING: Final[Mapping[str, str]] = {
    "shared_preload_libraries": STATISTICS,
    # Enough for many runs of the gate, whose schemas have unique names: none may be evicted.
    "pg_stat_statements.max": "10000",
}
NAME: Final = "shop"


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
        """Start it again on the same port."""
        ...

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it and remove its data."""
        ...


def settings_of(binaries: Binaries) -> dict[str, str]:
    """The settings of a server of the reference system that runs these programs."""
    return {**SETTINGS, **(COUNTING if _has_statistics(binaries) else {})}


def _has_statistics(binaries: Binaries) -> bool:
    """Whether these binaries include pg_stat_statements; the wheel's do not."""
    release = binaries.folder.parent
    return any(release.glob("lib/**/pg_stat_statements.*")) and not refused(STATISTICS)


@dataclass(frozen=True, slots=True)
class Shop:
    """How to reach the shop's database, as each of its roles.

    Attributes:
        superuser: in the shop's database.
        admin: the superuser in another database, to alter the shop's database itself.
        owner: owns the schema.
        app: the role of the service.
        monitor: reads statistics and rows.
        backup: reads everything.
        replica: replicates the server.
        release: release of the server, such as `15.4`.
        drill: may create schemas and restore points, and switch WAL files.
        has_statistics: whether pg_stat_statements is available.
        has_amcheck: whether amcheck is available.
        measures_bloat: whether pgstattuple is available.
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
