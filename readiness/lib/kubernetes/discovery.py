"""What `readiness init --context` sees of a cluster, for all areas, by get and list."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from readiness.config.base import NAME_PATTERN
from readiness.config.base.discovery import Sources
from readiness.lib.kubernetes.inventory import EVERY, Inventory, read
from readiness.lib.kubernetes.kubectl import (
    DECLARED_KINDS,
    INSTALLED_KINDS,
    Cluster,
    Kubectl,
    private,
)
from readiness.lib.kubernetes.objects import (
    BackendService,
    Container,
    Ingress,
    Service,
    ServicePort,
    Workload,
)
from readiness.lib.kubernetes.pods import handler_of, port_of
from readiness.model.errors import CouldNotMeasure

ORIGIN: Final = "--context and --namespace"
# All that the checks read, so that what is forbidden is known before the first run.
_KINDS: Final = (*DECLARED_KINDS, "poddisruptionbudgets.v1.policy", "resourcequotas")
CLUSTER_WIDE: Final = ("nodes", "pods")
EVERYTHING: Final = "cluster"
"""Key of the error by which nothing could be read."""
_PROBES: Final = {
    "ready": ("readinessProbe", "readiness_probe"),
    "live": ("livenessProbe", "liveness_probe"),
}


@dataclass(frozen=True, slots=True)
class Probed:
    """A page that a probe asks: its path at the container, and which probe."""

    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is reached.

    Attributes:
        name: of the service, as in [services.NAME].
        source: where the address was found.
        probed: the pages that probes of its pods ask, by `health`, `ready` and `live`; under
            `url` if it is that of an Ingress.
    """

    name: str
    url: str
    source: str
    probed: Mapping[str, Probed] = field(default_factory=dict)


def cluster(sources: Sources) -> Inventory:
    """The objects of the namespace; nothing without `--context`.

    What cannot be read is in `unseen`; under `EVERYTHING`, if that is all.
    """
    return _cluster(sources.context, sources.namespace)[0] if sources.context else Inventory(())


def kinds_read(sources: Sources) -> Sequence[str]:
    """The kinds of the namespace that the checks read, as kubectl names them."""
    return _cluster(sources.context, sources.namespace)[1]


@lru_cache(maxsize=1)
def _cluster(context: str, namespace: str) -> tuple[Inventory, Sequence[str]]:
    """Areas ask one after the other: the cluster answers once, also that it is down."""
    with private() as folder:
        place = Cluster(context=context, namespace=namespace)
        kubectl = Kubectl(place, folder, ORIGIN)
        try:
            kubectl.copy_config()
            installed = kubectl.installed()
            kinds = [*_KINDS, *(kind for kind in INSTALLED_KINDS if kind in installed)]
            documents, unseen = kubectl.get_each(kinds)
            _, everywhere = kubectl.get_each(CLUSTER_WIDE, everywhere=True)
            return read(documents, EVERY) + Inventory((), unseen | everywhere), kinds
        except CouldNotMeasure as error:
            return Inventory((), {EVERYTHING: error}), ()


def addresses(sources: Sources) -> list[Address]:
    """The address of `--url`, and those of Ingresses; of several of a workload the first."""
    found = cluster(sources)
    exposed = {one.name: one for one in reversed(list(_exposed(found)))}
    if not sources.url:
        return list(exposed.values())
    same = [one.probed for one in exposed.values() if one.url == sources.url]
    # Of another address it is not known which workload answers; requests will show it.
    probed = same[0] if same else _all(found.of(Workload))
    others = [one for one in exposed.values() if sources.url != one.url]
    return [
        Address(sources.name, sources.url, "--url", probed),
        *(one for one in others if one.name != sources.name),
    ]


def _exposed(found: Inventory) -> Iterator[Address]:
    services = {one.metadata.name: one for one in found.of(Service)}
    for ingress in found.of(Ingress):
        for url, backend in _routes(ingress):
            service = services.get(backend.name)
            behind = [one for one in found.of(Workload) if service and fronts(service, one)]
            if service and behind and re.match(NAME_PATTERN, behind[0].metadata.name):
                yield Address(
                    behind[0].metadata.name,
                    url,
                    f"Ingress {ingress.metadata.name}, to {kind_of(behind[0])}",
                    _below(urlsplit(url).path, _probed(behind[0], backend, service)),
                )


def _routes(ingress: Ingress) -> Iterator[tuple[str, BackendService]]:
    """Each address with its Service; a wildcard is no address, and a pattern no path."""
    secure = {host for tls in ingress.spec.tls for host in tls.hosts}
    for rule in ingress.spec.rules:
        scheme = "https" if rule.host in secure else "http"
        for path in rule.http.paths if re.fullmatch(r"[\w.-]+", rule.host) else ():
            if path.backend.service and re.fullmatch(r"[\w./-]*", path.path):
                yield f"{scheme}://{rule.host}{path.path.rstrip('/')}", path.backend.service


def fronts(service: Service, workload: Workload) -> bool:
    """Whether a Service sends requests to the pods of a workload."""
    wanted = service.spec.selector
    return bool(wanted) and wanted.items() <= workload.spec.template.metadata.labels.items()


def kind_of(workload: Workload) -> str:
    """Kind and name, as `deployment/shop`."""
    return f"{workload.kind.lower()}/{workload.metadata.name}"


def _all(workloads: Iterable[Workload]) -> Mapping[str, Probed]:
    found = [_pages(one, one.spec.template.spec.containers) for one in workloads]
    return {key: probed for one in reversed(found) for key, probed in one.items()}


def _probed(workload: Workload, backend: BackendService, service: Service) -> Mapping[str, Probed]:
    """The pages of the containers, on the port that an Ingress leads to."""
    wanted = backend.port
    lead = [
        one
        for one in service.spec.ports
        if wanted.number == one.port or (wanted.name and wanted.name == one.name)
    ]
    return _pages(workload, workload.spec.template.spec.containers, lead)


def _pages(
    workload: Workload, containers: Iterable[Container], lead: Iterable[ServicePort] | None = None
) -> Mapping[str, Probed]:
    """What the probes of the containers ask by HTTP; with `lead` only on the ports of those."""
    found: dict[str, Probed] = {}
    for container in containers:
        served = None if lead is None else {_number(_at_pod(one), container) for one in lead}
        for key, (word, name) in _PROBES.items():
            probe = getattr(container, name) or {}
            path = handler_of(probe, "httpGet").get("path", "/")
            asks = "httpGet" in probe and isinstance(path, str)
            if asks and (served is None or _number(port_of(probe), container) in served):
                found.setdefault(key, Probed(path, f"{word} of {kind_of(workload)}"))
    if page := found.get("ready", found.get("live")):
        found["health"] = page
    return found


def _at_pod(port: ServicePort) -> int | str:
    return port.port if port.target_port is None else port.target_port


def _number(port: int | str | None, container: Container) -> int | str | None:
    named = {one.name: one.container_port for one in container.ports}
    return named.get(port, port) if isinstance(port, str) else port


def _below(prefix: str, probed: Mapping[str, Probed]) -> Mapping[str, Probed]:
    """The pages that lie under the path of an Ingress, which passes paths on as they are."""
    return {
        key: Probed(one.path.removeprefix(prefix), one.source)
        for key, one in probed.items()
        if one.path.startswith(f"{prefix}/")
    }
