"""Monitoring: health, metrics, scraping, dashboards and errors of the target."""

from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from readiness.areas.monitoring.config import Config, Service
from readiness.config.base.area import Area, Find, Look, of
from readiness.config.base.discovery import Discover
from readiness.config.base.watching import Prometheus
from readiness.model.errors import NoData

__all__ = ["AREA"]

# kind -> (where it is declared, for the report; how to find it)
_KINDS: Final[Mapping[str, tuple[str, Find]]] = {
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


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    for service in config.services.values():
        yield f"service {service.name}", partial(_service, service)
    if config.prometheus:
        yield "Prometheus", partial(_prometheus, config.prometheus)


def _service(service: Service) -> str:
    from readiness.lib import clocks, http

    answer = http.ask(service, service.live)
    clocks.agree_http(answer.headers.get("date"), service.url)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise NoData(
            f"answers 404 at {service.live}",
            where=service.url,
            remedy=f"set `health`, `ready` and `live` in [services.{service.name}] to its pages",
        )
    return f"{service.url} answers {answer.status} at {service.live}"


def _prometheus(settings: Prometheus) -> str:
    from readiness.lib import clocks, prometheus

    with prometheus.Prometheus(settings) as watcher:
        clocks.agree_within(watcher.clock_offset_s()[0], settings.url)
        return f"{settings.url}, Prometheus {watcher.version()}"


def _discovers() -> Iterator[Discover]:
    from readiness.areas.monitoring import discovery

    yield from (discovery.service, discovery.jobs)


AREA: Final = Area(
    "monitoring",
    config=Config,
    extends=(Service,),
    kinds=_KINDS,
    looks=_looks,
    discovers=_discovers,
)
