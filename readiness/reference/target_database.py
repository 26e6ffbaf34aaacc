"""The part of the reference system's readiness.toml that tells of its database."""

from pathlib import Path
from typing import Final

from readiness.reference.toml import quoted


def database(history: Path) -> str:
    """[databases.shop] and its tables.

    Args:
        history: the file of its snapshots.
    """
    return _DATABASE + _STATEMENTS + _HISTORY.format(path=quoted(str(history)))


_DATABASE: Final = """
# As a role that may read the statistics (pg_monitor) and the tables.
[databases.shop]
dsn = "${REFERENCE_MONITOR_DSN}"
"""

_STATEMENTS: Final = """
# Of the application alone: what monitoring, backups and the gate itself run is not promised.
[databases.shop.statements]
roles = ["shop_app"]

# The tables are small; what is written and deleted to measure the speed leaves them full of holes.
[databases.shop.bloat]
min_bytes = 30000000
"""

_HISTORY: Final = """
# `readiness snapshot` writes it. This system is seconds old: its past is real snapshots, dated
# back. It lives for some hours, without a cron that would take more.
[databases.shop.history]
path = {path}
index_max_age_h = 12
# A small shop.
growth_max_bytes = 100000000
"""
