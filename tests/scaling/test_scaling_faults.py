"""Each fault of the manifests, on a copy of them: exactly its judgements, in a second.

`readiness prove -k scaling` shows the same on the whole reference system.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.view import view
from readiness.areas.scaling.probes.sides import Sides, sides
from readiness.areas.scaling.reference import ScalingLevers, copy_manifests
from readiness.lib.kubernetes.inventory import Inventory
from readiness.model.check import ATTRIBUTE
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import CheckFailed, Evidence
from readiness.model.fault import Fault, faults_of
from readiness.reference.system import ReferenceSystem
from tests.support.kubernetes_samples import deployment, hpa, inventory, made
from tests.support.monitored_service import suite

# These need a database, or the whole system's file.
ELSEWHERE = {"role_has_few_connections", "database_has_few_connections", "pools_too_large"}
BUDGET = "scaling.connection-budget[shop]"
CHECKS = [
    "test_autoscaler.test_autoscaler", "test_autoscaler.test_autoscaler_policy",
    "test_autoscaler.test_autoscaler_live", "test_capacity.test_capacity",
    "test_capacity.test_disruption", "test_manifests.test_manifests",
    "test_manifests.test_pod_template",
]  # fmt: skip
FAULTS = [f for f in faults_of(suite("scaling.faults")) if f.name not in ELSEWHERE]
Missed = dict[str, set[str]]


class Levers(ScalingLevers):
    def __init__(self, folder: Path) -> None:
        self._manifests = folder


class System:
    def __init__(self, folder: Path) -> None:
        self.levers = Levers(folder)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return copy_manifests(tmp_path)


AGREED = {
    "min_replicas": 3, "max_replicas": 10, "cpu_percent": 70, "memory_percent": 80,
    "up_pods": 2, "up_s": 15, "down_pods": 1, "down_s": 60,
    "max_unavailable": 0,
}  # fmt: skip
UNSET = {key: None for key in AGREED if not key.endswith("_s")}


def shop(folder: Path, **more: Any) -> Scaling:
    files = [str(folder / "*.yaml"), str(folder / "live.json")]
    keys = {"name": "shop", "workload": "deployment/shop", "manifests": files}
    return Scaling.model_validate({**keys, **AGREED, **more})


def missed(scaling: Scaling) -> Missed:
    """The judgements that miss, by check; none of a check that could not be judged."""
    found: Missed = {}
    for name in CHECKS:
        module, _, function = name.partition(".")
        evidence = judged(getattr(suite(f"scaling.{module}"), function), scaling)
        if evidence is not None:
            check = f"scaling.{function.removeprefix('test_').replace('_', '-')}[shop]"
            found[check] = {m.key for m in evidence.measurements if m.is_missed}
    return found


def judged(check: Callable[..., None], scaling: Scaling) -> Evidence | None:
    """What it measured; None where it passed."""

    def sides_of(asked: Scaling) -> Sides:
        return sides(asked, None)

    evidence = Evidence(vars(check)[ATTRIBUTE].judgements)
    try:
        check(scaling, sides_of, evidence)
        evidence.conclude()
    except (CheckFailed, CouldNotMeasure):
        return evidence
    return None


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir()}


def test_healthy_manifests_pass_all_checks(manifests: Path) -> None:
    assert missed(shop(manifests)) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_makes_exactly_its_judgements_miss(fault: Fault, manifests: Path) -> None:
    before = contents(manifests)
    with fault.apply(cast("ReferenceSystem", System(manifests))):
        assert missed(shop(manifests)) == {
            k: set(v or ()) for k, v in fault.misses.items() if k != BUDGET
        }
    assert contents(manifests) == before


def test_manifests_alone_leave_the_live_state_unknown(manifests: Path) -> None:
    (manifests / "live.json").unlink()
    files = [str(manifests / "*.yaml")]
    assert missed(shop(manifests).model_copy(update={"manifests": files})) == {
        "scaling.autoscaler-live[shop]": set()
    }


def test_the_live_objects_alone_are_enough(manifests: Path) -> None:
    files = [str(manifests / "live.json")]
    assert missed(shop(manifests).model_copy(update={"manifests": files})) == {}


def test_without_a_quota_or_a_node_room_is_an_error(manifests: Path) -> None:
    files = [str(manifests / "deployment.yaml"), str(manifests / "autoscaler.yaml")]
    found = missed(shop(manifests).model_copy(update={"manifests": files}))
    assert found["scaling.capacity[shop]"] == set()


@pytest.mark.parametrize(
    ("key", "value", "check", "misses"),
    [
        ("cpu_percent", 0, "autoscaler-policy", "metric"),
        ("memory_percent", 0, "autoscaler-policy", "metric"),
        ("min_replicas", 4, "autoscaler", "min-replicas"),
        ("max_replicas", 11, "autoscaler", "max-replicas"),
        ("up_pods", 3, "autoscaler-policy", "added-at-least"),
        ("up_pods", 1, "autoscaler-policy", "added-at-most"),
        ("up_s", 60, "autoscaler-policy", "added-at-most"),
        ("down_pods", 2, "autoscaler-policy", "removed-at-least"),
        ("down_s", 30, "autoscaler-policy", "removed-at-least"),
        ("down_s", 120, "autoscaler-policy", "removed-at-most"),
    ],
)
def test_configured_values_are_judged_exactly(
    key: str, value: int, check: str, misses: str, manifests: Path
) -> None:
    assert missed(shop(manifests, **{key: value})) == {f"scaling.{check}[shop]": {misses}}


NOT_AGREED = [
    "min_replicas_lowered", "max_replicas_lowered", "scales_too_late", "second_policy",
    "scales_up_too_slowly", "scale_up_is_delayed", "behavior_left_out", "scales_down_too_slowly",
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_AGREED)
def test_values_that_are_not_configured_are_not_judged(name: str, manifests: Path) -> None:
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    with fault.apply(cast("ReferenceSystem", System(manifests))):
        assert missed(shop(manifests, **UNSET)) == {}


def test_a_check_says_what_it_does_not_judge_and_which_key_to_set(manifests: Path) -> None:
    scaling, said = shop(manifests, **UNSET), []
    for name in ("test_autoscaler", "test_autoscaler_policy"):
        evidence = Evidence()
        getattr(suite("scaling.test_autoscaler"), name)(
            scaling, lambda asked: sides(asked, None), evidence
        )
        said += [f"{m.name}: {m.value}" for m in evidence.measurements]
    assert [text for text in said if text.startswith("not judged: ")] == [
        f"not judged: {what}: set `{key}` in [scaling.shop]"
        for what, key in (
            ("minimum replica count", "min_replicas"),
            ("maximum replica count", "max_replicas"),
            ("target utilization of CPU", "cpu_percent"),
            ("target utilization of memory", "memory_percent"),
            ("how fast pods are added", "up_pods"),
            ("how fast pods are removed", "down_pods"),
        )
    ]


def test_maximum_that_equals_the_minimum_is_a_miss(manifests: Path) -> None:
    path = manifests / "autoscaler.yaml"
    path.write_text(path.read_text().replace("maxReplicas: 10", "maxReplicas: 3"))
    found = missed(shop(manifests, **UNSET))
    assert found["scaling.autoscaler[shop]"] == {"max-replicas"}


def test_a_cluster_autoscaler_needs_one_node_that_is_large_enough(manifests: Path) -> None:
    live, small = manifests / "live.json", {"scaling.capacity[shop]": {"nodes"}}
    live.write_text(live.read_text().replace('"cpu": "3920m"', '"cpu": "400m"'))
    assert missed(shop(manifests)) == small
    assert missed(shop(manifests, nodes_grow=True)) == {}
    live.write_text(live.read_text().replace('"cpu": "400m"', '"cpu": "200m"'))
    assert missed(shop(manifests, nodes_grow=True)) == small


def test_forbidden_nodes_leave_the_quota_and_other_reasons_are_errors() -> None:
    quota = made("v1", "ResourceQuota", {"hard": {"pods": 20}})
    check = suite("scaling.test_capacity").test_capacity

    def judged(error: CouldNotMeasure) -> Evidence:
        objects = inventory(deployment(), hpa(), quota).objects
        found = view(Inventory(objects, {"nodes": error}), "live", "deployment/shop", "")
        evidence = Evidence()
        check(Scaling(workload="deployment/shop"), lambda _: Sides(None, found), evidence)
        return evidence

    told = [m.value for m in judged(NotPermitted("nodes is forbidden")).measurements]
    assert told == [0, 0, 0, 20, "nodes is forbidden"]
    with pytest.raises(NoData, match="too long"):
        judged(NoData("the answer is too long")).conclude()


def test_an_injected_sidecar_counts_though_no_workload_shows_it(manifests: Path) -> None:
    live = manifests / "live.json"
    objects = json.loads(live.read_text())
    pods = [one for one in objects["items"] if one["metadata"]["name"].startswith("shop-6c")]
    pods[0]["spec"]["containers"].append({"name": "mesh"})
    live.write_text(json.dumps(objects))
    requests = {"cpu-request", "memory-request", "memory-limit", "quota"}
    assert missed(shop(manifests)) == {"scaling.capacity[shop]": requests}
    big = {"cpu": "1", "memory": "64Mi"}
    pods[0]["spec"]["containers"][-1]["resources"] = {"requests": big, "limits": {"memory": "64Mi"}}
    live.write_text(json.dumps(objects))
    assert missed(shop(manifests)) == {"scaling.capacity[shop]": {"quota", "nodes"}}


def test_manifests_get_the_defaults_of_the_live_namespace(manifests: Path) -> None:
    path = manifests / "deployment.yaml"
    path.write_text(path.read_text().replace("requests: {cpu: 50m, memory: 64Mi}", "requests: {}"))
    assert missed(shop(manifests)) == {"scaling.capacity[shop]": {"cpu-request", "quota"}}
    live = manifests / "live.json"
    objects = json.loads(live.read_text())
    given = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]}
    objects["items"].append(made("v1", "LimitRange", given, metadata={"uid": "77"}))
    live.write_text(json.dumps(objects))
    assert missed(shop(manifests)) == {}


@pytest.mark.parametrize("direction", ["scaleUp", "scaleDown"])
def test_a_direction_that_is_switched_off_fails_without_an_agreed_pace(
    direction: str, manifests: Path
) -> None:
    path = manifests / "autoscaler.yaml"
    text = path.read_text()
    assert f"{direction}:\n" in text
    path.write_text(
        text.replace(f"{direction}:\n", f"{direction}:\n      selectPolicy: Disabled\n")
    )
    verb = "added" if direction == "scaleUp" else "removed"
    found = missed(shop(manifests, **UNSET))
    assert found["scaling.autoscaler-policy[shop]"] == {f"{verb}-at-least"}
    assert missed(shop(manifests))["scaling.autoscaler-policy[shop]"] == {f"{verb}-at-least"}
