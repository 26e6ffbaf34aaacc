"""What the pods of a workload may do, by the defaults of Kubernetes; each finding names where."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from readiness.areas.manifests.workloads import Side, Workload
from readiness.lib.kubernetes import pods
from readiness.lib.kubernetes.objects import AwayFrom, ConfigMap, Container, LimitRange, Security
from readiness.lib.kubernetes.parts import selects
from readiness.lib.kubernetes.resources import lacking
from readiness.lib.plain_secrets import in_arguments, in_text, in_variables

_SOCKET: Final = re.compile(r".*\.sock")
_FILTERED: Final = {"RuntimeDefault", "Localhost"}
_ALL: Final = "ALL"
# What Pod Security Standards, "restricted", lets be added.
_MAY_ADD: Final = {"NET_BIND_SERVICE", "CAP_NET_BIND_SERVICE"}


def moving_images(workloads: Iterable[Workload]) -> list[str]:
    """Containers whose image has no tag, or `latest`, and no digest."""
    return [
        f"container {name} of {one}"
        for one in workloads
        if not one.is_covered
        for name in pods.moving_images(one.pod)
    ]


def privileged(workloads: Iterable[Workload]) -> list[str]:
    """Containers that may do everything on their node."""
    return [
        f"container {name} of {one}"
        for one in workloads
        if not one.is_covered
        for name in pods.privileged(one.pod)
    ]


def on_the_node(workloads: Iterable[Workload]) -> list[str]:
    """Pods that use the node's files, network or processes.

    Agents on each node read its files and its network, which is what they are for; none needs to
    write to its system folders, or the socket of its container runtime.
    """
    return [f"{one}: {what}" for one in workloads for what in _uses_of_node(one)]


def _uses_of_node(workload: Workload) -> Iterator[str]:
    pod = workload.pod
    if not workload.on_each_node:
        yield from ["hostNetwork"] if pod.host_network else []
        ports = [port.host_port for one in workload.containers for port in one.ports]
        yield from (f"hostPort {port}" for port in ports if port and not pod.host_network)
    yield from ["hostIPC"] if pod.host_ipc else []
    known = set(pods.node_volumes(pod)) if workload.is_covered else set()
    for volume in pod.volumes:
        path = volume.host_path.path if volume.host_path else None
        if path is None or f"{volume.name}: {path}" in known:
            continue
        if not workload.on_each_node or _SOCKET.fullmatch(path) or _writes(workload, volume.name):
            yield f"hostPath {path}"


def _writes(workload: Workload, volume: str) -> bool:
    system = any(one.startswith(f"{volume}: ") for one in pods.node_volumes(workload.pod))
    mounts = (m for c in workload.containers for m in c.volume_mounts if m.name == volume)
    return system and any(not one.read_only for one in mounts)


def as_root(workloads: Iterable[Workload]) -> list[str]:
    """Containers that run as root, or may: nothing says that they do not.

    The default is the user of the image, which the API server does not know. In a user namespace
    of its own (`hostUsers: false`), root is nobody on the node.
    """
    return [
        f"container {container.name} of {one}{why}"
        for one in workloads
        if one.pod.host_users is not False
        for container in one.containers
        if (why := _root(container.security_context, one.pod.security_context))
    ]


def _root(own: Security, pod: Security) -> str:
    user = pod.run_as_user if own.run_as_user is None else own.run_as_user
    if user == 0:
        return " has runAsUser 0"
    never = pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root
    return "" if user or never else " has neither runAsNonRoot nor runAsUser"


def writable(workloads: Iterable[Workload]) -> list[str]:
    """Containers whose root file system can be written to, as is the default."""
    return _containers(workloads, lambda c, _: not c.security_context.read_only_root_filesystem)


def escalating(workloads: Iterable[Workload]) -> list[str]:
    """Containers whose processes may get more rights than their parent, as is the default.

    `allowPrivilegeEscalation: false` has no effect on a privileged one.
    """
    return _containers(
        workloads, lambda c, _: c.security_context.allow_privilege_escalation is not False
    )


def capable(workloads: Iterable[Workload]) -> list[str]:
    """Containers that keep capabilities that the runtime gives by default, or get more."""
    return _containers(workloads, lambda c, _: not _drops_all(c))


def _drops_all(container: Container) -> bool:
    found = container.security_context.capabilities
    return _ALL in {one.upper() for one in found.drop} and _MAY_ADD.issuperset(found.add)


def unfiltered(workloads: Iterable[Workload]) -> list[str]:
    """Containers that may make any system call: seccomp is off unless it is asked for."""
    return _containers(workloads, lambda c, pod: not _is_filtered(c.security_context, pod))


def _is_filtered(own: Security, pod: Security) -> bool:
    profile = own.seccomp_profile or pod.seccomp_profile
    return profile is not None and profile.type in _FILTERED


def _containers(
    workloads: Iterable[Workload], is_wrong: Callable[[Container, Security], bool]
) -> list[str]:
    return [
        f"container {container.name} of {one}"
        for one in workloads
        for container in one.containers
        if is_wrong(container, one.pod.security_context)
    ]


def secret_variables(workloads: Iterable[Workload]) -> list[str]:
    """Variables with a secret in plain text."""
    return [
        f"container {container.name} of {one}: {name}"
        for one in workloads
        if not one.is_covered
        for container in one.containers
        for name in in_variables({v.name: v.value or "" for v in container.env})
    ]


def secret_arguments(workloads: Iterable[Workload]) -> list[str]:
    """Arguments with a secret in plain text: everybody on the node sees them, too."""
    return [
        f"container {container.name} of {one}: {what}"
        for one in workloads
        for container in one.containers
        for what in in_arguments([*container.command, *container.args])
    ]


def secret_settings(side: Side) -> list[str]:
    """Keys and lines of ConfigMaps with a secret in plain text."""
    return [
        f"configmap/{one.metadata.name}: {what}"
        for one in side.of(ConfigMap)
        for key, text in one.data.items()
        for what in in_text(key, text)
    ]


def without(side: Side, resource: str, *, limit: bool = False) -> list[str]:
    """Containers without a request, or a limit, of a resource, after the LimitRanges.

    Raises:
        NoData: a quantity is not valid.
    """
    return [
        f"container {name} of {one}"
        for one in side.workloads
        if not one.is_covered
        for name in lacking(one.pod, side.near(LimitRange, one.namespace), resource, limit=limit)
    ]


NODE: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"


def _rules(workload: Workload) -> Iterator[tuple[str, AwayFrom]]:
    """Its rules that keep pods apart: spread constraints, and anti-affinity."""
    for spread in workload.pod.topology_spread_constraints:
        yield "topologySpreadConstraints", spread
    affinity = workload.pod.affinity
    apart = affinity.pod_anti_affinity if affinity else None
    for term in apart.required if apart else []:
        yield "podAntiAffinity", term
    for preferred in apart.preferred if apart else []:
        yield "podAntiAffinity", preferred.pod_affinity_term


def replicated(workloads: Iterable[Workload]) -> list[Workload]:
    """The workloads with two replicas or more, which are to be kept apart."""
    return [one for one in workloads if one.replicas > 1 and one.source and not one.on_each_node]


def together(workloads: Iterable[Workload], keys: Iterable[str]) -> list[str]:
    """Workloads without a rule of one of these topologies that concerns their pods."""
    wanted = set(keys)
    return [
        str(one)
        for one in workloads
        if not any(
            rule.topology_key in wanted and selects(rule.label_selector, one.labels)
            for _, rule in _rules(one)
        )
    ]


def without_effect(workloads: Iterable[Workload]) -> list[str]:
    """Spread constraints that do not count the workload's own pods."""
    return [
        f"{one}: {name} of {rule.topology_key}"
        for one in workloads
        for name, rule in _rules(one)
        if name == "topologySpreadConstraints" and not selects(rule.label_selector, one.labels)
    ]
