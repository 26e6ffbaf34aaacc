"""What proves the checks of autoscalers: single fields of the manifests and of the live objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_AUTOSCALER: Final = "autoscaler.yaml"
_LIVE: Final = "live.json"
# Without exactly one autoscaler, nothing of what follows from its bounds can be told.
_NO_ONE: Final = {
    "scaling.autoscaler-target[shop]",
    "scaling.autoscaler-bounds[shop]",
    "scaling.autoscaler-metrics[shop]",
    "scaling.autoscaler-rate[shop]",
    "scaling.capacity-headroom[shop]",
    "scaling.connection-budget[shop]",
    "scaling.disruption-budget[shop]",
    "scaling.rollout-strategy[shop]",
}
_SECOND: Final = """\
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: shop-old, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 3
  maxReplicas: 10
---
# Recommends"""


@fault(
    turns_red={"scaling.autoscaler-target[shop]"},
    story="A vertical autoscaler changes the requests that the other one goes by.",
)
@contextmanager
def vertical_autoscaler_acts(system: ReferenceSystem) -> Iterator[None]:
    """It was there to recommend, and somebody switched it on."""
    with system.levers.edit_manifest(_AUTOSCALER, 'updateMode: "Off"', "updateMode: Auto"):
        yield


@fault(turns_red=_NO_ONE, story="The autoscaler's target has a typing error in its name.")
@contextmanager
def autoscaler_leads_nowhere(system: ReferenceSystem) -> Iterator[None]:
    """The API server takes it."""
    with system.levers.edit_manifest(
        _AUTOSCALER, "kind: Deployment, name: shop", "kind: Deployment, name: shpo"
    ):
        yield


@fault(turns_red=_NO_ONE, story="The autoscaler of last year was never deleted.")
@contextmanager
def two_autoscalers(system: ReferenceSystem) -> Iterator[None]:
    """They undo each other every 15 seconds."""
    with system.levers.edit_manifest(_AUTOSCALER, "# Recommends", _SECOND):
        yield


@fault(
    turns_red={"scaling.autoscaler-bounds[shop]"},
    story="The autoscaler may leave two replicas, where three were wanted.",
)
@contextmanager
def too_few_replicas(system: ReferenceSystem) -> Iterator[None]:
    """Somebody saved money in the cluster; the manifest still says three."""
    with system.levers.edit_manifest(_LIVE, '"minReplicas": 3', '"minReplicas": 2'):
        yield


@fault(
    turns_red={"scaling.autoscaler-bounds[shop]", "scaling.disruption-budget[shop]"},
    story="minReplicas is left out: it is 1.",
)
@contextmanager
def least_replicas_left_out(system: ReferenceSystem) -> Iterator[None]:
    """With one replica, a budget that lets one go lets all of them go."""
    with system.levers.edit_manifest(_AUTOSCALER, "  minReplicas: 3\n", ""):
        yield


@fault(
    turns_red={"scaling.autoscaler-metrics[shop]"},
    story="The autoscaler waits until CPU is at 95 %.",
)
@contextmanager
def grows_too_late(system: ReferenceSystem) -> Iterator[None]:
    """Nothing is left while the new pods start."""
    with system.levers.edit_manifest(
        _AUTOSCALER, "averageUtilization: 70", "averageUtilization: 95"
    ):
        yield


@fault(
    turns_red={"scaling.autoscaler-metrics[shop]"},
    story="No metric is given: it goes by CPU at 80 %, and not by memory.",
)
@contextmanager
def metrics_left_out(system: ReferenceSystem) -> Iterator[None]:
    """The API server fills that in, and nobody sees it in the file."""
    metrics = """\
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
    - type: Resource
      resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}
"""
    with system.levers.edit_manifest(_AUTOSCALER, metrics, ""):
        yield


@fault(
    turns_red={"scaling.autoscaler-rate[shop]"},
    story="A second policy of 100 % stands beside the one of two pods, and the larger one counts.",
)
@contextmanager
def grows_too_fast(system: ReferenceSystem) -> Iterator[None]:
    """The policy that was declared is still there."""
    with system.levers.edit_manifest(
        _AUTOSCALER,
        "value: 2, periodSeconds: 15}",
        "value: 2, periodSeconds: 15}, {type: Percent, value: 100, periodSeconds: 15}",
    ):
        yield


@fault(
    turns_red={"scaling.autoscaler-rate[shop]"},
    story="Two pods are added a minute, where two in 15 seconds were wanted.",
)
@contextmanager
def grows_too_slowly(system: ReferenceSystem) -> Iterator[None]:
    """In no window are there too many of them."""
    with system.levers.edit_manifest(
        _AUTOSCALER, "value: 2, periodSeconds: 15", "value: 2, periodSeconds: 60"
    ):
        yield


@fault(
    turns_red={"scaling.autoscaler-rate[shop]"},
    story="The behaviour is left out: after five quiet minutes, all above the least go at once.",
)
@contextmanager
def shrinks_at_once(system: ReferenceSystem) -> Iterator[None]:
    """Up it is faster than declared, too."""
    behavior = """\
  behavior:
    scaleUp:
      policies: [{type: Pods, value: 2, periodSeconds: 15}]
    scaleDown:
      policies: [{type: Pods, value: 1, periodSeconds: 60}]
"""
    with system.levers.edit_manifest(_AUTOSCALER, behavior, ""):
        yield


@fault(
    turns_red={"scaling.autoscaler-live[shop]"},
    story="The metrics server is gone: the autoscaler shows <unknown>, and does nothing.",
)
@contextmanager
def metrics_unknown(system: ReferenceSystem) -> Iterator[None]:
    """Every manifest is right."""
    active = """\
            "type": "ScalingActive",
            "status": "True",
            "reason": "ValidMetricFound","""
    unknown = active.replace('"True"', '"False"').replace(
        "ValidMetricFound", "FailedGetResourceMetric"
    )
    with system.levers.edit_manifest(_LIVE, active, unknown):
        yield


@fault(
    turns_red={"scaling.autoscaler-live[shop]"},
    story="The autoscaler stands at its most, and wants more.",
)
@contextmanager
def autoscaler_at_its_end(system: ReferenceSystem) -> Iterator[None]:
    """It works, and it has run out."""
    with system.levers.edit_manifest(_LIVE, '"TooFewReplicas"', '"TooManyReplicas"'):
        yield
