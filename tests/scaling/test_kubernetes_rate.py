"""The controller at full pressure, from every count: what is declared, and what really happens."""

from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.controllers import (
    Rate,
    Step,
    downward,
    steps_down,
    steps_up,
    upward,
)
from tests.support.kubernetes_samples import hpa, policy, resolved

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
def test_rules_of_growth(rules: dict[str, Any], most: int, least: int) -> None:
    found = up(**rules)
    assert (found.most, found.least) == (most, least)


def test_a_window_longer_than_the_period_holds_several_steps() -> None:
    assert up(window_s=60, policies=[TWO]).most == 7  # from 3 to 10, in 45 s
    assert up(window_s=16, policies=[TWO]).most == 4
    assert up(window_s=15, policies=[TWO]).most == 2


def test_nothing_is_faster_than_the_controller_looks() -> None:
    """Every 15 s: a period of 20 s is 30 in effect, and is not called slow for that."""
    found = up(window_s=20, policies=[policy("Pods", 2, 20)])
    assert (found.most, found.least) == (2, 2)
    found = up(window_s=5, policies=[policy("Pods", 2, 5)])
    assert (found.most, found.least) == (2, 2)


def test_without_any_behaviour() -> None:
    """The double, and at least four: from 3 it is 6; the documented default would be 7."""
    scaler = resolved(hpa(minReplicas=1))
    assert steps_up(scaler, 1) == [Step(0, 3), Step(15, 4), Step(30, 2)]
    assert steps_up(scaler, 3) == [Step(0, 3), Step(15, 4)]
    assert steps_up(resolved(hpa(behavior={})), 3) == [Step(0, 4), Step(15, 3)]
    assert steps_down(scaler, 10) == [Step(0, 9)]


def test_a_percentage_down_is_cut_off() -> None:
    rules = {"scaleDown": {"policies": [policy("Percent", 10, 60)]}}
    scaler = resolved(hpa(minReplicas=1, behavior=rules))
    # 9 of 10, 8 of 9 (8.1), 7 of 8 (7.2), ...: always one, never none.
    assert [step.pods for step in steps_down(scaler, 10)] == [1] * 9


def test_more_than_all_of_them() -> None:
    rules = {"scaleDown": {"policies": [policy("Pods", 50, 60)]}}
    assert steps_down(resolved(hpa(behavior=rules)), 10) == [Step(0, 7)]


def test_shrinking_can_be_switched_off() -> None:
    found = down(policies=[policy("Pods", 1, 60)], selectPolicy="Disabled")
    assert (found.most, found.least) == (0, 0)


def test_the_lesser_policy_down() -> None:
    rules = [policy("Pods", 1, 60), policy("Percent", 100, 15)]
    assert down(policies=rules).most == 7
    assert down(policies=rules, selectPolicy="Min").most == 1


def test_a_stabilization_window_delays_and_does_not_slow_down() -> None:
    found = up(policies=[TWO], stabilizationWindowSeconds=120)
    assert (found.most, found.least, found.first_s) == (2, 2, 120)


def test_where_there_is_no_room_nothing_can_be_told() -> None:
    assert upward(resolved(hpa(minReplicas=3, maxReplicas=4)), 2, 15) is None
    assert downward(resolved(hpa(minReplicas=3, maxReplicas=3)), 1, 60) is None
    assert upward(resolved(hpa(minReplicas=5, maxReplicas=4)), 1, 15) is None


def test_of_thousands_of_replicas_some_are_looked_at() -> None:
    rules = {"scaleUp": {"policies": [policy("Percent", 10, 15)]}}
    found = upward(resolved(hpa(maxReplicas=5000, behavior=rules)), 1, 15)
    assert found is not None
    assert 10 <= found.counts <= 30
    assert 400 <= found.most <= 455
