"""Manifests that fix texts show: pasted into a workload that misses, they end the miss.

Stands alone, as it judges nothing but what a user reads.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from readiness.areas.scaling.config import Scaling
from tests.scaling.test_scaling_faults import AGREED, missed
from tests.support.advice import shown
from tests.support.kubernetes_samples import ASKS, deployment, hpa, made, utilization

Objects = dict[str, dict[str, Any]]
_LABELS: Final = {"matchLabels": {"app": "shop"}}


def _objects() -> Objects:
    """A workload in which nothing is missed."""
    container = {
        "name": "shop", "image": "r.example.com/shop:1.5.0", "resources": ASKS,
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8000}},
    }  # fmt: skip
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
              "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": _LABELS}  # fmt: skip
    pod = {"containers": [container], "topologySpreadConstraints": [spread]}
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]},
        "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
    }  # fmt: skip
    return {
        "workload": deployment(
            pod, selector=_LABELS, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        ),
        "autoscaler": hpa(
            metrics=[utilization("cpu", 70), utilization("memory", 80)], behavior=behavior
        ),
        "budget": made(
            "policy/v1", "PodDisruptionBudget", {"maxUnavailable": 1, "selector": _LABELS}
        ),
    }


def _container(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = objects["workload"]["spec"]["template"]["spec"]["containers"][0]
    return found


def _spec(name: str) -> Callable[[Objects], dict[str, Any]]:
    def spec(objects: Objects) -> dict[str, Any]:
        found: dict[str, Any] = objects[name]["spec"]
        return found

    return spec


def _behavior(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = objects["autoscaler"]["spec"]["behavior"]
    return found


_WORSE: Final[Any] = {
    "cpu": (_spec("autoscaler"), {"metrics": [utilization("memory", 80)]},
            "autoscaler-policy", "- type: Resource"),
    "faster": (_behavior, {"scaleUp": {}}, "autoscaler-policy", "scaleUp:"),
    "slower": (_behavior, {"scaleDown": {}}, "autoscaler-policy", "scaleDown:"),
    "requests": (_container, {"resources": {}}, "capacity", "resources:"),
    "strategy": (_spec("workload"), {"strategy": {"type": "Recreate"}}, "disruption", "strategy:"),
    "surge": (_spec("workload"), {"strategy": {"rollingUpdate": {"maxUnavailable": 2}}},
              "disruption", "strategy:"),
    "probe": (_container, {"readinessProbe": None}, "disruption", "readinessProbe:"),
    "budget": (_spec("budget"), {"maxUnavailable": 0}, "disruption", "spec: {max"),
    "privileged": (_container, {"securityContext": {"privileged": True}},
                   "pod-template", "securityContext:"),
    "secret": (_container, {"env": [{"name": "DB_PASSWORD", "value": "yX83kdlw99-qq"}]},
               "pod-template", "env:"),
}  # fmt: skip


def _misses(objects: Objects, folder: Path) -> set[str]:
    text = yaml.safe_dump_all(list(objects.values())).replace("NAME", "shop")
    (folder / "all.yaml").write_text(text)
    agreed = {
        "name": "shop", "workload": "deployment/shop",
        "manifests": [f"{folder}/*.yaml"], **AGREED,
    }  # fmt: skip
    return {
        f"{check}: {key}"
        for check, keys in missed(Scaling.model_validate(agreed)).items()
        for key in keys
    }


@pytest.mark.parametrize("name", _WORSE)
def test_what_a_fix_shows_ends_the_miss(name: str, tmp_path: Path) -> None:
    place, worse, check, begin = _WORSE[name]
    objects = _objects()
    assert _misses(objects, tmp_path) == set()
    place(objects).update(copy.deepcopy(worse))
    assert {miss.split("[")[0] for miss in _misses(objects, tmp_path)} == {f"scaling.{check}"}

    advice = shown(f"scaling.{check}", begin)
    if isinstance(advice, list):  # one metric, beside the others
        (key,) = worse
        place(objects)[key] = [*advice, *place(objects)[key]]
    else:
        place(objects).update(advice.get("spec", advice))
    assert _misses(objects, tmp_path) == set()
