"""A workload with its autoscaler: defaults, what belongs to it, and what works against it."""

from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.autoscaler import Target, autoscalers
from readiness.areas.scaling.kubernetes.view import View, conflicts, state, view
from readiness.lib.kubernetes.objects import HorizontalPodAutoscaler, ScaledObject
from readiness.model.errors import NoData
from tests.support.kubernetes_samples import (
    TARGET,
    deployment,
    hpa,
    inventory,
    keda,
    made,
    policy,
    resolved,
    seen,
    utilization,
)

SHOP = Target("apps", "Deployment", "shop")


def descriptions(*objects: dict[str, Any]) -> list[str]:
    return [metric.description for metric in resolved(*objects).metrics]


def test_defaults_of_an_autoscaler() -> None:
    found = resolved(hpa(minReplicas=None))
    assert (found.target, found.least, found.most) == (SHOP, 1, 10)
    assert descriptions(hpa()) == ["cpu 80 %"]
    assert (found.up.fixed, found.up.hold_s) == (True, 0)
    assert (found.down.fixed, found.down.hold_s) == (True, 300)


def test_null_is_the_same_as_a_missing_key() -> None:
    found = hpa()
    found["spec"] |= {"minReplicas": None, "metrics": None, "behavior": None}
    assert resolved(found) == resolved(hpa(minReplicas=None))


def test_behavior_with_one_direction_gets_the_defaults_of_the_other() -> None:
    rules = {"policies": [policy("Pods", 2, 15)]}
    found = resolved(hpa(behavior={"scaleUp": rules}))
    assert [(p.type, p.value, p.period_seconds) for p in found.up.policies] == [("Pods", 2, 15)]
    assert (found.up.select, found.up.hold_s, found.up.fixed) == ("Max", 0, False)
    assert [(p.type, p.value, p.period_seconds) for p in found.down.policies] == [
        ("Percent", 100, 15)
    ]
    assert found.down.hold_s == 300


def test_empty_behavior_has_the_documented_defaults() -> None:
    """`behavior: {}` has the documented defaults; without it the controller's own limits count."""
    found = resolved(hpa(behavior={}))
    assert [(p.type, p.value) for p in found.up.policies] == [("Pods", 4), ("Percent", 100)]
    assert not found.up.fixed


def test_a_stabilization_window_of_zero_is_zero() -> None:
    found = resolved(hpa(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}}))
    assert found.down.hold_s == 0


@pytest.mark.parametrize(
    "rules",
    [
        {"policies": []},
        {"policies": [policy("Pods", 0, 15)]},
        {"policies": [policy("Pods", -2, 15)]},
        {"policies": [policy("Pods", 2, 0)]},
        {"policies": [policy("Pods", 2, 1801)]},
        {"policies": [policy("Nodes", 2, 15)]},
        {"policies": [{"type": "Pods", "value": 2}]},
        {"selectPolicy": "Most"},
        {"stabilizationWindowSeconds": -1},
        {"stabilizationWindowSeconds": 3601},
    ],
)
def test_rules_that_the_api_server_refuses(rules: Any) -> None:
    with pytest.raises(NoData, match="not what the API server accepts"):
        resolved(hpa(behavior={"scaleUp": rules}))


def test_metrics_are_described() -> None:
    value = {"type": "Resource", "resource": {"name": "cpu", "target": {
        "type": "AverageValue", "averageValue": "500m"}}}  # fmt: skip
    one = {"type": "ContainerResource", "containerResource": {
        "name": "memory", "container": "app", "target": {
            "type": "Utilization", "averageUtilization": 80}}}  # fmt: skip
    other = {"type": "External", "external": {"metric": {"name": "queue"}}}
    found = resolved(hpa(metrics=[utilization("cpu", 70), value, one, other]))
    assert [(m.resource, m.percent) for m in found.metrics] == [
        ("cpu", 70), ("cpu", None), ("memory", 80), ("", None)
    ]  # fmt: skip
    assert [m.description for m in found.metrics] == [
        "cpu 70 %", "cpu 500m of each pod", "memory of container app 80 %",
        "a metric of type External",
    ]  # fmt: skip


def test_autoscaling_v1_is_resolved() -> None:
    assert descriptions(hpa("autoscaling/v1", targetCPUUtilizationPercentage=65)) == ["cpu 65 %"]
    assert descriptions(hpa("autoscaling/v1")) == ["cpu 80 %"]
    assert resolved(hpa("autoscaling/v1")).up.fixed
    hidden = {"annotations": {"autoscaling.alpha.kubernetes.io/behavior": "{}"}}
    with pytest.raises(NoData, match="in the annotation"):
        resolved(hpa("autoscaling/v1", metadata=hidden))


def test_a_target_without_an_api_group_matches_nothing() -> None:
    ref = {"kind": "Deployment", "name": "shop"}
    found = resolved(hpa(scaleTargetRef=ref)).target
    assert found != SHOP
    assert str(found) == "deployment/shop (without an API group)"
    old = resolved(hpa(scaleTargetRef={**ref, "apiVersion": "apps/v1beta1"})).target
    assert old == SHOP  # the version does not matter


def test_defaults_of_a_scaled_object() -> None:
    found = resolved(keda())
    assert (found.target, found.least, found.most) == (SHOP, 0, 100)
    assert (found.metrics, found.up.fixed, found.paused) == ((), True, "")


def test_scaled_object_is_resolved() -> None:
    triggers = [
        {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}},
        {"type": "memory", "metadata": {"type": "Utilization", "value": "80"}},
        {"type": "cpu", "metricType": "AverageValue", "metadata": {"value": "500m"}},
        {"type": "prometheus", "metadata": {"query": "up"}},
    ]
    rules = {"scaleUp": {"policies": [policy("Pods", 2, 15)]}}
    found = resolved(
        keda(
            minReplicaCount=3,
            maxReplicaCount=10,
            triggers=triggers,
            advanced={"horizontalPodAutoscalerConfig": {"behavior": rules}},
        )
    )
    assert [(m.resource, m.percent) for m in found.metrics] == [
        ("cpu", 70), ("memory", 80), ("cpu", None), ("", None)
    ]  # fmt: skip
    assert (found.least, found.most, found.up.fixed) == (3, 10, False)


def test_idle_scaled_object_goes_below_its_minimum() -> None:
    assert resolved(keda(minReplicaCount=3, idleReplicaCount=0)).least == 0


@pytest.mark.parametrize(("value", "paused"), [("true", True), ("false", False), ("0", True)])
def test_paused_scaled_object_is_detected(value: str, paused: bool) -> None:
    name = "autoscaling.keda.sh/paused" + ("-replicas" if value == "0" else "")
    assert bool(resolved(keda(metadata={"annotations": {name: value}})).paused) == paused


def test_autoscaler_that_keda_made_counts_once() -> None:
    owner = {"ownerReferences": [{"kind": "ScaledObject", "name": "shop", "apiVersion": "keda.sh"}]}
    made = hpa(name="keda-hpa-shop", metadata=owner)
    found = inventory(keda(), made)
    hpas, scaled = found.of(HorizontalPodAutoscaler), found.of(ScaledObject)
    assert [one.name for one in autoscalers(hpas, scaled)] == ["ScaledObject shop"]
    # Where the ScaledObject itself is not seen, what it made is.
    assert len(autoscalers(hpas, [])) == 1


BOTH = [utilization("cpu", 70), utilization("memory", 80)]


def names(found: View) -> list[str]:
    return [one.name for one in found.autoscalers]


def test_workload_has_its_autoscaler_and_replica_counts() -> None:
    found = seen(deployment(), hpa())
    assert (found.name, found.autoscaler.most, found.counts) == (
        "deployment/shop", 10, range(3, 11)
    )  # fmt: skip


def test_two_autoscalers_on_one_workload() -> None:
    found = seen(deployment(), hpa(), hpa("autoscaling/v1", name="old"), keda())
    assert len(names(found)) == 3
    with pytest.raises(NoData, match="need exactly one autoscaler"):
        found.autoscaler  # noqa: B018 - it raises


@pytest.mark.parametrize(
    "ref",
    [
        {**TARGET, "name": "shpo"},
        {**TARGET, "kind": "StatefulSet"},
        {**TARGET, "kind": "deployment"},
        {**TARGET, "apiVersion": "extensions/v1beta1"},
        {"kind": "Deployment", "name": "shop"},
    ],
)
def test_an_autoscaler_with_a_dangling_target(ref: dict[str, str]) -> None:
    found = seen(deployment(), hpa(scaleTargetRef=ref))
    assert names(found) == []
    (told,) = found.dangling
    assert told.startswith("HorizontalPodAutoscaler shop targets ")


def test_autoscaler_of_another_workload_does_not_count() -> None:
    other = deployment(metadata={"name": "cart"})
    found = seen(
        deployment(), other, hpa(name="x", scaleTargetRef={**TARGET, "name": "cart"}), hpa()
    )
    assert (names(found), found.dangling) == (["HorizontalPodAutoscaler shop"], ())


def test_only_objects_of_the_namespace_count() -> None:
    elsewhere = {"namespace": "else"}
    both = inventory(deployment(), deployment(metadata=elsewhere), hpa(), hpa(metadata=elsewhere))
    found = view(both, "live", "deployment/shop", "else")
    assert found is not None
    assert len(found.autoscalers) == 1
    with pytest.raises(NoData, match="exists 2 times: else, shop"):
        view(both, "live", "deployment/shop", "")
    # What names no namespace is where its neighbours are.
    nowhere = seen(deployment(metadata={"namespace": ""}), hpa())
    assert len(nowhere.autoscalers) == 1


def test_missing_workload_is_none() -> None:
    assert view(inventory(deployment()), "live", "deployment/cart", "") is None
    assert view(inventory(deployment()), "live", "statefulset/shop", "") is None


def test_stateful_set_has_its_autoscaler() -> None:
    ref = {**TARGET, "kind": "StatefulSet"}
    found = seen(
        deployment(kind="StatefulSet"), hpa(scaleTargetRef=ref), workload="statefulset/shop"
    )
    assert len(found.autoscalers) == 1


def test_bounds_without_a_replica_count_are_an_error() -> None:
    with pytest.raises(NoData, match="at least 5 and at most 4"):
        seen(deployment(), hpa(minReplicas=5, maxReplicas=4)).counts  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "shop", "tier": "x"}}, False),
        ({}, True),  # an empty one selects everything
        (None, False),  # none selects nothing (policy/v1)
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["shop"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_budget_selects_pods_by_label(selector: dict[str, Any] | None, selected: bool) -> None:
    budget = made("policy/v1", "PodDisruptionBudget", {"selector": selector, "maxUnavailable": 1})
    assert bool(seen(deployment(), hpa(), budget).budgets) == selected


def vpa(mode: str | None = None, *policies: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"targetRef": TARGET}
    if mode:
        spec["updatePolicy"] = {"updateMode": mode}
    if policies:
        spec["resourcePolicy"] = {"containerPolicies": list(policies)}
    return made("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", spec)


@pytest.mark.parametrize(
    ("vertical", "metrics", "count"),
    [
        (vpa(), BOTH, 2),  # by default it acts, on both
        (vpa("Off"), BOTH, 0),
        (vpa("Initial"), BOTH, 2),
        (vpa("Recreate"), [utilization("cpu", 70)], 1),
        (vpa("Auto", {"containerName": "*", "controlledResources": ["memory"]}), BOTH, 1),
        (vpa("Auto", {"controlledResources": ["memory"]}), [utilization("cpu", 70)], 0),
        (vpa("Auto", {"containerName": "*", "mode": "Off"}), BOTH, 0),
        (vpa("Auto", {"containerName": "shop", "mode": "Off"}), BOTH, 0),
        (vpa("Auto", {"containerName": "*", "mode": "Off"}, {"containerName": "shop"}), BOTH, 2),
        (vpa("Auto", {"containerName": "proxy", "mode": "Off"}), BOTH, 2),
        (vpa("Auto", {"controlledResources": []}), BOTH, 0),
        (vpa(), [{"type": "External"}], 0),
    ],
)
def test_conflict_with_a_vertical_autoscaler_is_found(
    vertical: dict[str, Any], metrics: list[Any], count: int
) -> None:
    assert len(conflicts(seen(deployment(), hpa(metrics=metrics), vertical))) == count


def condition(kind: str, status: str, reason: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": ""}


def live(*conditions: dict[str, str], api: str = "autoscaling/v2", **more: Any) -> View:
    status = {"conditions": list(conditions), **more}
    return seen(deployment(), hpa(api, metrics=BOTH, status=status))


WELL = (condition("AbleToScale", "True"), condition("ScalingActive", "True"))


def test_the_state_of_an_autoscaler() -> None:
    found = state(live(*WELL, currentMetrics=[{"type": "Resource"}, {"type": "Resource"}]))
    assert (found.able, found.active, found.metrics, found.seen) == ("True", "True", 2, 2)
    assert not found.stuck_at_most


def test_unreported_conditions_are_absent() -> None:
    found = state(live())
    assert (found.able, found.active, found.seen) == ("absent", "absent", 0)
    assert state(seen(deployment(), hpa())).metrics == 1  # of CPU, by default


@pytest.mark.parametrize("current", [None, [], [None], [{"type": ""}]])
def test_metrics_without_a_value(current: Any) -> None:
    assert state(live(*WELL, currentMetrics=current)).seen == 0


@pytest.mark.parametrize(
    ("status", "reason", "stuck"),
    [("True", "TooManyReplicas", True), ("True", "TooFewReplicas", False),
     ("False", "TooManyReplicas", False), ("True", "ScaleUpLimit", False)],
)  # fmt: skip
def test_autoscaler_at_its_maximum_is_detected(status: str, reason: str, stuck: bool) -> None:
    found = state(live(*WELL, condition("ScalingLimited", status, reason)))
    assert found.stuck_at_most == stuck


def test_the_old_api_hides_the_state() -> None:
    with pytest.raises(NoData, match="does not show its state"):
        state(seen(deployment(), hpa("autoscaling/v1")))
    with pytest.raises(NoData, match="0 live autoscalers"):
        state(seen(deployment()))


def test_state_of_an_autoscaler_that_keda_made() -> None:
    owner = {"ownerReferences": [{"kind": "ScaledObject", "name": "shop"}]}
    made_by_keda = hpa(name="keda-hpa-shop", metadata=owner, status={"conditions": list(WELL)})
    found = seen(deployment(), keda(), made_by_keda)
    assert (names(found), state(found).able) == (["ScaledObject shop"], "True")
