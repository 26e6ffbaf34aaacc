"""The part of the reference system's readiness.toml that tells of its database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from readiness.probes.database.releases import Release, newest_minor, supported_until


@dataclass(frozen=True, slots=True)
class Around:
    """What the database has around it.

    Attributes:
        standby: whether a standby follows it.
        pooler: whether a pooler stands in front of it.
        lacking: the checks that do not apply for want of something, each with the reason.
    """

    standby: bool
    pooler: bool
    lacking: Mapping[str, str] = field(default_factory=dict)


def database(around: Around) -> str:
    """[databases.shop] and its tables."""
    return "".join(
        (
            _DATABASE,
            _STANDBY if around.standby else "",
            _POOLER if around.pooler else "",
        )
    )


def lacking(
    *, no_standby: str, no_pooler: str, has_amcheck: bool, release: str, today: date
) -> dict[str, str]:
    """The checks that do not apply to a database which lacks that, each with the reason.

    Args:
        no_standby: why there is no standby; empty if there is one.
        no_pooler: why there is no pooler; empty if there is one.
        has_amcheck: whether the server can look for damage.
        release: of the server: what this machine has may be old, and is no finding here.
        today: the day, for that.
    """
    found: dict[str, str] = {}
    if no_standby:
        found["database.standby-connected"] = found["database.replication-lag"] = no_standby
    if no_pooler:
        found["database.pool-saturation"] = no_pooler
    if not has_amcheck:
        found["database.corruption-sample"] = "this PostgreSQL comes without amcheck"
    if _is_old(Release.read(release), today):
        found["database.version-supported"] = f"{release} is old, and what this machine has"
    return found


def _is_old(release: Release, today: date) -> bool:
    newest = newest_minor(release.major, today)
    return today > supported_until(release.major) or release.minor < newest - 1


_DATABASE: Final = """
# As a role that may read the statistics (pg_monitor) and the tables.
[databases.shop]
dsn = "${REFERENCE_MONITOR_DSN}"

# What its health is held against; the defaults are good for most.
[databases.shop.limits]
replication_lag_max_s = 10
"""

_STANDBY: Final = """
# A streaming standby, under the name by which the primary knows it.
[databases.shop.standbys.replica]
dsn = "${REFERENCE_STANDBY_DSN}"
"""

_POOLER: Final = """
# The console of PgBouncer.
[databases.shop.pooler]
dsn = "${REFERENCE_POOLER_DSN}"
"""
