"""The kinds of subject that [services.NAME], [prometheus], [grafana] and the tracker declare."""

from collections.abc import Mapping
from typing import Final

from readiness.areas.monitoring.config import Config
from readiness.config.base.subject import Find, of
from readiness.config.base.watching import BlackboxProbe, Job


def _jobs(config: Config) -> list[Job]:
    return of(config.prometheus.jobs if config.prometheus else {})


def _probes(config: Config) -> list[BlackboxProbe]:
    return of(config.prometheus.probes if config.prometheus else {})


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "service": ("[services.NAME]", lambda c: list(c.services.values())),
    "drilled_service": (
        "[services.NAME.drill]",
        lambda c: [s for s in c.services.values() if s.drill],
    ),
    "counted_service": (
        "[services.NAME.truth]",
        lambda c: [s for s in c.services.values() if s.truth],
    ),
    "private_service": (
        "[services.NAME] private",
        lambda c: [s for s in c.services.values() if s.private],
    ),
    "prometheus": ("[prometheus]", lambda c: [c.prometheus] if c.prometheus else []),
    "job": ("[prometheus.jobs.NAME]", _jobs),
    "measured_job": (
        "[prometheus.jobs.NAME] required_metrics",
        lambda c: [job for job in _jobs(c) if job.required_metrics],
    ),
    "exporter_job": (
        "[prometheus.jobs.NAME] must_be_one",
        lambda c: [job for job in _jobs(c) if job.must_be_one or job.must_be_zero],
    ),
    "probe": (
        "[prometheus.probes.NAME]",
        _probes,
    ),
    "https_probe": (
        "[prometheus.probes.NAME] instance with https://",
        lambda c: [probe for probe in _probes(c) if probe.is_https],
    ),
    "grafana": (
        "[grafana] datasources",
        lambda c: [c.grafana] if c.grafana and c.grafana.datasources else [],
    ),
    "error_tracker": ("[error_tracker]", lambda c: [c.error_tracker] if c.error_tracker else []),
    "dashboard": (
        "[grafana.dashboards.NAME]",
        lambda c: of(c.grafana.dashboards if c.grafana else {}),
    ),
}
