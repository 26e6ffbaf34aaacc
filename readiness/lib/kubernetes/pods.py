"""What a pod template says that is not safe to run, and what serves without a readiness probe."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from readiness.lib import shell
from readiness.lib.kubernetes.objects import (
    Container,
    PodSpec,
    Port,
    Service,
    ServicePort,
    Workload,
)
from readiness.lib.plain_secrets import in_variables

_LATEST: Final = "latest"
MIGHTY: Final = frozenset({"ALL", "SYS_ADMIN", "SYS_MODULE", "CAP_SYS_ADMIN", "CAP_SYS_MODULE"})
"""As good as `privileged`: capabilities(7) on CAP_SYS_ADMIN and CAP_SYS_MODULE."""
_SOCKETS: Final = re.compile(r".*\.sock")
CONTROLS_THE_NODE: Final = frozenset({
    "", "/etc", "/root", "/proc", "/boot", "/var", "/var/run", "/run", "/var/lib", "/usr",
    "/var/lib/kubelet", "/var/lib/docker", "/var/lib/containerd", "/etc/kubernetes", "/dev",
})  # fmt: skip
"""Folders: whoever may write there controls the node, or reads the secrets of its other pods."""


def moving_images(spec: PodSpec) -> list[str]:
    """Containers whose image has no tag, or `latest`, and no digest."""
    return [one.name for one in _all(spec) if one.image and moves(one.image)]


def moves(image: str) -> bool:
    """Whether an image has no tag, or `latest`, and no digest."""
    name, digest, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return not digest and tag in {"", _LATEST}


def privileged(spec: PodSpec) -> list[str]:
    """Containers that may do everything on their node, and those that see its processes."""
    found = [
        one.name
        for one in _all(spec)
        if one.security_context.privileged
        or not MIGHTY.isdisjoint(one.security_context.capabilities.add)
    ]
    return [*found, *(["all of them, by hostPID"] if spec.host_pid else [])]


def as_root(spec: PodSpec) -> list[str]:
    """Containers that run as root because the manifest says so."""
    pod = spec.security_context.run_as_user
    return [
        one.name
        for one in _all(spec)
        if (pod if one.security_context.run_as_user is None else one.security_context.run_as_user)
        == 0
    ]


def controls_the_node(path: str) -> bool:
    """Whether a path of the node is a socket, or one of its system folders."""
    return path.rstrip("/") in CONTROLS_THE_NODE or bool(_SOCKETS.fullmatch(path))


def node_volumes(spec: PodSpec) -> list[str]:
    """Volumes that are the node's own: sockets of its runtime, and its system folders."""
    return [
        f"{one.name}: {one.host_path.path}"
        for one in spec.volumes
        if one.host_path
        and (
            one.host_path.path.rstrip("/") in CONTROLS_THE_NODE
            or _SOCKETS.fullmatch(one.host_path.path)
        )
    ]


def plain_secrets(spec: PodSpec) -> list[str]:
    """Variables that hold a secret, by their names or by its form; no value."""
    return [
        f"{one.name}: {name}"
        for one in _all(spec)
        for name in in_variables({variable.name: variable.value or "" for variable in one.env})
    ]


def _all(spec: PodSpec) -> list[Container]:
    return [*spec.init_containers, *spec.containers]


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
