"""What a vertical autoscaler changes of a workload: the requests a share of use is measured by."""

from collections.abc import Iterable
from typing import Final

from readiness.areas.scaling.kubernetes.autoscaler import CPU, MEMORY, Autoscaler
from readiness.areas.scaling.kubernetes.scalers import ContainerPolicy, VerticalPodAutoscaler
from readiness.areas.scaling.kubernetes.view import View

_OFF: Final = "Off"
_ALL: Final = "*"
_RESOURCES: Final = (CPU, MEMORY)


def conflicts(view: View) -> list[str]:
    """Resources that both a vertical autoscaler and another one act on, in words.

    Each undoes what the other does: more pods use less each, the requests shrink, the share of
    use grows, and there are more pods again (`kubernetes/autoscaler`, vertical-pod-autoscaler,
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
    """The resources whose requests it changes, of any of some containers.

    Defaults: `updateMode` is Auto, `controlledResources` cpu and memory; a container's own policy
    goes before `*` (autoscaling.k8s.io/v1).
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
