"""How many pods of a workload fit into its quotas and onto the nodes, by their requests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from readiness.areas.scaling.kubernetes.objects import (
    Container,
    LimitRange,
    Node,
    NodeTerm,
    Pod,
    PodSpec,
    ResourceQuota,
    Taint,
    Toleration,
)
from readiness.areas.scaling.kubernetes.parts import Quantity, amount, holds
from readiness.areas.scaling.kubernetes.view import ENDED, View
from readiness.model import figures
from readiness.model.errors import NoData

Amounts = dict[str, Fraction]
_ALWAYS: Final = "Always"
_KEEPS_AWAY: Final = {"NoSchedule", "NoExecute"}
_NAME: Final = "metadata.name"
_PODS: Final = "pods"
# The lines of a quota for requests: `kubernetes.io/docs/concepts/policy/resource-quotas`.
_REQUESTS: Final = {
    "cpu": "cpu",
    "requests.cpu": "cpu",
    "memory": "memory",
    "requests.memory": "memory",
}
_LIMITS: Final = {"limits.cpu": "cpu", "limits.memory": "memory"}
# Quotas with these scopes apply to the pods, which have no deadline and have requests.
_OURS: Final = {"NotTerminating", "NotBestEffort"}
_NOT_OURS: Final = {"Terminating", "BestEffort"}


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests and limits of a container by resource, with defaults filled in.

    Attributes:
        ends: whether it ends before the others start (an init container that is not a sidecar).
    """

    name: str
    requests: Amounts
    limits: Amounts
    ends: bool = False


def asked(spec: PodSpec, ranges: Sequence[LimitRange]) -> list[Asked]:
    """Every container of a pod, in the order of their start; NoData if a quantity is not valid.

    An init container that is always restarted is a sidecar, and runs as long as the pod does:
    `kubernetes.io/docs/concepts/workloads/pods/sidecar-containers`.
    """
    return [
        *(_asked(c, ranges, ends=c.restart_policy != _ALWAYS) for c in spec.init_containers),
        *(_asked(container, ranges, ends=False) for container in spec.containers),
    ]


def _asked(container: Container, ranges: Sequence[LimitRange], *, ends: bool) -> Asked:
    """Its own values first; then its limit as the request; then the LimitRange.

    The order is that of the API server: `SetDefaults_Pod` fills a request from the container's
    own limit before the plugin LimitRanger sees it
    (`kubernetes.io/docs/concepts/policy/limit-range`).
    """
    limits = _amounts(container.resources.limits)
    requests = limits | _amounts(container.resources.requests)
    for item in (item for one in ranges for item in one.spec.limits if item.type == "Container"):
        # `SetDefaults_LimitRangeItem`: defaults that are left out follow from max and min.
        default = _amounts(item.max) | _amounts(item.default)
        limits = default | limits
        requests = _amounts(item.min) | default | _amounts(item.default_request) | requests
    return Asked(container.name, requests, limits, ends)


def whole(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """What the scheduler reserves for one pod.

    The sum of all containers that stay, or the peak while the pod starts, whichever is more, and
    the overhead of its runtime; or the pod's own request (`spec.resources`).
    """
    containers = asked(spec, ranges)
    total: Amounts = {}
    peak: Amounts = {}
    for container in containers:
        together = added(total, container.requests)
        if container.ends:
            peak = _larger(peak, together)
        else:
            total = together
    found = _larger(total, peak)
    if spec.resources:
        found |= _amounts(spec.resources.limits) | _amounts(spec.resources.requests)
    return added(found, _amounts(spec.overhead))


def limits(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """The sum of the limits of the containers that stay."""
    found: Amounts = {}
    for container in asked(spec, ranges):
        if not container.ends:
            found = added(found, container.limits)
    return found


def lacking(
    spec: PodSpec, ranges: Sequence[LimitRange], resource: str, *, limit: bool = False
) -> list[str]:
    """Containers that stay and have no request (or no limit) of a resource.

    One without a request makes the utilization of the whole pod unknown: `calculatePodRequests` in
    pkg/controller/podautoscaler/replica_calculator.go. A request of zero counts as none.
    """
    own = spec.resources
    if own and _amounts(own.limits if limit else own.requests | own.limits).get(resource):
        return []
    return [
        container.name
        for container in asked(spec, ranges)
        if not container.ends
        and not (container.limits if limit else container.requests).get(resource)
    ]


def added(first: Amounts, second: Mapping[str, Fraction]) -> Amounts:
    """The sum by resource."""
    return {
        key: first.get(key, Fraction()) + second.get(key, Fraction()) for key in {*first, *second}
    }


def summed(all_of: Iterable[Amounts]) -> Amounts:
    """The sum of many by resource."""
    found: Amounts = {}
    for one in all_of:
        found = added(found, one)
    return found


def _larger(first: Amounts, second: Amounts) -> Amounts:
    return {
        key: max(first.get(key, Fraction()), second.get(key, Fraction()))
        for key in {*first, *second}
    }


def _amounts(quantities: Mapping[str, Quantity]) -> Amounts:
    return {name: amount(quantity) for name, quantity in quantities.items()}


def takes(node: Node, spec: PodSpec) -> bool:
    """Whether the scheduler may place such a pod on the node.

    `kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node` and `…/taint-and-toleration`.
    Affinity between pods and spread over zones are not considered.

    Raises:
        NoData: a requirement on the node is not understood.
    """
    if node.spec.unschedulable or not _is_ready(node):
        return False
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    taints = [taint for taint in node.spec.taints if taint.effect in _KEEPS_AWAY]
    if not all(_is_tolerated(taint, spec.tolerations) for taint in taints):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity else None
    if affinity is None or affinity.required is None:
        return True
    return any(_holds(term, node) for term in affinity.required.node_selector_terms)


def _is_ready(node: Node) -> bool:
    """A node that does not report the condition is not ready."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def _is_tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(
        (not one.effect or one.effect == taint.effect)
        and (not one.key or one.key == taint.key)
        and (one.operator == "Exists" or (one.key == taint.key and one.value == taint.value))
        for one in tolerations
    )


def _holds(term: NodeTerm, node: Node) -> bool:
    """All of its requirements; an empty term matches no node."""
    fields = {_NAME: node.metadata.name}
    return bool(term.match_expressions or term.match_fields) and (
        all(holds(one, node.metadata.labels) for one in term.match_expressions)
        and all(holds(one, fields) for one in term.match_fields)
    )


_COUNTS: Final = {_PODS, "count/pods"}


@dataclass(frozen=True, slots=True)
class Room:
    """How many of the workload's pods fit, with those that run already.

    Attributes:
        where: the quota or the nodes.
        why: the figures that it follows from.
    """

    where: str
    pods: int
    why: str


def quota_room(view: View) -> list[Room]:
    """The room in each line of each quota of the namespace that pods count against.

    Raises:
        NoData: a quota has a scope that is not understood, or a quantity is not valid.
    """
    return [
        room
        for quota in view.quotas
        if _applies(quota)
        for name in sorted(quota.spec.hard)
        if (room := _line(view, quota, name)) is not None
    ]


def _applies(quota: ResourceQuota) -> bool:
    scopes = set(quota.spec.scopes)
    if scopes & _NOT_OURS:
        return False
    if scopes - _OURS or quota.spec.scope_selector:
        raise NoData(
            "its scope is not understood here: whether it applies to these pods is unknown",
            where=f"ResourceQuota {quota.metadata.name}",
            remedy="mark scaling.capacity not applicable, and give what you know of the quota",
        )
    return True


def _line(view: View, quota: ResourceQuota, name: str) -> Room | None:
    one = _of_one_pod(view, name)
    if one is None:
        return None
    hard = amount(quota.spec.hard[name])
    others = Fraction()
    if quota.status.used is not None:
        used = amount(quota.status.used.get(name, 0))
        others = max(Fraction(), used - one * view.workload.status.replicas)
    where = f"ResourceQuota {quota.metadata.name} {name}"
    total, taken, each = (_figure(name, value) for value in (hard, others, one))
    why = f"of {total} others use {taken}, and one pod uses {each}"
    if not one:
        # A quota on a resource that a pod does not request refuses the pod.
        return Room(where, 0, f"the pods request none of it, and are refused: {why}")
    return Room(where, max(0, int((hard - others) // one)), why)


def _of_one_pod(view: View, name: str) -> Fraction | None:
    """What one pod uses of a line of a quota; None if pods do not count against it."""
    spec = view.pod
    if name in _COUNTS:
        return Fraction(1)
    if name in _REQUESTS:
        return whole(spec, view.ranges).get(_REQUESTS[name], Fraction())
    if name in _LIMITS:
        return limits(spec, view.ranges).get(_LIMITS[name], Fraction())
    return None


def node_room(view: View) -> Room:
    """The room on all nodes that accept such pods, beside the pods that run there now.

    Raises:
        NoData: the pods of other namespaces are not known, or a quantity is not valid.
    """
    # System pods run on every node: the pods of one namespace are not all.
    place = view.workload.metadata.namespace
    if all(pod.metadata.namespace == place for pod in view.pods):
        raise NoData(
            "the nodes are known, but not what other namespaces run on them",
            where=view.side,
            remedy="add the pods: kubectl get nodes,pods -A -o json",
        )
    spec = view.pod
    one = whole(spec, view.ranges)
    fits, open_nodes = 0, 0
    for node in view.nodes:
        if not takes(node, spec):
            continue
        open_nodes += 1
        others = [pod for pod in view.pods if _is_beside(view, pod, node.metadata.name)]
        used = added(summed(whole(pod.spec, ()) for pod in others), {_PODS: Fraction(len(others))})
        has = {key: amount(quantity) for key, quantity in node.status.allocatable.items()}
        fits += _times(one, has, used)
    return Room(
        "the nodes",
        fits,
        f"{open_nodes} of {len(view.nodes)} nodes accept such pods; one requests {_shown(one)}",
    )


def largest_node(view: View) -> Room:
    """The room on the largest node if it were empty, for a cluster that adds nodes like it."""
    spec = view.pod
    one = whole(spec, view.ranges)
    fits = [
        _times(one, {k: amount(q) for k, q in node.status.allocatable.items()}, {})
        for node in view.nodes
        if takes(node, spec)
    ]
    return Room("the largest empty node", max(fits, default=0), f"one requests {_shown(one)}")


def nodes_in_use(view: View) -> list[str]:
    """The node of each of the workload's pods."""
    return [
        pod.spec.node_name
        for pod in view.pods
        if view.owns(pod) and pod.spec.node_name and pod.status.phase not in ENDED
    ]


def _is_beside(view: View, pod: Pod, node: str) -> bool:
    """Whether it is another workload's pod that runs on the node."""
    there = pod.spec.node_name == node and pod.status.phase not in ENDED
    return there and not view.owns(pod)


def _times(one: Amounts, has: Mapping[str, Fraction], used: Mapping[str, Fraction]) -> int:
    """How many pods fit into what is free; a resource that a node does not report is 0."""
    wanted = {key: value for key, value in one.items() if value} | {_PODS: Fraction(1)}
    free = {key: has.get(key, Fraction()) - used.get(key, Fraction()) for key in wanted}
    return max(0, min(int(free[key] // value) for key, value in wanted.items()))


def _shown(amounts: Amounts) -> str:
    return ", ".join(f"{name} {_figure(name, v)}" for name, v in sorted(amounts.items())) or "-"


def _figure(resource: str, value: Fraction) -> str:
    unit = "bytes" if resource.endswith(("memory", "storage")) else "count"
    return figures.quantity(float(value), unit)
