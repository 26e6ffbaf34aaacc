"""The part of the reference system's readiness.toml that tells of its metrics."""

from pathlib import Path
from typing import Final

from readiness.servers.toml import quoted


def timescale(history: Path) -> str:
    """[databases.metrics] and its tables; `history` is the file of its snapshots."""
    return _METRICS.format(path=quoted(str(history)))


_METRICS: Final = """
# Needs no right to read the rows.
[databases.metrics]
dsn = "${{REFERENCE_METRICS_DSN}}"

[databases.metrics.timescale]
min_version = "2.11"

[databases.metrics.timescale.hypertables.readings]
table = "telemetry.readings"
chunk_interval_h = 24
keep_d = 30
# 10 MB: it is a small system, of which ten days take a few.
growth_max_gb = 0.01

[databases.metrics.history]
path = {path}
index_max_age_h = 12
"""
