"""A workload with everything that decides how it scales, and the state of its autoscaler."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from readiness.areas.scaling.kubernetes.autoscaler import (
    CPU,
    MEMORY,
    Autoscaler,
    Target,
    autoscalers,
)
from readiness.areas.scaling.kubernetes.inventory import Inventory
from readiness.areas.scaling.kubernetes.objects import (
    Container,
    ContainerPolicy,
    DisruptionBudget,
    HorizontalPodAutoscaler,
    LimitRange,
    Node,
    Pod,
    PodSpec,
    ResourceQuota,
    ScaledObject,
    VerticalPodAutoscaler,
    Workload,
)
from readiness.areas.scaling.kubernetes.parts import Object, selects
from readiness.model.errors import CouldNotMeasure, NoData

_KINDS: Final = {"deployment": "Deployment", "statefulset": "StatefulSet"}
ENDED: Final = {"Succeeded", "Failed"}
"""Phases of a pod that no longer uses resources."""
_O = TypeVar("_O", bound=Object)
_OFF: Final = "Off"
_ALL: Final = "*"
ABLE: Final = "AbleToScale"
ACTIVE: Final = "ScalingActive"
LIMITED: Final = "ScalingLimited"
_AT_THE_TOP: Final = "TooManyReplicas"
_READ_AGAIN: Final = "kubectl get horizontalpodautoscalers.v2.autoscaling NAME -o json"


@dataclass(frozen=True, slots=True)
class View:
    """One workload as the manifests, or the cluster, describe it.

    Attributes:
        side: `manifests` or `live`.
        workload: the Deployment or StatefulSet.
        autoscalers: those that target it, with defaults filled in.
        dangling: descriptions of those whose target does not exist.
        hpas: the objects of all autoscalers, with their state.
        verticals: the vertical autoscalers that target it.
        budgets: those that select its pods.
        quotas: those of its namespace, as are `ranges`; nodes and pods are the cluster's.
        unseen: kinds that could not be read, each with the error.
    """

    side: str
    workload: Workload
    autoscalers: tuple[Autoscaler, ...]
    dangling: tuple[str, ...]
    hpas: tuple[HorizontalPodAutoscaler, ...]
    verticals: tuple[VerticalPodAutoscaler, ...]
    budgets: tuple[DisruptionBudget, ...]
    quotas: tuple[ResourceQuota, ...]
    ranges: tuple[LimitRange, ...]
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    unseen: dict[str, CouldNotMeasure]

    @property
    def name(self) -> str:
        """Kind and name, as kubectl prints them."""
        return f"{self.workload.kind.lower()}/{self.workload.metadata.name}"

    @property
    def pod(self) -> PodSpec:
        """The template of its pods, with the sidecars that were injected into live ones."""
        spec = self.workload.spec.template.spec
        pods = [p.spec for p in self.pods if self.owns(p) and p.status.phase not in ENDED]
        return spec.model_copy(
            update={
                "containers": _all_of(spec.containers, (p.containers for p in pods)),
                "init_containers": _all_of(spec.init_containers, (p.init_containers for p in pods)),
            }
        )

    def owns(self, pod: Pod) -> bool:
        """Whether a pod is the workload's, by its labels and namespace."""
        labels = self.workload.spec.template.metadata.labels
        same = labels.items() <= pod.metadata.labels.items()
        return bool(labels) and same and _is_in(pod, self.workload.metadata.namespace)

    @property
    def autoscaler(self) -> Autoscaler:
        """The one that targets it; NoData if there is not exactly one."""
        if len(self.autoscalers) != 1:
            found = ", ".join(one.name for one in self.autoscalers) or "none"
            raise NoData(
                f"the bounds of {self.name} need exactly one autoscaler; found {found}",
                where=self.side,
                remedy="see scaling.autoscaler",
            )
        return self.autoscalers[0]

    @property
    def counts(self) -> range:
        """Every replica count that it may have, from 1 on; NoData if there is none."""
        found = self.autoscaler
        counts = range(max(1, found.least), found.most + 1)
        if not counts:
            raise NoData(
                f"{found.name} keeps at least {found.least} and at most {found.most} replicas",
                where=self.side,
                remedy="see scaling.autoscaler",
            )
        return counts


def _all_of(declared: list[Container], others: Iterable[list[Container]]) -> list[Container]:
    found = {container.name: container for containers in others for container in containers}
    return list((found | {container.name: container for container in declared}).values())


def view(inventory: Inventory, side: str, workload: str, namespace: str) -> View | None:
    """A workload, `deployment/NAME` or `statefulset/NAME`, of an inventory; None if missing.

    Args:
        inventory: all objects.
        side: `manifests` or `live`.
        workload: kind and name.
        namespace: its namespace; empty for any.

    Raises:
        NoData: there are several of that name, or something is not understood.
    """
    kind, _, name = workload.partition("/")
    found = [
        one
        for one in inventory.of(Workload)
        if (one.kind, one.metadata.name) == (_KINDS[kind.lower()], name) and _is_in(one, namespace)
    ]
    if len(found) > 1:
        places = ", ".join(sorted(one.metadata.namespace or "no namespace" for one in found))
        raise NoData(
            f"{workload} exists {len(found)} times: {places}",
            where=side,
            remedy="narrow `manifests` to one environment, or add [scaling.NAME.cluster]",
        )
    return _view(inventory, side, found[0]) if found else None


def _view(inventory: Inventory, side: str, workload: Workload) -> View:
    place = workload.metadata.namespace
    hpas = _near(inventory.of(HorizontalPodAutoscaler), place)
    scalers = autoscalers(hpas, _near(inventory.of(ScaledObject), place))
    verticals = _near(inventory.of(VerticalPodAutoscaler), place)
    labels = workload.spec.template.metadata.labels
    budgets = _near(inventory.of(DisruptionBudget), place)
    there = {_identity(one) for one in _near(inventory.of(Workload), place)}
    own = _identity(workload)
    return View(
        side=side,
        workload=workload,
        autoscalers=tuple(one for one in scalers if one.target == own),
        dangling=tuple(
            f"{a.name} targets {a.target}, which does not exist"
            for a in scalers
            if a.target not in there
        ),
        hpas=tuple(hpas),
        verticals=tuple(v for v in verticals if _target_of(v) == own),
        budgets=tuple(b for b in budgets if selects(b.spec.selector, labels)),
        quotas=tuple(_near(inventory.of(ResourceQuota), place)),
        ranges=tuple(_near(inventory.of(LimitRange), place)),
        nodes=tuple(inventory.of(Node)),
        pods=tuple(inventory.of(Pod)),
        unseen=inventory.unseen,
    )


def _identity(workload: Workload) -> Target:
    return Target("apps", workload.kind, workload.metadata.name)


def _target_of(vertical: VerticalPodAutoscaler) -> Target:
    ref = vertical.spec.target_ref
    return Target("apps", ref.kind, ref.name)


def _is_in(one: Object, namespace: str) -> bool:
    """Whether it is in a namespace; a manifest without one may go into any."""
    own = one.metadata.namespace
    return not own or not namespace or own == namespace


def _near(objects: Iterable[_O], namespace: str) -> list[_O]:
    return [one for one in objects if _is_in(one, namespace)]


_RESOURCES: Final = (CPU, MEMORY)


def conflicts(view: View) -> list[str]:
    """Descriptions of the resources that both a vertical autoscaler and another one act on.

    Each undoes what the other does: more pods use less each, the requests shrink, the utilization
    grows, and more pods are added (`kubernetes/autoscaler`, vertical-pod-autoscaler, known
    limitations).
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
    """The resources whose requests it changes in any of these containers.

    Defaults: `updateMode` is Auto, `controlledResources` cpu and memory; a container's own policy
    overrides `*` (autoscaling.k8s.io/v1).
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


@dataclass(frozen=True, slots=True)
class State:
    """The state of one autoscaler.

    Attributes:
        name: of the autoscaler.
        able: the condition AbleToScale; `absent` if the controller has not reported it.
        active: the condition ScalingActive: whether it can read its metrics.
        reasons: the reason and message of each condition.
        stuck_at_most: whether it needs more replicas than it may have.
        metrics: how many metrics it scales by.
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
    """The state of the autoscaler of the workload, also of one that KEDA made.

    Conditions: `kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/
    #appendix-horizontal-pod-autoscaler-status-conditions`.

    Raises:
        NoData: there is not exactly one, or the old API does not show its state.
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
        # Without any, the API server adds one for CPU.
        metrics=len(hpa.spec.metrics) or 1,
        seen=sum(one is not None and bool(one.type) for one in hpa.status.current_metrics),
    )
