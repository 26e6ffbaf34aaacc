"""The part of the reference system's readiness.toml about its monitoring."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.reference import error_tracker, grafana
from readiness.areas.monitoring.reference.watched import count_panels
from readiness.servers.files import quoted

_USUAL_PANELS: Final[int] = Dashboard.model_fields["min_panels"].default


@dataclass(frozen=True, slots=True)
class Watch:
    """What monitors one running system.

    Attributes:
        prometheus: its address; None without one.
        running: names of the running programs.
        service: address of the order service.
        site: address of the page over TLS; None without one.
        grafana: its address; None without one.
        dashboard: file with the dashboard.
        tracker: address of the error tracker; None without one.
    """

    prometheus: str | None
    running: Collection[str]
    service: str
    site: str | None
    grafana: str | None
    dashboard: Path
    tracker: str | None


def monitoring(watch: Watch) -> str:
    """The tables [prometheus], [grafana] and [error_tracker], for the parts that run."""
    tables = ""
    if watch.prometheus:
        tables += _PROMETHEUS.format(url=watch.prometheus) + _jobs(watch) + _probes(watch)
    if watch.grafana:
        tables += _GRAFANA.format(
            url=watch.grafana,
            file=quoted(str(watch.dashboard)),
            fewer=_fewer(watch.dashboard),
        )
    if watch.tracker:
        tables += _TRACKER.format(url=watch.tracker)
    return tables


def dsn(tracker: str, key: str) -> str:
    """The DSN to which an application would send its errors."""
    scheme, _, place = tracker.partition("://")
    return f"{scheme}://{key}@{place}/1"


def _jobs(watch: Watch) -> str:
    pages = 3 if watch.site else 2
    return "".join(
        text.format(pages=pages) for program, text in _JOBS.items() if program in watch.running
    )


def _fewer(dashboard: Path) -> str:
    """The lower limit of panels if some jobs are not scraped; empty otherwise."""
    panels = count_panels(json.loads(dashboard.read_bytes()))
    return f"min_panels = {panels}\n" if panels < _USUAL_PANELS else ""


def _probes(watch: Watch) -> str:
    if "blackbox_exporter" not in watch.running:
        return ""
    probes = _PROBE.format(name="service", instance=f"{watch.service}/version")
    return probes + (_PROBE.format(name="site", instance=watch.site) if watch.site else "")


_PROMETHEUS: Final = """
# The Prometheus that monitors the system. It is seconds old, and scrapes every second.
[prometheus]
url = "{url}"
# One day is enough for a test system.
retention_min_h = 24
# Fifteen scrapes; on a busy machine three may fail, and one may be slow.
window_s = 15
up_min_share = 0.8
scrape_time_max_share = 0.75
samples_max = 4000
# The default of 1 % is for a scrape every 30 s; here there are thirty times as many.
overhead_max_share = 0.3

[prometheus.jobs.orders]
interval_s = 1
required_metrics = ["http_requests_total", "service_build_info"]

[prometheus.jobs.prometheus]
interval_s = 1
"""

_JOBS: Final = {
    "postgres_exporter": """
# `up` is about the exporter; these are about its database.
[prometheus.jobs.postgres]
interval_s = 1
must_be_one = ["pg_up", "pg_scrape_collector_success"]
must_be_zero = ["pg_exporter_last_scrape_error"]
""",
    "node_exporter": """
[prometheus.jobs.node]
interval_s = 1
required_metrics = ["node_memory_MemAvailable_bytes"]
""",
    "blackbox_exporter": """
[prometheus.jobs.blackbox]
interval_s = 1
# The service, the site where it runs, and Prometheus itself.
min_targets = {pages}
""",
}

_PROBE: Final = """
[prometheus.probes.{name}]
instance = "{instance}"
"""

_GRAFANA: Final = f"""
[grafana]
url = "{{url}}"
token = "${{{{{grafana.TOKEN}}}}}"
datasources = ["{'", "'.join(grafana.SOURCES)}"]

# A dashboard from Grafana, and the same from the file that it was provisioned from.
[grafana.dashboards.shop]
uid = "{grafana.DASHBOARD}"
window_s = 900
{{fewer}}
[grafana.dashboards.shop-file]
file = {{file}}
window_s = 900
{{fewer}}"""

_TRACKER: Final = f"""
# A test event is sent, and must be readable within this time.
[error_tracker]
dsn = "${{{{REFERENCE_TRACKER_DSN}}}}"
url = "{{url}}"
token = "${{{{{error_tracker.TOKEN}}}}}"
organization = "{error_tracker.ORGANIZATION}"
project = "{error_tracker.PROJECT}"
within_s = 15
"""
