"""Workloads without an autoscaler, Argo Rollouts, and budgets that select several workloads."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.controllers import protection, rollout_of, usual_away
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.model.errors import NoData
from tests.scaling.test_scaling_faults import missed
from tests.support.kubernetes_samples import ASKS, TARGET, deployment, hpa, inventory, made, seen

READY = {"containers": [{"name": "shop", "image": "r.example.com/shop:1", "resources": ASKS,
                         "readinessProbe": {"tcpSocket": {"port": 80}}}]}  # fmt: skip
SELECTOR = {"matchLabels": {"app": "shop"}}
STRATEGY = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def budget(**spec: Any) -> dict[str, Any]:
    return made("policy/v1", "PodDisruptionBudget", {"selector": SELECTOR, **spec})


def quota(pods: int) -> dict[str, Any]:
    return made("v1", "ResourceQuota", {"hard": {"pods": pods}}, "quota")


def fixed(**spec: Any) -> dict[str, Any]:
    return deployment(READY, **{"replicas": 3, "selector": SELECTOR, "strategy": STRATEGY, **spec})


UNKNOWN = {f"scaling.{name}[shop]": set[str]()
           for name in ("autoscaler", "autoscaler-policy", "autoscaler-live")}  # fmt: skip


@pytest.mark.parametrize(
    ("objects", "misses"),
    [
        # Three replicas, always: neither a failure nor the advice to remove them.
        ([fixed(), budget(maxUnavailable=1), quota(4)], {}),
        ([fixed(), budget(maxUnavailable=1), quota(3)], {"capacity": {"quota"}}),
        ([fixed(), budget(minAvailable=3), quota(4)], {"disruption": {"evictable"}}),
        ([fixed(replicas=1), budget(maxUnavailable=1), quota(4)], {"disruption": {"remaining"}}),
        ([fixed(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 3}}),
          budget(maxUnavailable=1), quota(4)], {"disruption": {"unavailable"}}),
        ([fixed(strategy={}), budget(maxUnavailable=1), quota(4)], {}),
        ([fixed(paused=True), budget(maxUnavailable=1), quota(4)], {"disruption": {"strategy"}}),
    ],
)  # fmt: skip
def test_a_fixed_workload_is_judged_at_its_replicas(
    objects: list[dict[str, Any]], misses: dict[str, set[str]], tmp_path: Path
) -> None:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    found = missed(
        Scaling(name="shop", workload="deployment/shop", manifests=[f"{tmp_path}/*.yaml"])
    )
    assert found == UNKNOWN | {f"scaling.{name}[shop]": keys for name, keys in misses.items()}


def test_a_workload_in_two_namespaces_is_named_by_its_namespace() -> None:
    twice = [fixed(), fixed(metadata={"namespace": "prod"}, replicas=5)]
    with pytest.raises(NoData, match="exists 2 times: prod, shop"):
        seen(*twice)
    found = view(inventory(*twice), "manifests", "deployment/shop", "prod")
    assert found is not None
    assert found.fixed == 5


def test_an_autoscaler_in_another_namespace_scales_nothing() -> None:
    found = seen(fixed(), hpa(metadata={"namespace": "other"}))
    assert found.autoscalers == ()
    assert found.dangling == (
        "HorizontalPodAutoscaler shop is in namespace other, where deployment/shop does not exist",
    )
    there = fixed(metadata={"namespace": "other"})
    both = inventory(fixed(), there, hpa(metadata={"namespace": "other"}))
    ours = view(both, "manifests", "deployment/shop", "shop")
    assert ours is not None
    assert (ours.dangling, ours.fixed) == ((), 3)


def argo(strategy: dict[str, Any], **spec: Any) -> View:
    api = "argoproj.io/v1alpha1"
    found = deployment(READY, strategy=strategy, **spec) | {"apiVersion": api, "kind": "Rollout"}
    scaler = hpa(scaleTargetRef={**TARGET, "apiVersion": api, "kind": "Rollout"})
    return seen(found, scaler, workload="rollout/shop")


@pytest.mark.parametrize(
    ("strategy", "added", "missing"),
    [
        ({"canary": {}}, 3, 2),
        ({"canary": {"maxSurge": 1, "maxUnavailable": 0}}, 1, 0),
        ({"canary": {"maxUnavailable": "50%", "trafficRouting": {"nginx": {}}}}, 10, 0),
        ({"blueGreen": {"activeService": "shop"}}, 10, 0),
    ],
)
def test_argo_rollouts(strategy: dict[str, Any], added: int, missing: int) -> None:
    found = argo(strategy)
    assert len(found.autoscalers) == 1
    rollout = rollout_of(found.workload)
    assert (rollout.added(10), rollout.missing(10)) == (added, missing)


def test_a_rollout_may_take_the_template_of_a_deployment() -> None:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    rollout = made("argoproj.io/v1alpha1", "Rollout",
                   {"workloadRef": ref, "replicas": 3, "strategy": {"canary": {}}})  # fmt: skip
    found = seen(rollout, fixed(replicas=0), workload="rollout/shop")
    assert [one.name for one in found.pod.containers] == ["shop"]
    assert found.others == ()
    with pytest.raises(NoData, match="its pod template is that of Deployment shop"):
        seen(rollout, workload="rollout/shop")


@pytest.mark.parametrize(
    ("kind", "strategy", "kept"),
    [
        ("StatefulSet", {"rollingUpdate": {"partition": 2}}, "`partition: 2`"),
        ("StatefulSet", {"rollingUpdate": {"partition": 0}}, ""),
        ("StatefulSet", {"type": "OnDelete"}, ""),
        ("StatefulSet", None, ""),
    ],
)
def test_a_partition_keeps_the_old_release(kind: str, strategy: Any, kept: str) -> None:
    found = seen(deployment(kind=kind, updateStrategy=strategy), workload="statefulset/shop")
    rollout = rollout_of(found.workload)
    assert rollout.kept == kept
    assert usual_away(found.workload, 3) == 1


@pytest.mark.parametrize(
    ("spec", "others", "evictable", "left"),
    [
        ({"minAvailable": 1}, [], 2, 1),
        ({"minAvailable": 1}, [5], 7, 0),
        ({"minAvailable": 6}, [5], 2, 1),
        ({"maxUnavailable": 1}, [5], 1, 2),
        ({"maxUnavailable": "50%"}, [5, 2], 5, 0),
    ],
)
def test_a_budget_counts_all_pods_that_it_selects(
    spec: dict[str, Any], others: list[int], evictable: int, left: int
) -> None:
    more = [fixed(metadata={"name": f"w{n}"}, replicas=n) for n in others]
    found = seen(fixed(), budget(**spec), *more)
    kept = protection(found, found.budgets[0], [3])
    assert (kept.evictable, kept.left) == (evictable, left)
    assert [one.name for one in kept.beside] == [f"deployment/w{n}" for n in others]


@pytest.mark.parametrize(("container", "keys"), [("shop", set()), ("web", {"metric"})])
def test_a_metric_of_a_container_that_no_pod_has(
    container: str, keys: set[str], tmp_path: Path
) -> None:
    """Such an autoscaler has no value, and does nothing."""
    target = {"type": "Utilization", "averageUtilization": 70}
    source = {"name": "cpu", "container": container, "target": target}
    metric = {"type": "ContainerResource", "containerResource": source}
    objects = [deployment(READY, selector=SELECTOR), hpa(metrics=[metric])]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    found = missed(Scaling(name="shop", workload="deployment/shop", manifests=[f"{tmp_path}/*"]))
    assert found.get("scaling.autoscaler-policy[shop]", set()) == keys
