"""Each fault of the manifests, on a copy of them: exactly its checks, in a second.

`readiness prove -k scaling` shows the same on the whole reference system.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.inventory import Inventory
from readiness.areas.scaling.kubernetes.view import view
from readiness.areas.scaling.probes.sides import Sides, sides
from readiness.areas.scaling.reference import cluster
from readiness.areas.scaling.reference.levers import ScalingLevers
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import CheckFailed, Evidence
from readiness.model.fault import Fault, faults_of
from readiness.reference.system import ReferenceSystem
from tests.support.kubernetes_samples import deployment, hpa, inventory, made
from tests.support.monitored_service import suite

# These need a database, or the whole system's file.
ELSEWHERE = {"role_has_few_connections", "pools_too_large"}
BUDGET = "scaling.connection-budget[shop]"
CHECKS = [
    "test_autoscaler.test_autoscaler_target", "test_autoscaler.test_autoscaler_bounds",
    "test_autoscaler.test_autoscaler_metrics", "test_autoscaler.test_autoscaler_rate",
    "test_autoscaler.test_autoscaler_live", "test_room.test_resource_requests",
    "test_room.test_capacity_headroom", "test_changes.test_no_static_replicas",
    "test_changes.test_disruption_budget", "test_changes.test_rollout_strategy",
]  # fmt: skip
FAULTS = [
    fault
    for module in ("faults", "faults_room")
    for fault in faults_of(suite(f"scaling.{module}"))
    if fault.name not in ELSEWHERE
]


class Levers(ScalingLevers):
    def __init__(self, folder: Path) -> None:
        self._manifests = folder


class System:
    def __init__(self, folder: Path) -> None:
        self.levers = Levers(folder)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return cluster.copy_files(tmp_path)


def shop(folder: Path, **more: Any) -> Scaling:
    files = [str(folder / "*.yaml"), str(folder / "live.json")]
    return Scaling(name="shop", workload="deployment/shop", manifests=files, **more)


def red(scaling: Scaling) -> set[str]:
    """The checks that do not pass."""
    found = set()
    for name in CHECKS:
        module, _, function = name.partition(".")
        if not passes(getattr(suite(f"scaling.{module}"), function), scaling):
            found.add(f"scaling.{function.removeprefix('test_').replace('_', '-')}[shop]")
    return found


def passes(check: Callable[..., None], scaling: Scaling) -> bool:
    def sides_of(asked: Scaling) -> Sides:
        return sides(asked, None)

    evidence = Evidence()
    try:
        check(scaling, sides_of, evidence)
        evidence.conclude()
    except (CheckFailed, CouldNotMeasure):
        return False
    return True


def test_the_manifests_as_they_are_pass_all_checks(manifests: Path) -> None:
    assert red(shop(manifests)) == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_turns_exactly_its_checks_red(fault: Fault, manifests: Path) -> None:
    with fault.apply(cast("ReferenceSystem", System(manifests))):
        assert red(shop(manifests)) == set(fault.misses) - {BUDGET}
    assert red(shop(manifests)) == set()


def test_manifests_alone_leave_untold_what_only_a_cluster_knows(manifests: Path) -> None:
    (manifests / "live.json").unlink()
    files = [str(manifests / "*.yaml")]
    assert red(shop(manifests).model_copy(update={"manifests": files})) == {
        "scaling.autoscaler-live[shop]"
    }


def test_the_live_objects_alone_are_enough(manifests: Path) -> None:
    files = [str(manifests / "live.json")]
    assert red(shop(manifests).model_copy(update={"manifests": files})) == set()


def test_what_is_neither_a_quota_nor_a_node_is_not_measured(manifests: Path) -> None:
    files = [str(manifests / "deployment.yaml"), str(manifests / "autoscaler.yaml")]
    found = red(shop(manifests).model_copy(update={"manifests": files}))
    assert "scaling.capacity-headroom[shop]" in found


@pytest.mark.parametrize(
    ("key", "value", "check"),
    [
        ("cpu_percent", 0, "autoscaler-metrics"),
        ("memory_percent", 0, "autoscaler-metrics"),
        ("min_replicas", 4, "autoscaler-bounds"),
        ("max_replicas", 11, "autoscaler-bounds"),
        ("up_pods", 3, "autoscaler-rate"),
        ("up_pods", 1, "autoscaler-rate"),
        ("up_s", 60, "autoscaler-rate"),
        ("down_pods", 2, "autoscaler-rate"),
        ("down_s", 30, "autoscaler-rate"),
        ("down_s", 120, "autoscaler-rate"),
    ],
)
def test_what_is_wanted_is_held_exactly(key: str, value: int, check: str, manifests: Path) -> None:
    wanted = shop(manifests).model_copy(update={key: value})
    assert red(wanted) == {f"scaling.{check}[shop]"}


def test_a_cluster_that_grows_is_asked_for_one_large_node(manifests: Path) -> None:
    live = manifests / "live.json"
    live.write_text(live.read_text().replace('"cpu": "3920m"', '"cpu": "400m"'))
    assert red(shop(manifests)) == {"scaling.capacity-headroom[shop]"}
    assert red(shop(manifests, nodes_grow=True)) == set()
    live.write_text(live.read_text().replace('"cpu": "400m"', '"cpu": "200m"'))
    assert red(shop(manifests, nodes_grow=True)) == {"scaling.capacity-headroom[shop]"}


def test_nodes_that_may_not_be_seen_leave_the_quota_and_any_other_reason_is_an_error() -> None:
    quota = made("v1", "ResourceQuota", {"hard": {"pods": 20}})
    check = suite("scaling.test_room").test_capacity_headroom

    def judged(error: CouldNotMeasure) -> Evidence:
        objects = inventory(deployment(), hpa(), quota).objects
        found = view(Inventory(objects, {"nodes": error}), "live", "deployment/shop", "")
        evidence = Evidence()
        check(Scaling(workload="deployment/shop"), lambda _: Sides(None, found), evidence)
        return evidence

    told = [m.value for m in judged(NotPermitted("nodes is forbidden")).measurements]
    assert told == [20, "nodes is forbidden"]
    with pytest.raises(NoData, match="too long"):
        judged(NoData("the answer is too long"))


def test_a_sidecar_that_is_injected_counts_though_no_workload_shows_it(manifests: Path) -> None:
    live = manifests / "live.json"
    objects = json.loads(live.read_text())
    pods = [one for one in objects["items"] if one["metadata"]["name"].startswith("shop-6c")]
    pods[0]["spec"]["containers"].append({"name": "mesh"})
    live.write_text(json.dumps(objects))
    assert red(shop(manifests)) == {"scaling.resource-requests[shop]"}
    big = {"cpu": "1", "memory": "64Mi"}
    pods[0]["spec"]["containers"][-1]["resources"] = {"requests": big, "limits": {"memory": "64Mi"}}
    live.write_text(json.dumps(objects))
    assert red(shop(manifests)) == {"scaling.capacity-headroom[shop]"}


def test_manifests_get_the_defaults_of_the_live_namespace(manifests: Path) -> None:
    path = manifests / "deployment.yaml"
    path.write_text(path.read_text().replace("requests: {cpu: 50m, memory: 64Mi}", "requests: {}"))
    assert red(shop(manifests)) == {"scaling.resource-requests[shop]"}
    live = manifests / "live.json"
    objects = json.loads(live.read_text())
    given = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]}
    objects["items"].append(made("v1", "LimitRange", given, metadata={"uid": "77"}))
    live.write_text(json.dumps(objects))
    assert red(shop(manifests)) == set()
