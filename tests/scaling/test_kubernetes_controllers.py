"""What controllers do to the replica count: updates, evictions, applies and autoscaling."""

import json
from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.controllers import (
    Rate,
    Rollout,
    Step,
    allowed,
    downward,
    fixed_in_manifest,
    fixed_live,
    rollout_of,
    steps_down,
    steps_up,
    upward,
)
from readiness.lib.kubernetes.objects import DisruptionBudget, Workload
from readiness.model.errors import NoData
from tests.support.kubernetes_samples import deployment, hpa, inventory, made, policy, resolved


def workload(**spec: Any) -> Workload:
    (found,) = inventory(deployment(**spec)).of(Workload)
    return found


def rolling(**fields: Any) -> Rollout:
    return rollout_of(workload(strategy={"type": "RollingUpdate", "rollingUpdate": fields}))


def budget(**spec: Any) -> DisruptionBudget:
    (found,) = inventory(made("policy/v1", "PodDisruptionBudget", spec)).of(DisruptionBudget)
    return found


def test_missing_strategy_gets_the_defaults() -> None:
    found = rollout_of(workload())
    assert (found.type, found.surge, found.unavailable) == ("RollingUpdate", "25%", "25%")
    assert [found.missing(n) for n in range(1, 11)] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert [found.added(n) for n in range(1, 11)] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("fields", "count", "missing", "added"),
    [
        ({"maxUnavailable": 0, "maxSurge": 1}, 10, 0, 1),
        ({"maxUnavailable": 0}, 10, 0, 3),
        ({"maxSurge": 0}, 3, 1, 0),  # neither of them: one may be missing
        ({"maxSurge": "0%", "maxUnavailable": "10%"}, 9, 1, 0),
        ({"maxSurge": 0, "maxUnavailable": "50%"}, 9, 4, 0),
        ({"maxUnavailable": 5}, 3, 3, 1),
        ({"maxUnavailable": "100%", "maxSurge": "100%"}, 4, 4, 4),
        ({"maxSurge": None, "maxUnavailable": None}, 4, 1, 1),
    ],
)
def test_rolling_updates(fields: Any, count: int, missing: int, added: int) -> None:
    found = rolling(**fields)
    assert (found.missing(count), found.added(count)) == (missing, added)


def test_recreate_makes_all_pods_unavailable() -> None:
    found = rollout_of(workload(strategy={"type": "Recreate"}))
    assert (found.type, found.missing(7), found.added(7)) == ("Recreate", 7, 0)


def test_a_stateful_set_adds_none_and_replaces_one_after_the_other() -> None:
    found = rollout_of(workload(kind="StatefulSet"))
    assert (found.type, found.missing(3), found.added(3)) == ("RollingUpdate", 1, 0)
    # What is a Deployment's counts for nothing there.
    other = workload(kind="StatefulSet", strategy={"rollingUpdate": {"maxUnavailable": 0}})
    assert rollout_of(other).missing(3) == 1
    by_hand = workload(kind="StatefulSet", updateStrategy={"type": "OnDelete"})
    assert rollout_of(by_hand).type == "OnDelete"


@pytest.mark.parametrize(
    ("spec", "may_go"),
    [
        ({"maxUnavailable": 1}, [1, 1, 1, 1, 1, 1]),
        ({"maxUnavailable": 0}, [0, 0, 0, 0, 0, 0]),
        # Rounded up, other than the Deployment's: 25 % of one pod is one.
        ({"maxUnavailable": "25%"}, [1, 1, 1, 1, 2, 2]),
        ({"maxUnavailable": "0%"}, [0, 0, 0, 0, 0, 0]),
        ({"minAvailable": 3}, [0, 0, 0, 1, 2, 3]),
        ({"minAvailable": 0}, [1, 2, 3, 4, 5, 6]),
        ({"minAvailable": "50%"}, [0, 1, 1, 2, 2, 3]),
        ({"minAvailable": "100%"}, [0, 0, 0, 0, 0, 0]),
        # With neither of them, the controller allows nothing.
        ({}, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_disruption_budget_at_every_replica_count(spec: Any, may_go: list[int]) -> None:
    assert [allowed(budget(**spec), count) for count in range(1, 7)] == may_go


@pytest.mark.parametrize(("replicas", "fixed"), [(None, False), (3, True), (0, True)])
def test_replica_count_in_the_manifest_is_fixed(replicas: int | None, fixed: bool) -> None:
    assert bool(fixed_in_manifest(workload(replicas=replicas))) == fixed


def live(applied: object = None, managed: list[Any] | None = None) -> Workload:
    key = "kubectl.kubernetes.io/last-applied-configuration"
    text = applied if isinstance(applied, str) else json.dumps(applied)
    annotations = {} if applied is None else {key: text}
    metadata = {"uid": "1", "annotations": annotations, "managedFields": managed or []}
    return workload(replicas=3, metadata=metadata)


def manager(operation: str, subresource: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    found = {"manager": "argo", "operation": operation, "fieldsV1": fields}
    return found | ({"subresource": subresource} if subresource else {})


def test_live_replica_count_shows_what_set_it() -> None:
    assert fixed_live(live({"spec": {"template": {}}})) == ""
    assert (
        fixed_live(live({"spec": {"replicas": 3}})) == "what was applied last has spec.replicas 3"
    )
    assert fixed_live(live(managed=[manager("Apply")])) == "argo applies spec.replicas"
    # The autoscaler itself, by the subresource; and an update tells nothing, for it has defaults.
    assert fixed_live(live({"spec": {}}, [manager("Update", "scale")])) == ""
    assert fixed_live(live({"spec": {}}, [manager("Apply", "scale")])) == ""
    assert fixed_live(live(managed=[manager("Update")])) is None
    assert fixed_live(live()) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"spec": 3}'])
def test_an_annotation_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(NoData, match="is not a JSON object"):
        fixed_live(live(text))


TWO = policy("Pods", 2, 15)


def up(pods: int = 2, window_s: float = 15, **rules: Any) -> Rate:
    found = upward(resolved(hpa(behavior={"scaleUp": rules})), pods, window_s)
    assert found is not None
    return found


def down(pods: int = 1, window_s: float = 60, **rules: Any) -> Rate:
    found = downward(resolved(hpa(behavior={"scaleDown": rules})), pods, window_s)
    assert found is not None
    return found


def test_two_pods_in_fifteen_seconds() -> None:
    found = up(policies=[TWO])
    assert (found.most, found.least, found.first_s, found.counts) == (2, 2, 0, 6)
    scaler = resolved(hpa(behavior={"scaleUp": {"policies": [TWO]}}))
    assert steps_up(scaler, 3) == [Step(0, 2), Step(15, 2), Step(30, 2), Step(45, 1)]


def test_one_pod_in_a_minute() -> None:
    found = down(policies=[policy("Pods", 1, 60)])
    assert (found.most, found.least, found.first_s) == (1, 1, 300)
    rules = {"scaleDown": {"policies": [policy("Pods", 1, 60)]}}
    assert steps_down(resolved(hpa(behavior=rules)), 5) == [Step(0, 1), Step(60, 1)]


@pytest.mark.parametrize(
    ("rules", "most", "least"),
    [
        # Max is the default: the larger policy counts, 100 % of five.
        ({"policies": [TWO, policy("Percent", 100, 15)]}, 5, 2),
        ({"policies": [TWO, policy("Percent", 100, 15)], "selectPolicy": "Max"}, 5, 2),
        ({"policies": [TWO, policy("Percent", 100, 15)], "selectPolicy": "Min"}, 2, 2),
        # Rounded up: from 3, 10 % is one pod; from 8 it is still one.
        ({"policies": [policy("Percent", 10, 15)]}, 1, 1),
        ({"policies": [policy("Percent", 50, 15)]}, 3, 2),
        ({"policies": [policy("Pods", 2, 60)]}, 2, 0),
        ({"policies": [policy("Pods", 1, 15)]}, 1, 1),
        ({"policies": [policy("Pods", 3, 15)]}, 3, 2),
        ({"policies": [TWO], "selectPolicy": "Disabled"}, 0, 0),
        # Two policies that slow each other down: four in a minute, two at a time.
        ({"policies": [TWO, policy("Pods", 4, 60)], "selectPolicy": "Min"}, 2, 0),
        # The documented defaults: four pods or 100 %.
        ({}, 5, 2),
    ],
)
def test_policies_of_scaling_up(rules: dict[str, Any], most: int, least: int) -> None:
    found = up(**rules)
    assert (found.most, found.least) == (most, least)


def test_a_window_longer_than_the_period_holds_several_steps() -> None:
    assert up(window_s=60, policies=[TWO]).most == 7  # from 3 to 10, in 45 s
    assert up(window_s=16, policies=[TWO]).most == 4
    assert up(window_s=15, policies=[TWO]).most == 2


def test_nothing_is_faster_than_the_sync_period() -> None:
    """Every 15 s: a period of 20 s is 30 in effect, and is not called slow for that."""
    found = up(window_s=20, policies=[policy("Pods", 2, 20)])
    assert (found.most, found.least) == (2, 2)
    found = up(window_s=5, policies=[policy("Pods", 2, 5)])
    assert (found.most, found.least) == (2, 2)


def test_without_behavior_the_controllers_own_limits_apply() -> None:
    """The double, and at least four: from 3 it is 6; the documented default would be 7."""
    scaler = resolved(hpa(minReplicas=1))
    assert steps_up(scaler, 1) == [Step(0, 3), Step(15, 4), Step(30, 2)]
    assert steps_up(scaler, 3) == [Step(0, 3), Step(15, 4)]
    assert steps_up(resolved(hpa(behavior={})), 3) == [Step(0, 4), Step(15, 3)]
    assert steps_down(scaler, 10) == [Step(0, 9)]


def test_percentage_down_is_rounded_down() -> None:
    rules = {"scaleDown": {"policies": [policy("Percent", 10, 60)]}}
    scaler = resolved(hpa(minReplicas=1, behavior=rules))
    # 9 of 10, 8 of 9 (8.1), 7 of 8 (7.2), ...: always one, never none.
    assert [step.pods for step in steps_down(scaler, 10)] == [1] * 9


def test_policy_for_more_pods_than_exist_stops_at_the_minimum() -> None:
    rules = {"scaleDown": {"policies": [policy("Pods", 50, 60)]}}
    assert steps_down(resolved(hpa(behavior=rules)), 10) == [Step(0, 7)]


def test_scaling_down_can_be_disabled() -> None:
    found = down(policies=[policy("Pods", 1, 60)], selectPolicy="Disabled")
    assert (found.most, found.least) == (0, 0)


def test_smaller_policy_of_scaling_down() -> None:
    rules = [policy("Pods", 1, 60), policy("Percent", 100, 15)]
    assert down(policies=rules).most == 7
    assert down(policies=rules, selectPolicy="Min").most == 1


def test_a_stabilization_window_delays_and_does_not_slow_down() -> None:
    found = up(policies=[TWO], stabilizationWindowSeconds=120)
    assert (found.most, found.least, found.first_s) == (2, 2, 120)


def test_rate_is_unknown_without_room_to_scale() -> None:
    assert upward(resolved(hpa(minReplicas=3, maxReplicas=4)), 2, 15) is None
    assert downward(resolved(hpa(minReplicas=3, maxReplicas=3)), 1, 60) is None
    assert upward(resolved(hpa(minReplicas=5, maxReplicas=4)), 1, 15) is None


def test_simulation_samples_thousands_of_replica_counts() -> None:
    rules = {"scaleUp": {"policies": [policy("Percent", 10, 15)]}}
    found = upward(resolved(hpa(maxReplicas=5000, behavior=rules)), 1, 15)
    assert found is not None
    assert 10 <= found.counts <= 30
    assert 400 <= found.most <= 455
