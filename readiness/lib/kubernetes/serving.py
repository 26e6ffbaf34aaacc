"""Which containers of a pod serve requests, and so must have a readiness probe."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from readiness.lib import shell
from readiness.lib.kubernetes.objects import Container, Port, Service, ServicePort, Workload

_CHOSEN: Final = "kubectl.kubernetes.io/default-container"
_SIDECAR: Final = re.compile(
    r"envoy.*|.+-proxy(-\w+)?|.*-agent|consul-dataplane|daprd|.*-exporter"
    r"|exporter|fluent-?bit|fluentd|filebeat|promtail|vault-agent|.*-sidecar|config-reloader|.*reloader"
)
_SIDE_PORT: Final = re.compile(r"(?i).*(metric|prom|health|probe|admin|debug|pprof|monitor).*")


def unprobed(workload: Workload, services: Iterable[Service]) -> list[str]:
    """Containers that serve, and have no readiness probe that can fail.

    Those that a Service sends requests to, by the name or number of the port; if that is unknown,
    the main one.
    """
    spec = workload.spec.template.spec
    # A sidecar that starts before the others may serve, too.
    everything = [*spec.containers, *(one for one in spec.init_containers if one.restart_policy)]
    served = list(dict.fromkeys(_targets(services, everything)))
    names = served or [_main(workload, spec.containers)]
    probed = {one.name for one in everything if can_fail(one.readiness_probe)}
    # A proxy in front of the main container passes on what that one can serve.
    if all(map(_SIDECAR.fullmatch, names)) and _main(workload, spec.containers) in probed:
        return []
    return [name for name in names if name and name not in probed]


def can_fail(probe: Mapping[str, Any] | None) -> bool:
    """Whether there is such a probe, and it may fail."""
    words = command_of(probe or {})
    return bool(probe) and (not words or shell.command_can_fail(words))


def command_of(probe: Mapping[str, Any]) -> list[str]:
    """The command that a probe runs; empty if it asks by network."""
    command = handler_of(probe, "exec").get("command")
    return [str(word) for word in command] if isinstance(command, list) else []


def handler_of(probe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a probe or a hook asks in one of the ways; empty if it asks in another one."""
    found = probe.get(name)
    return found if isinstance(found, Mapping) else {}


def port_of(probe: Mapping[str, Any]) -> int | str | None:
    """The number or name of the port that a probe asks; None if it asks none."""
    for handler in ("httpGet", "tcpSocket", "grpc"):
        port = handler_of(probe, handler).get("port")
        if isinstance(port, int | str) and not isinstance(port, bool):
            return int(port) if str(port).isdecimal() else port
    return None


def unanswered(workload: Workload) -> Iterator[str]:
    """Readiness probes of a named port that the container does not have: it is never ready."""
    for one in workload.spec.template.spec.containers:
        port = port_of(one.readiness_probe or {})
        if is_unknown(port, one):
            yield f"{one.name} (port {port})"


def is_unknown(port: int | str | None, container: Container) -> bool:
    """Whether a port is a name that the container does not declare."""
    return isinstance(port, str) and port not in {one.name for one in container.ports}


def is_beside(port: Port) -> bool:
    """Whether a port is for metrics, health or debugging, by its name."""
    return bool(_SIDE_PORT.fullmatch(port.name))


def _targets(services: Iterable[Service], containers: Iterable[Container]) -> Iterable[str]:
    listening = list(containers)
    for service in services:
        ports = service.spec.ports
        main = [one for one in ports if not _SIDE_PORT.fullmatch(one.name)] or ports
        for port in main:
            yield from (one.name for one in listening if _listens(one, port))


def _listens(container: Container, port: ServicePort) -> bool:
    wanted = port.port if port.target_port is None else port.target_port
    return any(wanted in (one.name, one.container_port) for one in container.ports)


def _main(workload: Workload, containers: list[Container]) -> str:
    """The container that kubectl takes by default, or is called like the workload, or the first.

    Of several, those that declare a port, and not those that are known to stand beside another.
    """
    template = workload.spec.template
    chosen = template.metadata.annotations.get(_CHOSEN, "")
    by_name = {one.name: one for one in containers}
    for name in (chosen, workload.metadata.name):
        if name in by_name:
            return name
    mains = [one for one in containers if not _SIDECAR.fullmatch(one.name)] or containers
    listening = [one for one in mains if any(not _SIDE_PORT.fullmatch(p.name) for p in one.ports)]
    return next((one.name for one in listening or mains), "")
