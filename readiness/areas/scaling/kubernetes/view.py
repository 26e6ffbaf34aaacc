"""A workload with everything that decides how it scales, and the state of its autoscaler."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from readiness.areas.scaling.kubernetes.autoscaler import (
    Autoscaler,
    Target,
    autoscalers,
)
from readiness.lib.kubernetes.inventory import Broken, Document, Inventory
from readiness.lib.kubernetes.objects import (
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
    Service,
    VerticalPodAutoscaler,
    Workload,
)
from readiness.lib.kubernetes.parts import Object, Selector, selects
from readiness.lib.kubernetes.resources import CPU, MEMORY
from readiness.model.errors import CouldNotMeasure, NoData

_KINDS: Final = {"deployment": "Deployment", "statefulset": "StatefulSet", "rollout": "Rollout"}
_GROUPS: Final = {"Rollout": "argoproj.io"}
_APPS: Final = "apps"
AUTOSCALERS: Final = ("HorizontalPodAutoscaler", "ScaledObject")
"""The kinds that decide the replica count."""
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
        workload: the Deployment, StatefulSet or Rollout.
        autoscalers: those that target it, with defaults filled in.
        dangling: descriptions of those whose target does not exist, or is in another namespace.
        hpas: the objects of all autoscalers, with their state.
        verticals: the vertical autoscalers that target it.
        budgets: those that select its pods.
        others: the other workloads of its namespace, each with the fewest and most replicas.
        services: those that select its pods.
        quotas: those of its namespace, as are `ranges`; nodes and pods are the cluster's.
        unseen: kinds that could not be read, each with the error.
        broken: objects of its namespace that the API server refuses.
        documents: the objects of its namespace as they are written.
    """

    side: str
    workload: Workload
    autoscalers: tuple[Autoscaler, ...]
    dangling: tuple[str, ...]
    hpas: tuple[HorizontalPodAutoscaler, ...]
    verticals: tuple[VerticalPodAutoscaler, ...]
    budgets: tuple[DisruptionBudget, ...]
    others: tuple["Other", ...]
    services: tuple[Service, ...]
    quotas: tuple[ResourceQuota, ...]
    ranges: tuple[LimitRange, ...]
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    unseen: dict[str, CouldNotMeasure]
    broken: tuple[Broken, ...]
    documents: tuple[Document, ...]

    def require(self, *kinds: str) -> None:
        """Raise the error of an object of these kinds that is not valid and may be about it."""
        labels = self.workload.spec.template.metadata.labels
        for one in self.broken:
            if one.document.kind in kinds and _may_concern(one.document, self.workload, labels):
                raise one.error

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
    def fixed(self) -> int | None:
        """Its replica count if nothing scales it; None if something does, or it is not known."""
        self.require(*AUTOSCALERS)
        scaled = self.autoscalers or self.dangling
        return None if scaled else self.workload.spec.replicas

    @property
    def autoscaler(self) -> Autoscaler:
        """The one that targets it; NoData if there is not exactly one."""
        self.require(*AUTOSCALERS)
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
        if self.fixed is not None:
            if not self.fixed:
                raise NoData(f"{self.name} has spec.replicas 0", where=self.side)
            return range(self.fixed, self.fixed + 1)
        found = self.autoscaler
        counts = range(max(1, found.least), found.most + 1)
        if not counts:
            raise NoData(
                f"{found.name} keeps at least {found.least} and at most {found.most} replicas",
                where=self.side,
                remedy="see scaling.autoscaler",
            )
        return counts


@dataclass(frozen=True, slots=True)
class Other:
    """Another workload of the namespace, with the fewest and most replicas that it has."""

    workload: Workload
    fewest: int
    most: int

    @property
    def name(self) -> str:
        """Kind and name, as kubectl prints them."""
        return f"{self.workload.kind.lower()}/{self.workload.metadata.name}"

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its pods."""
        return self.workload.spec.template.metadata.labels


def _may_concern(document: Document, workload: Workload, labels: Mapping[str, str]) -> bool:
    """Whether an object that is not valid may be about a workload, as far as it can be read."""
    spec = document.body.get("spec")
    if not isinstance(spec, Mapping):
        return True
    ref = spec.get("scaleTargetRef") or spec.get("targetRef")
    if isinstance(ref, Mapping) and isinstance(ref.get("name"), str):
        return bool(ref["name"] == workload.metadata.name)
    if document.kind == "PodDisruptionBudget":
        try:
            return selects(Selector.model_validate(spec.get("selector")), labels)
        except (ValueError, NoData):
            return True
    return True


def _all_of(declared: list[Container], others: Iterable[list[Container]]) -> list[Container]:
    found = {container.name: container for containers in others for container in containers}
    return list((found | {container.name: container for container in declared}).values())


def view(inventory: Inventory, side: str, workload: str, namespace: str) -> View | None:
    """A workload, `KIND/NAME` in lower case, of an inventory; None if missing.

    Args:
        inventory: all objects.
        side: `manifests` or `live`.
        workload: kind and name.
        namespace: its namespace; empty for any.

    Raises:
        NoData: there are several of that name, it is not valid, or something is not understood.
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
            remedy="set `namespace` in [scaling.NAME], or narrow `manifests` to one environment",
        )
    if not found:
        for one in inventory.broken:
            at = one.document
            near = not at.namespace or not namespace or at.namespace == namespace
            if (at.kind, at.name) == (_KINDS[kind.lower()], name) and near:
                raise one.error
        return None
    return _view(inventory, side, _with_template(found[0], inventory))


def _with_template(workload: Workload, inventory: Inventory) -> Workload:
    """A Rollout may take the template, and the selector, of a Deployment.

    Raises:
        NoData: that is not known.
    """
    ref = workload.spec.workload_ref
    if ref is None:
        return workload
    for one in _near(inventory.of(Workload), workload.metadata.namespace):
        if (one.kind, one.metadata.name) == (ref.kind, ref.name):
            taken = {"template": one.spec.template, "selector": one.spec.selector}
            return workload.model_copy(update={"spec": workload.spec.model_copy(update=taken)})
    raise NoData(
        f"its pod template is that of {ref.kind} {ref.name}, which is not known",
        where=f"Rollout {workload.metadata.name}",
        remedy="add it to `manifests`",
    )


def _view(inventory: Inventory, side: str, workload: Workload) -> View:
    place = workload.metadata.namespace
    hpas = _near(inventory.of(HorizontalPodAutoscaler), place)
    scalers = autoscalers(hpas, _near(inventory.of(ScaledObject), place))
    verticals = _near(inventory.of(VerticalPodAutoscaler), place)
    labels = workload.spec.template.metadata.labels
    budgets = _near(inventory.of(DisruptionBudget), place)
    workloads = _near(inventory.of(Workload), place)
    there = {_identity(one) for one in workloads}
    own = _identity(workload)
    by_target: dict[Target, list[Autoscaler]] = {}
    for scaler in scalers:
        by_target.setdefault(scaler.target, []).append(scaler)
    return View(
        side=side,
        workload=workload,
        autoscalers=tuple(by_target.get(own, ())),
        dangling=(
            *(
                f"{a.name} targets {a.target}, which does not exist"
                for a in scalers
                if a.target not in there and _is_ours_to_know(a.target)
            ),
            *_elsewhere(inventory, place, own),
        ),
        hpas=tuple(hpas),
        verticals=tuple(v for v in verticals if _target_of(v) == own),
        budgets=tuple(b for b in budgets if selects(b.spec.selector, labels)),
        others=tuple(_other(one, by_target) for one in workloads if _is_other(one, workload)),
        services=tuple(
            one
            for one in _near(inventory.of(Service), place)
            if one.spec.selector and one.spec.selector.items() <= labels.items()
        ),
        quotas=tuple(_near(inventory.of(ResourceQuota), place)),
        ranges=tuple(_near(inventory.of(LimitRange), place)),
        nodes=tuple(inventory.of(Node)),
        pods=tuple(inventory.of(Pod)),
        unseen=inventory.unseen,
        broken=tuple(
            one
            for one in inventory.broken
            if not one.document.namespace or not place or one.document.namespace == place
        ),
        documents=tuple(
            one
            for one in inventory.documents
            if not one.namespace or not place or one.namespace == place
        ),
    )


def _is_other(one: Workload, workload: Workload) -> bool:
    """A Deployment that only lends its template to a Rollout has no pods."""
    ref = workload.spec.workload_ref
    lent = ref is not None and (one.kind, one.metadata.name) == (ref.kind, ref.name)
    return not lent and _identity(one) != _identity(workload)


def _other(workload: Workload, by_target: Mapping[Target, list[Autoscaler]]) -> Other:
    count = workload.spec.replicas
    scaled = by_target.get(_identity(workload))
    if not scaled:
        replicas = 1 if count is None else count
        return Other(workload, replicas, replicas)
    return Other(workload, min(o.least for o in scaled), max(o.most for o in scaled))


def _is_ours_to_know(target: Target) -> bool:
    """Whether the files would show it: an autoscaler may scale custom resources, too."""
    return target.group in {_APPS, "extensions", "", *_GROUPS.values()}


def _elsewhere(inventory: Inventory, place: str, own: Target) -> list[str]:
    """Autoscalers that name the workload from another namespace, and so scale nothing."""
    if not place:
        return []
    away = {
        one.metadata.namespace
        for kind in (HorizontalPodAutoscaler, ScaledObject)
        for one in inventory.of(kind)
        if not _is_in(one, place)
    }
    homes = {one.metadata.namespace for one in inventory.of(Workload) if _identity(one) == own}
    return [
        f"{scaler.name} is in namespace {other}, where {own} does not exist"
        for other in sorted(away - homes)
        for scaler in autoscalers(
            [o for o in inventory.of(HorizontalPodAutoscaler) if o.metadata.namespace == other],
            [o for o in inventory.of(ScaledObject) if o.metadata.namespace == other],
        )
        if scaler.target == own
    ]


def _identity(workload: Workload) -> Target:
    return Target(_GROUPS.get(workload.kind, _APPS), workload.kind, workload.metadata.name)


def _target_of(vertical: VerticalPodAutoscaler) -> Target:
    ref = vertical.spec.target_ref
    return Target(_GROUPS.get(ref.kind, _APPS), ref.kind, ref.name)


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
    return Target(group, ref.kind, ref.name) == _identity(view.workload)


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
