"""The kinds of subject that [services.NAME], [prometheus], [grafana] and the tracker declare."""

from collections.abc import Mapping
from typing import Final

from readiness.config.base.area import Find, of

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "service": ("[services.NAME]", lambda c: of(c.services)),
    "prometheus": ("[prometheus]", lambda c: [c.prometheus] if c.prometheus else []),
    "job": (
        "[prometheus.jobs.NAME]",
        lambda c: of(c.prometheus.jobs if c.prometheus else {}),
    ),
    "probe": (
        "[prometheus.probes.NAME]",
        lambda c: of(c.prometheus.probes if c.prometheus else {}),
    ),
    "grafana": ("[grafana]", lambda c: [c.grafana] if c.grafana else []),
    "dashboard": (
        "[grafana.dashboards.NAME]",
        lambda c: of(c.grafana.dashboards if c.grafana else {}),
    ),
    "error_tracker": ("[error_tracker]", lambda c: [c.error_tracker] if c.error_tracker else []),
}
