"""What a pod template says outright that is not safe to run."""

import re
from typing import Final

from readiness.lib.kubernetes.objects import Container, PodSpec
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
