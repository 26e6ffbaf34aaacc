"""Finds health, metrics and version pages of a service, and the scrape jobs of Prometheus."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from readiness.areas.monitoring.probes import health, health_bodies
from readiness.config.base import NAME_PATTERN
from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.config.base.watching import Prometheus as Settings
from readiness.lib.http import Answer, Session
from readiness.lib.kubernetes.discovery import Address, addresses, cluster
from readiness.lib.kubernetes.objects import Service
from readiness.lib.prometheus import Prometheus, exposition
from readiness.lib.prometheus.replies import Target
from readiness.model.errors import CouldNotMeasure

# The paths of the usual frameworks: Kubernetes, Spring Boot, Quarkus, Mozilla's Dockerflow, Go
# servers, n8n and Directus.
_HEALTH: Final = (
    *("/health", "/healthz", "/api/health", "/actuator/health", "/q/health", "/__heartbeat__"),
    *("/-/healthy", "/server/health", "/status", "/up", "/ping"),
)
_READY: Final = (
    *("/health/ready", "/readyz", "/ready", "/api/health/ready", "/actuator/health/readiness"),
    *("/q/health/ready", "/healthz/readiness", "/__heartbeat__", "/-/ready"),
)
_LIVE: Final = (
    *("/health/live", "/livez", "/live", "/api/health/live", "/actuator/health/liveness"),
    *("/q/health/live", "/__lbheartbeat__", "/-/healthy", "/server/ping"),
)
_METRICS: Final = ("/metrics", "/actuator/prometheus", "/q/metrics", "/api/metrics")
_VERSION: Final = ("/version", "/api/version", "/__version__", "/info", "/actuator/info")
_ENVIRONMENT: Final = ("environment", "env", "environment_name")
_FIELDS: Final = ("status", "version")
_FINE: Final = frozenset({200, 204})
_OWN_PAGE: Final = "no page of its own was found"


class _Pages:
    """The pages of a service, each requested once."""

    def __init__(self, session: Session, url: str) -> None:
        self._session = session
        self._url = url
        self._answers: dict[str, Answer] = {}

    def get(self, path: str) -> Answer:
        """The answer of one path."""
        if path not in self._answers:
            self._answers[path] = self._session.get(f"{self._url}{path}", cut=True)
        return self._answers[path]

    def first(self, paths: Sequence[str]) -> str:
        """The first path that answers 200 or 204 and is no page for people; empty if none does."""
        return next((path for path in paths if self._serves(path)), "")

    def _serves(self, path: str) -> bool:
        answer = self.get(path)
        return answer.status in _FINE and not health_bodies.is_page(answer)


def service(sources: Sources) -> Iterator[Finding]:
    """The service at `url`, and those of Ingresses: some 20 GETs to each at most."""
    found = addresses(sources)
    if not found:
        names = ", ".join(one.metadata.name for one in cluster(sources).of(Service))
        of = f"the address of {names}: no Ingress leads there" if names else "the service"
        yield Gap(of, "readiness init --url URL")
        return
    for address in found:
        yield Line(("services", address.name), "url", address.url, address.source)
        try:
            yield from _asked(address, sources)
        except CouldNotMeasure as error:
            yield Gap(error.cause.what, error.remedy)
            for key, page in address.probed.items():
                yield Line(("services", address.name), key, page.path, page.source)
    yield Gap(
        "how the service's dependency is taken away",
        f"commands in [services.{found[0].name}.drill], for staging",
    )


def _asked(address: Address, sources: Sources) -> Iterator[Finding]:
    with Session(timeout_s=sources.timeout_s) as session:
        pages = _Pages(session, address.url)
        yield from _health(pages, address)
        yield from _metrics(pages, address, sources)
        yield from _identity(pages, address)


def _health(pages: _Pages, address: Address) -> Iterator[Finding]:
    table = ("services", address.name)
    probed = {key: page.path for key, page in address.probed.items()}
    found = pages.first(_before(probed.get("health"), _HEALTH))
    if not found:
        yield Gap(
            f"a health page; {', '.join(_HEALTH[:4])} and others answer no 200, or HTML",
            f"set `health`, `ready` and `live` in [{'.'.join(table)}]",
        )
        return
    answer = pages.get(found)
    kind = answer.media_type or "no content type"
    asks = {page.path: f"; {page.source}" for page in address.probed.values()}
    yield Line(table, "health", found, f"answers {answer.status}, {kind}{asks.get(found, '')}")
    for key, paths in (("ready", _READY), ("live", _LIVE)):
        path = pages.first(_before(probed.get(key), paths))
        said = f"answers {pages.get(path).status}" if path else f"{_OWN_PAGE}: `health`"
        yield Line(table, key, path or found, f"{said}{asks.get(path, '')}")
    document = health.json_object(answer)
    has = [] if isinstance(document, str) else [name for name in _FIELDS if document.get(name)]
    if tuple(has) != _FIELDS:
        said = f"of status and version, all that {found} has" if has else f"{found} has neither"
        yield Line(table, "health_fields", has, said)


def _before(path: str | None, usual: Sequence[str]) -> Sequence[str]:
    """What a probe asks comes before the usual paths."""
    return (path, *usual) if path else usual


def _metrics(pages: _Pages, address: Address, sources: Sources) -> Iterator[Finding]:
    table = ("services", address.name)
    for path in _METRICS:
        answer = pages.get(path)
        if answer.status in _FINE and (series := len(exposition.parse(answer).samples)):
            yield Line(table, "metrics", path, f"{series} series")
            return
    elsewhere = _scraped_elsewhere(address, sources)
    own = (
        [target for target in elsewhere if target.url.startswith(f"{address.url}/")]
        or [target for target in elsewhere if target.pool == address.name]
        or elsewhere
    )
    if len(own) == 1:
        place = own[0].url.removeprefix(address.url)
        yield Line(table, "metrics", place, f"what Prometheus scrapes as job {own[0].pool}")
        return
    among = f", one of {', '.join(target.url for target in elsewhere)}" if elsewhere else ""
    yield Gap(
        f"metrics; {', '.join(_METRICS[:2])} and others have none",
        f"set `metrics` in [services.{address.name}]: a path, or an address{among}",
    )


def _scraped_elsewhere(address: Address, sources: Sources) -> list[Target]:
    """What Prometheus scrapes on the service's host, but itself; nothing if it does not answer."""
    if not sources.prometheus:
        return []
    try:
        targets = _targets(sources)
    except CouldNotMeasure:
        return []  # `jobs` names it
    host = urlsplit(address.url).hostname
    found = [
        target
        for target in targets
        if urlsplit(target.url).hostname == host and "?" not in target.url
        if not _is_of(target, sources.prometheus)
    ]
    return sorted(found, key=lambda target: target.url)


def _identity(pages: _Pages, address: Address) -> Iterator[Finding]:
    """Where the service reports its version and its environment."""
    documents = {path: health.json_object(pages.get(path)) for path in (*_VERSION, _HEALTH[0])}
    for path, document in documents.items():
        if isinstance(document, str) or pages.get(path).status not in _FINE:
            continue
        for key in _ENVIRONMENT:
            word = document.get(key)
            if isinstance(word, str) and re.match(NAME_PATTERN, word):
                marker = {"service": address.name, "path": path, "field": key}
                yield Line(("target",), "environment", word, f"`{key}` of {path}")
                yield Line(("target",), "marker", marker, f"`{key}` of {path}")
                return


def jobs(sources: Sources) -> Iterator[Finding]:
    """The scrape jobs of Prometheus, with their intervals."""
    if not sources.prometheus:
        yield Gap("Prometheus", "readiness init --prometheus URL")
        return
    yield Line(("prometheus",), "url", sources.prometheus, "--prometheus")
    pools = defaultdict(list)
    for target in _targets(sources):
        pools[target.pool].append(target)
    if not pools:
        yield Gap("scrape jobs: Prometheus has no target", "scrape_configs of prometheus.yml")
    for name, targets in pools.items():
        if not re.match(NAME_PATTERN, name):
            yield Gap(f"a name for the scrape job {name!r}", "rename it: letters, digits, . _ -")
            continue
        if all(_is_of(target, sources.prometheus) for target in targets):
            continue  # of the loss of Prometheus itself no rule of its own can alert
        down = sum(target.health == "down" for target in targets)
        states = f"{len(targets)} scraped" + (f", {down} of them down" if down else "")
        job: dict[str, float | int] = {"interval_s": _number(targets[0].interval_s)}
        if len(targets) > 1:
            job["min_targets"] = len(targets)
        yield Line(("prometheus", "jobs"), name, job, states)


def _targets(sources: Sources) -> tuple[Target, ...]:
    with Prometheus(Settings(url=sources.prometheus, timeout_s=sources.timeout_s)) as watcher:
        return watcher.targets()


def _is_of(target: Target, prometheus: str) -> bool:
    return target.url.startswith(f"{prometheus}/")


def _number(seconds: float) -> float | int:
    return int(seconds) if seconds == int(seconds) else seconds
