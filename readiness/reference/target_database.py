"""The part of the reference system's readiness.toml that tells of its database."""

from typing import Final


def database() -> str:
    """[databases.shop] and its tables."""
    return _DATABASE


_DATABASE: Final = """
# As a role that may read the statistics (pg_monitor) and the tables.
[databases.shop]
dsn = "${REFERENCE_MONITOR_DSN}"
"""
