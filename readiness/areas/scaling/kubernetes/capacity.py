"""How many pods of a workload fit into its quotas and onto the nodes, by their requests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from readiness.areas.scaling.kubernetes.view import ENDED, View
from readiness.lib.kubernetes.objects import (
    Claim,
    LimitItem,
    LimitRange,
    Node,
    NodeTerm,
    Pod,
    PodSpec,
    ResourceQuota,
    Scope,
    Taint,
    Toleration,
)
from readiness.lib.kubernetes.parts import amount, holds
from readiness.lib.kubernetes.resources import Amounts, Asked, amounts_of, asked
from readiness.lib.text import listed
from readiness.model import figures
from readiness.model.errors import NoData

_KEEPS_AWAY: Final = {"NoSchedule", "NoExecute"}
_NAME: Final = "metadata.name"
_PODS: Final = "pods"
_REQUESTS: Final = "requests."
_LIMITS: Final = "limits."
_CLASS: Final = ".storageclass.storage.k8s.io/"
_CLAIMS: Final = "persistentvolumeclaims"
_STORAGE: Final = "storage"
# A container that names none is refused: `validationSet` in pkg/quota/v1/evaluator/core/pods.go.
_COMPUTE: Final = {"cpu", "memory"}
_PLAIN: Final = {"cpu", "memory", "ephemeral-storage"}
_OBJECTS: Final = {"Deployment": "count/deployments.apps", "StatefulSet": "count/statefulsets.apps"}
_REPLICA_SETS: Final = "count/replicasets.apps"


def whole(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """What the scheduler reserves for one pod.

    The sum of all containers that stay, or the peak while the pod starts, whichever is more, and
    the overhead of its runtime; or the pod's own request (`spec.resources`).
    """
    containers = asked(spec, ranges)
    found = _together((one.ends, one.requests) for one in containers)
    if spec.resources:
        found |= amounts_of(spec.resources.limits) | amounts_of(spec.resources.requests)
    return added(found, amounts_of(spec.overhead))


def limits(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """The limits of one pod, added up as its requests are; without overhead if it has none."""
    found = _together((one.ends, one.limits) for one in asked(spec, ranges))
    if spec.resources:
        found |= amounts_of(spec.resources.limits)
    overhead = amounts_of(spec.overhead)
    return added(found, {name: overhead.get(name, Fraction()) for name in found})


def _together(containers: Iterable[tuple[bool, Amounts]]) -> Amounts:
    total: Amounts = {}
    peak: Amounts = {}
    for ends, amounts in containers:
        both = added(total, amounts)
        if ends:
            peak = _larger(peak, both)
        else:
            total = both
    return _larger(total, peak)


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
        wanted: how many must fit; None: all at the peak.
    """

    where: str
    pods: int
    why: str
    wanted: int | None = None


def quota_room(view: View) -> list[Room]:
    """The room in each line of each quota of the namespace that the workload counts against.

    Raises:
        NoData: a quota has a scope that is not understood, or a quantity is not valid.
    """
    view.require("ResourceQuota", "LimitRange")
    return [
        room
        for quota in view.quotas
        if _applies(quota, view)
        for name in sorted(quota.spec.hard)
        if (room := _line(view, quota, name)) is not None
    ]


def _applies(quota: ResourceQuota, view: View) -> bool:
    """Whether a quota counts such pods: `podMatchesScopeFunc` in pkg/quota/v1/evaluator/core."""
    spec = view.pod
    priority = spec.priority_class_name
    held = {
        "Terminating": spec.active_deadline_seconds is not None,
        "NotTerminating": spec.active_deadline_seconds is None,
        "BestEffort": _is_best_effort(spec, view.ranges),
        "NotBestEffort": not _is_best_effort(spec, view.ranges),
        "PriorityClass": bool(priority),
        # Nothing of it is read, and few pods use it.
        "CrossNamespacePodAffinity": False,
    }
    selector = quota.spec.scope_selector
    required = selector.match_expressions if selector else []
    unknown = [*quota.spec.scopes, *(one.scope_name for one in required)]
    if not set(unknown) <= held.keys():
        raise NoData(
            "its scope is not understood here: whether it applies to these pods is unknown",
            where=f"ResourceQuota {quota.metadata.name}",
            remedy="mark scaling.capacity not applicable, and give what you know of the quota",
        )
    return all(held[name] for name in quota.spec.scopes) and all(
        _in_scope(one, priority if one.scope_name == "PriorityClass" else None, held)
        for one in required
    )


def _in_scope(scope: Scope, priority: str | None, held: Mapping[str, bool]) -> bool:
    match scope.operator:
        case "In":
            return priority in scope.values
        case "NotIn":
            return priority not in scope.values
        case "DoesNotExist":
            return not held[scope.scope_name]
        case _:
            return held[scope.scope_name]


def _is_best_effort(spec: PodSpec, ranges: Sequence[LimitRange]) -> bool:
    """Whether no container has a request or a limit of CPU or memory."""
    own = spec.resources
    return not (own and (own.requests or own.limits)) and not any(
        (one.requests | one.limits).get(name) for one in asked(spec, ranges) for name in _COMPUTE
    )


def _line(view: View, quota: ResourceQuota, name: str) -> Room | None:
    hard = amount(quota.spec.hard[name])
    where = f"ResourceQuota {quota.metadata.name} {name}"
    used = quota.status.used
    if name == _REPLICA_SETS or name == _OBJECTS.get(view.workload.kind):
        return _objects(view, where, name, hard)
    kind, resource = _meaning(name)
    without = _without(view, kind, resource)
    if without:
        # The quota's controller refuses the pod.
        return Room(
            where, 0, f"it refuses pods whose containers name none of it: {listed(without)}"
        )
    one = _of_one_pod(view, name, kind, resource)
    if not one:
        return None
    others = Fraction()
    if used is not None:
        taken = amount(used.get(name, 0))
        others = max(Fraction(), taken - one * view.workload.status.replicas)
    figured = [_figure(name, value) for value in (hard, others, one)]
    why = "of {} others use {}, and one pod uses {}".format(*figured)
    return Room(where, max(0, int((hard - others) // one)), why)


def _meaning(name: str) -> tuple[str, str]:
    """Requests, limits or claims, and the resource; empty for what pods do not use."""
    if name in _COUNTS:
        return _PODS, name
    if name.startswith(_LIMITS):
        return _LIMITS, name.removeprefix(_LIMITS)
    if _CLASS in name or name in {_CLAIMS, f"count/{_CLAIMS}", f"{_REQUESTS}{_STORAGE}"}:
        return _CLAIMS, name
    if name in _PLAIN or name.startswith("hugepages-"):
        return _REQUESTS, name
    if name.startswith(_REQUESTS):
        return _REQUESTS, name.removeprefix(_REQUESTS)
    return "", ""


def _without(view: View, kind: str, resource: str) -> list[str]:
    """Containers, also those that end, that name no request (or limit) of a required resource."""
    if kind not in {_REQUESTS, _LIMITS} or resource not in _COMPUTE:
        return []
    own = view.pod.resources
    if own and resource in (own.limits if kind == _LIMITS else own.requests | own.limits):
        return []
    return [
        one.name
        for one in asked(view.pod, view.ranges)
        if resource not in (one.limits if kind == _LIMITS else one.requests)
    ]


def _of_one_pod(view: View, name: str, kind: str, resource: str) -> Fraction | None:
    """What one pod uses of a line of a quota; None if pods do not count against it."""
    match kind:
        case "pods":
            return Fraction(1)
        case "requests.":
            return whole(view.pod, view.ranges).get(resource)
        case "limits.":
            return limits(view.pod, view.ranges).get(resource)
        case "persistentvolumeclaims":
            return _claimed(claims_of(view), name)
        case _:
            return None


def claims_of(view: View) -> list[Claim]:
    """The claims of storage that are made for each pod."""
    ephemeral = [one.ephemeral for one in view.pod.volumes if one.ephemeral]
    made = [one.volume_claim_template for one in ephemeral if one.volume_claim_template]
    return [*view.workload.spec.volume_claim_templates, *made]


def _claimed(claims: Sequence[Claim], name: str) -> Fraction:
    storage_class, of_class, what = name.rpartition(_CLASS)
    counted = [
        one for one in claims if not of_class or one.spec.storage_class_name == storage_class
    ]
    if what.endswith(_CLAIMS):
        return Fraction(len(counted))
    return sum(
        (amounts_of(one.spec.resources.requests).get(_STORAGE, Fraction()) for one in counted),
        Fraction(),
    )


def _objects(view: View, where: str, name: str, hard: Fraction) -> Room:
    """Room for the workload itself, or for the old and the new ReplicaSet of an update."""
    if name == _REPLICA_SETS:
        return Room(where, int(hard), "an update needs the old and the new one", wanted=2)
    kind = view.workload.kind
    count = 1 + sum(one.workload.kind == kind for one in view.others)
    return Room(where, int(hard), f"{count} are declared", wanted=count)


def outside_ranges(view: View) -> list[str]:
    """What a LimitRange of the namespace refuses in the pods and their claims.

    `PodValidateLimitFunc` in plugin/pkg/admission/limitranger, after the defaults were filled in.

    Raises:
        NoData: a quantity is not valid.
    """
    view.require("LimitRange")
    spec, found = view.pod, list[str]()
    containers = asked(spec, view.ranges)
    for container in containers:
        found += _above_limit(container)
    for item in (item for one in view.ranges for item in one.spec.limits):
        if item.type == "Container":
            for container in containers:
                place = f"container {container.name}"
                found += _against(item, container.requests, container.limits, place)
        elif item.type == "Pod":
            requests, most = whole(spec, view.ranges), limits(spec, view.ranges)
            found += _against(item, requests, most, "the pod")
        elif item.type == "PersistentVolumeClaim":
            for claim in claims_of(view):
                size = amounts_of(claim.spec.resources.requests)
                place = f"claim {claim.metadata.name or 'of a volume'}"
                found += _against(item, size, size, place)
    return found


def _above_limit(container: Asked) -> list[str]:
    """A default limit of a LimitRange may be below the container's own request."""
    return [
        f"container {container.name} requests {_figure(name, request)} of {name}, above its limit"
        f" {_figure(name, container.limits[name])}"
        for name, request in sorted(container.requests.items())
        if name in container.limits and request > container.limits[name]
    ]


def _against(item: LimitItem, requests: Amounts, most: Amounts, place: str) -> Iterator[str]:
    for name, lowest in amounts_of(item.min).items():
        least = min((found[name] for found in (requests, most) if name in found), default=None)
        if name not in requests:
            yield f"{place} requests no {name}, at least {_figure(name, lowest)} required"
        elif least is not None and least < lowest:
            yield f"{place}: {name} {_figure(name, least)} is below {_figure(name, lowest)}"
    for name, highest in amounts_of(item.max).items():
        largest = max((found[name] for found in (requests, most) if name in found), default=None)
        if name not in most:
            yield f"{place} has no limit of {name}, at most {_figure(name, highest)} allowed"
        elif largest is not None and largest > highest:
            yield f"{place}: {name} {_figure(name, largest)} is above {_figure(name, highest)}"
    for name, ratio in amounts_of(item.max_limit_request_ratio).items():
        request, limit = requests.get(name), most.get(name)
        if not (request and limit):
            yield f"{place} has no request and limit of {name}, whose ratio is limited"
        elif limit / request > ratio:
            times = f"{float(limit / request):.3g} times its request"
            yield f"{place}: its limit of {name} is {times}, at most {float(ratio):.3g} allowed"


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
