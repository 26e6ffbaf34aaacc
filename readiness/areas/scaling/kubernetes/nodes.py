"""Which nodes take a pod."""

from collections.abc import Iterable
from typing import Final

from readiness.areas.scaling.kubernetes.objects import Node, NodeTerm, PodSpec, Taint, Toleration
from readiness.areas.scaling.kubernetes.selecting import holds

_KEEPS_AWAY: Final = {"NoSchedule", "NoExecute"}
_NAME: Final = "metadata.name"


def takes(node: Node, spec: PodSpec) -> bool:
    """Whether the scheduler may put such a pod on it.

    `kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node` and `…/taint-and-toleration`.
    Affinity to other pods and the spread over zones are not looked at.

    Raises:
        NoData: a demand on the node is not understood.
    """
    if node.spec.unschedulable or not _is_ready(node):
        return False
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    taints = [taint for taint in node.spec.taints if taint.effect in _KEEPS_AWAY]
    if not all(_is_borne(taint, spec.tolerations) for taint in taints):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity else None
    if affinity is None or affinity.required is None:
        return True
    return any(_holds(term, node) for term in affinity.required.node_selector_terms)


def _is_ready(node: Node) -> bool:
    """What says nothing of itself is not ready: nobody has heard of it."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def _is_borne(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(
        (not one.effect or one.effect == taint.effect)
        and (not one.key or one.key == taint.key)
        and (one.operator == "Exists" or (one.key == taint.key and one.value == taint.value))
        for one in tolerations
    )


def _holds(term: NodeTerm, node: Node) -> bool:
    """All of its lines; an empty term holds nowhere."""
    fields = {_NAME: node.metadata.name}
    return bool(term.match_expressions or term.match_fields) and (
        all(holds(one, node.metadata.labels) for one in term.match_expressions)
        and all(holds(one, fields) for one in term.match_fields)
    )
