"""What the pods of a workload may do, where they run, and what the API server refuses of them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from readiness.areas.manifests.workloads import Side, Workload
from readiness.lib.kubernetes import pods
from readiness.lib.kubernetes.definitions import Tables
from readiness.lib.kubernetes.inventory import EVERY, Document
from readiness.lib.kubernetes.objects import AwayFrom, ConfigMap, Container, LimitRange, Security
from readiness.lib.kubernetes.parts import selects
from readiness.lib.kubernetes.refusals import mistakes_in, refusals
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


# The scheduler's own constraints (`PodTopologySpread`, `defaultingType: System`) prefer at most
# three pods more on one node than on another: all three of a Deployment may share one.
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


# Those of former releases, too: they are not custom resources.
_OWN: Final = {"", "apps", "autoscaling", "batch", "policy", "extensions"}


def _is_own(document: Document, fields: Tables) -> bool:
    groups = {kind.partition(" ")[0].rpartition("/")[0] for kind in fields.kinds}
    return document.group in groups | _OWN


def judged(side: Side, fields: Tables) -> list[Document]:
    """The documents of Kubernetes' own kinds; live ones were accepted already.

    Those of workloads in [scaling.NAME] are judged by scaling.manifests.
    """
    covered = {(one.kind, one.name) for one in side.workloads if one.is_covered}
    return [
        one
        for one in side.documents
        if not one.is_live and _is_own(one, fields) and (one.kind, one.name) not in covered
    ]


def custom(side: Side, fields: Tables) -> list[str]:
    """The kinds of other projects, whose fields only their definitions know."""
    kinds = {one.kind for one in side.documents if not one.is_live and not _is_own(one, fields)}
    return sorted(kinds)


def _shown(document: Document) -> str:
    return f"{document.where}: {document.kind} {document.name or '?'}"


def unserved(documents: Iterable[Document], fields: Tables) -> list[str]:
    """Objects of a version, or a kind, that the release does not have."""
    return [
        f"{_shown(one)} of {one.api_version}"
        for one in documents
        if f"{one.api_version} {one.kind}" not in fields.kinds
    ]


def refused(side: Side, documents: Sequence[Document], fields: Tables) -> list[str]:
    """What the API server refuses, each with its place."""
    found = [f"{_shown(one)}: {what}" for one in documents for what in _refused(one, fields)]
    known = {id(one) for one in documents}
    broken = [one for one in side.broken if id(one.document) in known]
    told = {text.partition(": ")[0] for text in found}
    found += [
        f"{_shown(one.document)}: {one.error.message}"
        for one in broken
        if one.document.where not in told
    ]
    return list(dict.fromkeys(found))


def _refused(document: Document, fields: Tables) -> list[str]:
    wrong = mistakes_in(document, fields)
    found = [str(one) for one in wrong if not one.unknown]
    # The rules are known of the kinds that have a model.
    rules = refusals(document) if (document.group, document.kind) in EVERY else []
    return [*found, *rules]


def unknown(documents: Iterable[Document], fields: Tables) -> list[str]:
    """Fields that do not exist: `strict decoding error: unknown field`."""
    return [
        f"{_shown(document)}: {one}"
        for document in documents
        for one in mistakes_in(document, fields)
        if one.unknown
    ]
