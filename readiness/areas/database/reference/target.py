"""The part of the reference system's readiness.toml that describes its databases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.servers.files import quoted


@dataclass(frozen=True, slots=True)
class Around:
    """Whether the database has a standby, and a pooler in front of it."""

    standby: bool
    pooler: bool


def database(around: Around, history: Path, *, watched: bool, slow_alert: bool) -> str:
    """[databases.shop] and its tables.

    Args:
        around: what it has around it.
        history: the file of its snapshots.
        watched: whether a Prometheus scrapes how long statements take.
        slow_alert: whether an alert for a slow statement notifies a channel.
    """
    return "".join(
        (
            _DATABASE,
            _STANDBY if around.standby else "",
            _POOLER if around.pooler else "",
            _STATEMENTS,
            _P95 if watched else "",
            _SLOW_ALERT if slow_alert else "",
            _BLOAT,
            _HISTORY.format(path=quoted(str(history))),
        )
    )


_DATABASE: Final = """
# As a role that may read the statistics (pg_monitor) and the tables.
[databases.shop]
dsn = "${REFERENCE_MONITOR_DSN}"

# Limits of its health; the defaults are good for most.
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

_STATEMENTS: Final = """
# Of the application alone: no latency is promised for monitoring, backups and the gate itself.
# Its customers came while the machine had other things to do: the default is 100 ms.
[databases.shop.statements]
roles = ["shop_app"]
warning_ms = 400
"""

# As the application times its statements. Of all time: a system of seconds has no rate yet.
_P95: Final = """
[databases.shop.statements.p95]
query = '''
histogram_quantile(0.95, sum by (le, statement) (db_statement_duration_seconds_bucket))'''
calls = "sum by (statement) (db_statement_duration_seconds_count)"
"""

_SLOW_ALERT: Final = """
# A statement is slow on purpose, and an alert must notify its channel.
[databases.shop.slow_alert]
dsn = "${REFERENCE_APP_DSN}"
alert = "SlowQueries"
severity = "warning"
channel = "slack"
"""

_BLOAT: Final = """
# The tables are small; what is written and deleted to measure the speed leaves them full of holes.
[databases.shop.bloat]
min_bytes = 20000000
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
# 10 MB: it is a small system, and ten days take a few of them.
growth_max_gb = 0.01

[databases.metrics.history]
path = {path}
index_max_age_h = 12
"""
