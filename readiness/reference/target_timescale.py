"""The part of the reference system's readiness.toml that tells of its metrics."""

from typing import Final

CHECKS: Final = (
    "database.timescale-compression",
    "database.timescale-extension",
    "database.timescale-growth",
    "database.timescale-hypertables",
    "database.timescale-jobs",
    "database.timescale-restoring",
    "database.timescale-retention",
)
"""What does not apply where there are none."""


def timescale() -> str:
    """[databases.metrics] and its tables."""
    return _METRICS


_METRICS: Final = """
# Needs no right to read the rows.
[databases.metrics]
dsn = "${REFERENCE_METRICS_DSN}"

[databases.metrics.timescale]
min_version = "2.11"

[databases.metrics.timescale.hypertables.readings]
table = "telemetry.readings"
chunk_interval_h = 24
keep_d = 30
# 10 MB: it is a small system, of which ten days take a few.
growth_max_gb = 0.01
"""
