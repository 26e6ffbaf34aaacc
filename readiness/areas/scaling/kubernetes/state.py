"""What a live autoscaler reports, and which vertical autoscaler conflicts with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from readiness.areas.scaling.kubernetes.autoscaler import CPU, MEMORY, Autoscaler, Target
from readiness.areas.scaling.kubernetes.objects import (
    ContainerPolicy,
    HorizontalPodAutoscaler,
    VerticalPodAutoscaler,
)
from readiness.areas.scaling.kubernetes.view import View
from readiness.model.errors import NoData

_OFF: Final = "Off"
_ALL: Final = "*"
_RESOURCES: Final = (CPU, MEMORY)


def conflicts(view: View) -> list[str]:
    """Resources that both a vertical autoscaler and another one act on, in words.

    Each undoes what the other does: more pods use less each, the requests shrink, the utilization
    grows, and more pods are added (`kubernetes/autoscaler`, vertical-pod-autoscaler,
    known limitations).
    """
    names = [c.name for c in view.workload.spec.template.spec.containers]
    return [
        f"VerticalPodAutoscaler {vertical.metadata.name} and {scaler.name} both act on {resource}"
        for vertical in view.verticals
        for scaler in view.autoscalers
        for resource in _both(vertical, scaler, names)
    ]


def _both(
    vertical: VerticalPodAutoscaler, scaler: Autoscaler, containers: Iterable[str]
) -> list[str]:
    changed = changes(vertical, containers)
    return [name for name in _RESOURCES if name in changed and scaler.of_resource(name)]


def changes(vertical: VerticalPodAutoscaler, containers: Iterable[str]) -> set[str]:
    """The resources whose requests it changes in any of some containers.

    Defaults: `updateMode` is Auto, `controlledResources` cpu and memory; a container's own policy
    comes before `*` (autoscaling.k8s.io/v1).
    """
    spec = vertical.spec
    if spec.update_policy and spec.update_policy.update_mode == _OFF:
        return set()
    given = spec.resource_policy.container_policies if spec.resource_policy else []
    by_name = {policy.container_name: policy for policy in given}
    default = by_name.get(_ALL, ContainerPolicy())
    found = [by_name.get(name, default) for name in containers]
    return {
        resource
        for policy in found
        if policy.mode != _OFF
        for resource in (
            _RESOURCES if policy.controlled_resources is None else policy.controlled_resources
        )
    }


ABLE: Final = "AbleToScale"
ACTIVE: Final = "ScalingActive"
LIMITED: Final = "ScalingLimited"
_AT_THE_TOP: Final = "TooManyReplicas"
_READ_AGAIN: Final = "kubectl get horizontalpodautoscalers.v2.autoscaling NAME -o json"


@dataclass(frozen=True, slots=True)
class State:
    """The state of one autoscaler.

    Attributes:
        name: of the autoscaler.
        able: the condition AbleToScale; `absent` where the controller has not reported it.
        active: the condition ScalingActive: whether it can read its metrics.
        reasons: why, by condition.
        stuck_at_most: whether it wants more replicas than it may have.
        metrics: how many it scales by.
        seen: how many of them have a value.
    """

    name: str
    able: str
    active: str
    reasons: dict[str, str]
    stuck_at_most: bool
    metrics: int
    seen: int


def state(view: View) -> State:
    """The state of the one that scales the workload, KEDA's among them.

    Conditions: `kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/
    #appendix-horizontal-pod-autoscaler-status-conditions`.

    Raises:
        NoData: there is not exactly one, or the old API hides its state.
    """
    found = [hpa for hpa in view.hpas if _scales(hpa, view)]
    if len(found) != 1:
        raise NoData(
            f"{len(found)} live autoscalers target {view.name}, 1 required",
            where=view.side,
            remedy=f"add it to the live objects: {_READ_AGAIN}",
        )
    (hpa,) = found
    if not hpa.api_version.endswith("/v2"):
        raise NoData(
            f"it was read as {hpa.api_version}, which does not show its state",
            where=f"HorizontalPodAutoscaler {hpa.metadata.name}",
            remedy=_READ_AGAIN,
        )
    return _state(hpa)


def _scales(hpa: HorizontalPodAutoscaler, view: View) -> bool:
    ref = hpa.spec.scale_target_ref
    group = ref.api_version.rpartition("/")[0]
    own = Target("apps", view.workload.kind, view.workload.metadata.name)
    return Target(group, ref.kind, ref.name) == own


def _state(hpa: HorizontalPodAutoscaler) -> State:
    conditions = {one.type: one for one in hpa.status.conditions}
    limited = conditions.get(LIMITED)
    return State(
        name=hpa.metadata.name,
        able=conditions[ABLE].status if ABLE in conditions else "absent",
        active=conditions[ACTIVE].status if ACTIVE in conditions else "absent",
        reasons={name: f"{one.reason}: {one.message}" for name, one in conditions.items()},
        stuck_at_most=bool(limited and limited.status == "True" and limited.reason == _AT_THE_TOP),
        # Without any, the API server adds one of CPU.
        metrics=len(hpa.spec.metrics) or 1,
        seen=sum(one is not None and bool(one.type) for one in hpa.status.current_metrics),
    )
