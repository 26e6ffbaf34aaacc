"""Monitoring: health, metrics, scraping, dashboards and errors of the target."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from readiness.areas.monitoring.config import Config, Service
from readiness.areas.monitoring.subjects import KINDS
from readiness.config.base.area import Area, Look

__all__ = ["AREA"]


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    for service in config.services.values():
        yield f"service {service.name}", partial(_service, service)
    if config.prometheus:
        yield "Prometheus", partial(_is_ready, config.prometheus.url)
    for url in config.alertmanager.urls if config.alertmanager else []:
        yield "Alertmanager", partial(_is_ready, url)


def _service(service: Service) -> str:
    from readiness.lib import http

    answer = http.ask(service, service.live)
    return f"{service.url} answers {answer.status} at {service.live}"


def _is_ready(url: str) -> str:
    from readiness.lib import http

    return f"{http.get(f'{url}/-/ready', timeout_s=5).status} {url}"


AREA: Final = Area("monitoring", config=Config, extends=(Service,), kinds=KINDS, looks=_looks)
