"""The checks that a machine or provider cannot have, each with the reason."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from readiness.probes.database.releases import Release, newest_minor, supported_until
from readiness.reference import wal_archive
from readiness.reference.database import Shop
from readiness.reference.fleet.starting import PART as FLEET
from readiness.reference.metrics import PART as TIMESCALE
from readiness.reference.target_backup import AMCHECK, ARCHIVE_CHECKS
from readiness.reference.target_deployment import CHECKS as FLEET_CHECKS
from readiness.reference.target_timescale import CHECKS as TIMESCALE_CHECKS

# part of the system -> the checks that need it
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "standby": ("database.standby-connected", "database.replication-lag"),
    "pooler": ("database.pool-saturation",),
    "amcheck": (AMCHECK,),
    wal_archive.PART: ARCHIVE_CHECKS,
    "squawk": ("schema.migrations-lint",),
    TIMESCALE: TIMESCALE_CHECKS,
    FLEET: FLEET_CHECKS,
}
# extension -> the checks that need it
_STATISTICS: Final = (
    "monitoring.database-overhead",
    "database.slow-query-tracking",
    "database.statement-latency",
    "database.statement-eviction",
)
_BLOAT: Final = ("database.table-bloat", "database.index-bloat", "database.snapshots-run")
_DAMAGE: Final = ("database.corruption-sample",)


def lacking(shop: Shop, absent: Mapping[str, str], today: date) -> dict[str, str]:
    """What the reference system's readiness.toml has in [gate.not_applicable].

    Args:
        shop: the database, and what its server has.
        absent: the parts of the system that could not be had, each with the reason.
        today: the day: a server that this machine has may be old, and is no finding here.
    """
    found = {check: absent[part] for part in _PARTS if part in absent for check in _PARTS[part]}
    for there, extension, checks in (
        (shop.has_statistics, "pg_stat_statements", _STATISTICS),
        (shop.measures_bloat, "pgstattuple", _BLOAT),
        (shop.has_amcheck, "amcheck", _DAMAGE),
    ):
        if not there:
            found |= dict.fromkeys(checks, f"this PostgreSQL comes without {extension}")
    if _is_old(Release.read(shop.release), today):
        found["database.version-supported"] = f"{shop.release} is old, and what this machine has"
    return found


def _is_old(release: Release, today: date) -> bool:
    newest = newest_minor(release.major, today)
    return today > supported_until(release.major) or release.minor < newest - 1
