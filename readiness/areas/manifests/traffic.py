"""How requests reach pods: Services, Ingresses with what they limit, and network policies."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.manifests.workloads import Side, Workload, is_in, selected
from readiness.lib.kubernetes import pods
from readiness.lib.kubernetes.objects import (
    BackendService,
    Ingress,
    IngressSpec,
    NetworkPolicy,
    Service,
)
from readiness.lib.kubernetes.parts import selects
from readiness.model.errors import NoData

_EXTERNAL: Final = "ExternalName"
_INGRESS: Final = "Ingress"
_CLASS: Final = "kubernetes.io/ingress.class"
_NGINX: Final = "nginx.ingress.kubernetes.io/"
# Certificates that a cloud's load balancer has, and no Secret.
_OF_THE_CLOUD: Final = (
    "alb.ingress.kubernetes.io/certificate-arn",
    "networking.gke.io/managed-certificates",
    "ingress.gcp.kubernetes.io/pre-shared-cert",
)
_UNLIMITED: Final = float("inf")
_BURST: Final = 5
_BODY: Final = 1024 * 1024
_SIZE: Final = re.compile(r"(?P<number>\d{1,15})(?P<unit>[kKmMgG]?)")
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def idle(side: Side) -> list[str]:
    """Services that select no pod of any workload."""
    return [
        f"service/{one.metadata.name}"
        for one in side.of(Service)
        if one.spec.selector and one.spec.type != _EXTERNAL and not selected(one, side.workloads)
    ]


def _listens(workload: Workload, port: int | str) -> bool | None:
    """Whether a container listens on a port, as far as it declares; None: it declares none.

    The number of an undeclared port works, too, so that a probe of it counts as declared.
    """
    ports = [one for container in workload.staying for one in container.ports]
    if any(port in {one.name, one.container_port} for one in ports):
        return True
    asked = (
        probe
        for container in workload.staying
        for probe in (container.readiness_probe, container.liveness_probe)
    )
    if any(pods.port_of(probe or {}) == port for probe in asked):
        return True
    if isinstance(port, str) or any(not pods.is_beside(one) for one in ports):
        return False
    return None


def _targets(service: Service) -> list[int | str]:
    return [one.port if one.target_port is None else one.target_port for one in service.spec.ports]


def unheard(side: Side) -> list[str]:
    """Ports of Services on which none of the selected pods listens."""
    return [
        f"service/{service.metadata.name}: port {port} of {', '.join(map(str, found))}"
        for service in side.of(Service)
        if (found := selected(service, side.workloads))
        for port in _targets(service)
        if all(_listens(one, port) is False for one in found)
    ]


def strangers(side: Side) -> list[str]:
    """Workloads whose pods get requests that others of the same Service are for.

    Those that listen on none of its ports, while another one does, and those that end.
    """
    return [
        f"service/{service.metadata.name} also selects {one}"
        for service in side.of(Service)
        if len(found := selected(service, side.workloads)) > 1
        for one in found
        if any(_hears(other, service) for other in found if other is not one)
        and (one.ends or not _hears(one, service))
    ]


def _hears(workload: Workload, service: Service) -> bool:
    return any(_listens(workload, port) for port in _targets(service))


def without_tls(side: Side) -> list[str]:
    """Hosts of Ingresses that no certificate is declared for: an empty `tls` is none."""
    return [
        f"ingress/{one.metadata.name}: {host or 'all hosts'}"
        for one in side.of(Ingress)
        if not any(name in one.metadata.annotations for name in _OF_THE_CLOUD)
        for host in _hosts(one.spec)
        if not _is_certified(host, one.spec)
    ]


def _hosts(spec: IngressSpec) -> list[str]:
    hosts = [rule.host for rule in spec.rules]
    return list(dict.fromkeys([*hosts, ""] if spec.default_backend or not hosts else hosts))


def _is_certified(host: str, spec: IngressSpec) -> bool:
    """`hosts` that are left out are all of them; a rule without a host needs that."""
    for one in spec.tls:
        if not one.hosts and one.secret_name:
            return True
        if host and any(host == name or _is_under(host, name) for name in one.hosts):
            return True
    return False


def _is_under(host: str, wildcard: str) -> bool:
    """`a.example.com` is under `*.example.com`, and `a.b.example.com` is not."""
    return wildcard.startswith("*.") and host.partition(".")[2] == wildcard[2:]


def unredirected(side: Side) -> list[str]:
    """Ingresses of nginx with TLS that still serve plain HTTP: the redirect was turned off."""
    return [
        f"ingress/{one.metadata.name}"
        for one in side.of(Ingress)
        if one.spec.tls
        and one.metadata.annotations.get(f"{_NGINX}ssl-redirect") == "false"
        and one.metadata.annotations.get(f"{_NGINX}force-ssl-redirect") != "true"
    ]


def backendless(side: Side) -> list[str]:
    """Services and ports that Ingresses send requests to, and that do not exist."""
    return [
        f"ingress/{one.metadata.name}: {backend.name}:{backend.port.name or backend.port.number}"
        for one in side.of(Ingress)
        for backend in _backends(one.spec)
        if not _exists(backend, side.near(Service, one.metadata.namespace))
    ]


def _backends(spec: IngressSpec) -> Iterator[BackendService]:
    paths = [path.backend for rule in spec.rules for path in rule.http.paths]
    for backend in [spec.default_backend, *paths]:
        if backend and backend.service:
            yield backend.service


def _exists(backend: BackendService, services: Iterable[Service]) -> bool:
    port = backend.port
    return any(
        one.metadata.name == backend.name
        and (
            one.spec.type == _EXTERNAL
            or any(p.port == port.number or (port.name and p.name == port.name)
                   for p in one.spec.ports)
        )
        for one in services
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What an Ingress accepts, as its controller understands the annotations.

    Attributes:
        name: the Ingress.
        first_minute: requests of one client that each replica of the controller accepts in the
            first minute.
        why: how that follows.
        body: bytes of the largest body.
    """

    name: str
    first_minute: float
    why: str
    body: float


def limits(ingress: Ingress) -> Limits:
    """The limits of an Ingress of ingress-nginx.

    The burst comes first: five times the rate by default, without a delay
    (`docs/user-guide/nginx-configuration/annotations.md`, "Rate Limiting"). The default body size
    is 1 MiB, and 0 is no limit ("Custom max body size").

    Raises:
        NoData: it is of another class, whose limits are declared elsewhere; or a value is not
            valid.
    """
    given = ingress.metadata.annotations
    name = f"ingress/{ingress.metadata.name}"
    kind = ingress.spec.ingress_class_name or given.get(_CLASS, "")
    ours = {key.removeprefix(_NGINX): v for key, v in given.items() if key.startswith(_NGINX)}
    if not ours and "nginx" not in kind:
        raise NoData(
            f"the limits of an Ingress of class {kind or 'default'} are not declared in it",
            where=name,
            remedy="measure them: security.rate-limit and security.body-limit",
        )
    minute, why = _first_minute(ours, name)
    return Limits(name, minute, why, _bytes(ours.get("proxy-body-size", ""), name))


def _first_minute(ours: Mapping[str, str], name: str) -> tuple[float, str]:
    factor = _number(ours.get("limit-burst-multiplier", str(_BURST)), name)
    found = []
    for key, minutes in (("limit-rpm", 1), ("limit-rps", 60)):
        if rate := _number(ours.get(key, "0"), name):
            text = f"{key} {rate} with a burst of {rate * factor}"
            found.append((rate * minutes + rate * factor, text))
    return min(found, default=(_UNLIMITED, "neither limit-rpm nor limit-rps is set"))


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise NoData("a rate of the Ingress is not a whole number", where=name)
    return int(text)


def _bytes(text: str, name: str) -> float:
    if not text:
        return _BODY
    found = _SIZE.fullmatch(text)
    if found is None:
        raise NoData("proxy-body-size is not a valid size", where=name, remedy="write 10m")
    size = int(found["number"]) * _UNITS[found["unit"].lower()]
    return size or _UNLIMITED


def unisolated(side: Side) -> list[str]:
    """Workloads that no network policy isolates: every pod of the cluster reaches them."""
    return [str(one) for one in _on_the_network(side) if not _policies(side, one)]


def wide_open(side: Side) -> list[str]:
    """Workloads whose policies let everything through: a rule without peers and ports."""
    return [
        f"{one} by networkpolicy/{policy.metadata.name}"
        for one in _on_the_network(side)
        for policy in _policies(side, one)
        if any(not rule.from_ and not rule.ports for rule in policy.spec.ingress)
    ]


def _on_the_network(side: Side) -> Sequence[Workload]:
    """Policies do not concern pods on the network of their node."""
    return [one for one in side.workloads if not one.pod.host_network]


def _policies(side: Side, workload: Workload) -> list[NetworkPolicy]:
    return [
        one
        for one in side.of(NetworkPolicy)
        if is_in(one.metadata.namespace, workload.namespace)
        and _concerns_ingress(one)
        and selects(one.spec.pod_selector, workload.labels)
    ]


def _concerns_ingress(policy: NetworkPolicy) -> bool:
    """`policyTypes` is [Ingress] by default, with Egress where there are such rules."""
    return not policy.spec.policy_types or _INGRESS in policy.spec.policy_types
