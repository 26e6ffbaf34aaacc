"""Autoscalers with their defaults filled in, declared by a HorizontalPodAutoscaler or by KEDA."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from readiness.lib.kubernetes.objects import (
    Behavior,
    HorizontalPodAutoscaler,
    Metric,
    MetricSource,
    Policy,
    Rules,
    ScaledObject,
    TargetRef,
    Trigger,
)
from readiness.lib.kubernetes.resources import CPU, MEMORY
from readiness.model.errors import NoData

SHARE: Final = "Utilization"
_DEFAULT_CPU: Final = 80
_V1_ANNOTATIONS: Final = (
    "autoscaling.alpha.kubernetes.io/metrics",
    "autoscaling.alpha.kubernetes.io/behavior",
)
_PAUSED: Final = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
_SCALED_OBJECT: Final = "ScaledObject"
_OWN_KIND: Final = {CPU, MEMORY}


@dataclass(frozen=True, slots=True)
class Target:
    """What an autoscaler scales; the version of the API does not matter."""

    group: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}" + (
            "" if self.group else " (without an API group)"
        )


@dataclass(frozen=True, slots=True)
class Metered:
    """A metric that it scales by.

    Attributes:
        resource: cpu, memory, or another name; empty if it is not a resource of the pods.
        percent: of the requests, on average; None if the target is not a utilization.
        description: for a message.
        container: the one of each pod that it looks at; empty: all of them.
    """

    resource: str
    percent: int | None
    description: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast it scales in one direction.

    Attributes:
        select: which policy decides; Max is the one that allows the largest change.
        policies: how many pods in which time.
        hold_s: seconds for which the smallest change decides (`stabilizationWindowSeconds`).
        fixed: no `behavior` is given, so that the controller's own limits apply.
    """

    select: Literal["Max", "Min", "Disabled"]
    policies: tuple[Policy, ...]
    hold_s: int
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """An autoscaler, its defaults filled in.

    Attributes:
        name: kind and name.
        least: the minimum replica count.
        most: the maximum replica count.
        up: how fast it adds pods.
        down: how fast it removes them.
        paused: why it does nothing, as "is paused by ..."; empty if it acts.
    """

    name: str
    target: Target
    least: int
    most: int
    metrics: tuple[Metered, ...]
    up: Speed
    down: Speed
    paused: str = ""

    def of_resource(self, resource: str) -> list[Metered]:
        """Its metrics of a resource of the pods."""
        return [metric for metric in self.metrics if metric.resource == resource]


def autoscalers(
    hpas: Iterable[HorizontalPodAutoscaler], scaled: Iterable[ScaledObject]
) -> list[Autoscaler]:
    """All of them; one that KEDA made for a known ScaledObject counts once.

    Raises:
        NoData: one is not understood.
    """
    objects = list(scaled)
    names = {one.metadata.name for one in objects}
    own = [hpa for hpa in hpas if not _is_made_for(hpa, names)]
    return [_of_hpa(hpa) for hpa in own] + [_of_scaled(one) for one in objects]


def _is_made_for(hpa: HorizontalPodAutoscaler, names: set[str]) -> bool:
    return any(o.kind == _SCALED_OBJECT and o.name in names for o in hpa.metadata.owner_references)


def _of_hpa(hpa: HorizontalPodAutoscaler) -> Autoscaler:
    """Defaults: `pkg/apis/autoscaling/v2/defaults.go`, and `v1/conversion.go`."""
    spec, name = hpa.spec, f"HorizontalPodAutoscaler {hpa.metadata.name}"
    hidden = [key for key in _V1_ANNOTATIONS if key in hpa.metadata.annotations]
    if hpa.api_version.endswith("/v1") and hidden:
        raise NoData(
            f"its metrics or behavior are in the annotation {hidden[0]}",
            where=name,
            remedy="convert it to autoscaling/v2: kubectl get hpa.v2.autoscaling NAME -o yaml",
        )
    if hpa.api_version.endswith("/v1"):
        metrics = [_of_cpu(spec.target_cpu or _DEFAULT_CPU)]
        up, down = _speeds(None)
    else:
        metrics = [_metered(one) for one in spec.metrics] or [_of_cpu(_DEFAULT_CPU)]
        up, down = _speeds(spec.behavior)
    least = 1 if spec.min_replicas is None else spec.min_replicas
    target = _target(spec.scale_target_ref)
    return Autoscaler(name, target, least, spec.max_replicas, tuple(metrics), up, down)


def _of_scaled(scaled: ScaledObject) -> Autoscaler:
    """Defaults: `keda.sh/docs/latest/reference/scaledobject-spec`."""
    spec = scaled.spec
    ref = TargetRef(
        api_version=spec.scale_target_ref.api_version or "apps/v1",
        kind=spec.scale_target_ref.kind or "Deployment",
        name=spec.scale_target_ref.name,
    )
    hpa = spec.advanced.hpa if spec.advanced else None
    up, down = _speeds(hpa.behavior if hpa else None)
    idle = spec.idle_replica_count
    least = spec.min_replica_count if idle is None else min(idle, spec.min_replica_count)
    paused = [key for key in _PAUSED if scaled.metadata.annotations.get(key, "false") != "false"]
    return Autoscaler(
        f"ScaledObject {scaled.metadata.name}",
        _target(ref),
        least,
        spec.max_replica_count,
        tuple(map(_triggered, spec.triggers)),
        up,
        down,
        f"is paused by the annotation {paused[0]}" if paused else "",
    )


def _target(ref: TargetRef) -> Target:
    group, slash, _ = ref.api_version.partition("/")
    return Target(group if slash else "", ref.kind, ref.name)


def _of_cpu(percent: int) -> Metered:
    return Metered(CPU, percent, f"cpu {percent} %")


def _metered(metric: Metric) -> Metered:
    source = metric.resource or metric.container_resource
    if source is None:
        return Metered("", None, f"a metric of type {metric.type}")
    of = f" of container {source.container}" if source.container else ""
    told = f"{source.name}{of} {_held_at(source)}"
    return Metered(source.name, _percent(source), told, source.container or "")


def _percent(source: MetricSource) -> int | None:
    target = source.target
    return target.average_utilization if target.type in {SHARE, ""} else None


def _held_at(source: MetricSource) -> str:
    percent = _percent(source)
    if percent is not None:
        return f"{percent} %"
    value = source.target.average_value or source.target.value
    return f"{value} of each pod" if value is not None else "nothing"


def _triggered(trigger: Trigger) -> Metered:
    if trigger.type not in _OWN_KIND:
        return Metered("", None, f"a trigger of type {trigger.type}")
    kind = trigger.metadata.get("type") or trigger.metric_type
    value = trigger.metadata.get("value", "")
    percent = int(value) if kind == SHARE and value.isdecimal() and value.isascii() else None
    told = f"{trigger.type} {value or '?'} as {kind}"
    return Metered(trigger.type, percent, told, trigger.metadata.get("containerName", ""))


def _speeds(behavior: Behavior | None) -> tuple[Speed, Speed]:
    """Up and down."""
    if behavior is None:
        return _FIXED_UP, _FIXED_DOWN
    return _speed(behavior.scale_up, _UP), _speed(behavior.scale_down, _DOWN)


def _speed(rules: Rules | None, default: Speed) -> Speed:
    if rules is None:
        return default
    hold = rules.stabilization_window_seconds
    return Speed(
        rules.select_policy or default.select,
        tuple(rules.policies) if rules.policies else default.policies,
        default.hold_s if hold is None else hold,
    )


def _policy(kind: Literal["Pods", "Percent"], value: int) -> Policy:
    return Policy(type=kind, value=value, period_seconds=15)


# `kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#default-behavior`
_UP: Final = Speed("Max", (_policy("Pods", 4), _policy("Percent", 100)), 0)
_DOWN: Final = Speed("Max", (_policy("Percent", 100),), 300)
# Without `behavior`: `calculateScaleUpLimit` in pkg/controller/podautoscaler/horizontal.go, and
# `--horizontal-pod-autoscaler-downscale-stabilization`.
_FIXED_UP: Final = Speed("Max", (), 0, fixed=True)
_FIXED_DOWN: Final = Speed("Max", (), 300, fixed=True)
