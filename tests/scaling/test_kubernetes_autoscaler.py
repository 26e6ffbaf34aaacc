from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.autoscaler import Target, autoscalers
from readiness.areas.scaling.kubernetes.objects import HorizontalPodAutoscaler, ScaledObject
from readiness.model.errors import NoData
from tests.support.kubernetes_samples import hpa, inventory, keda, policy, resolved, utilization

SHOP = Target("apps", "Deployment", "shop")


def descriptions(*objects: dict[str, Any]) -> list[str]:
    return [metric.description for metric in resolved(*objects).metrics]


def test_what_is_left_out_of_an_autoscaler() -> None:
    found = resolved(hpa(minReplicas=None))
    assert (found.target, found.least, found.most) == (SHOP, 1, 10)
    assert descriptions(hpa()) == ["cpu 80 %"]
    assert (found.up.fixed, found.up.hold_s) == (True, 0)
    assert (found.down.fixed, found.down.hold_s) == (True, 300)


def test_null_is_the_same_as_nothing() -> None:
    found = hpa()
    found["spec"] |= {"minReplicas": None, "metrics": None, "behavior": None}
    assert resolved(found) == resolved(hpa(minReplicas=None))


def test_a_behaviour_with_one_direction_gets_the_defaults_of_the_other() -> None:
    rules = {"policies": [policy("Pods", 2, 15)]}
    found = resolved(hpa(behavior={"scaleUp": rules}))
    assert [(p.type, p.value, p.period_seconds) for p in found.up.policies] == [("Pods", 2, 15)]
    assert (found.up.select, found.up.hold_s, found.up.fixed) == ("Max", 0, False)
    assert [(p.type, p.value, p.period_seconds) for p in found.down.policies] == [
        ("Percent", 100, 15)
    ]
    assert found.down.hold_s == 300


def test_an_empty_behaviour_is_one() -> None:
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


def test_metrics_in_words_and_figures() -> None:
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


def test_the_old_api() -> None:
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


def test_what_is_left_out_of_a_scaled_object() -> None:
    found = resolved(keda())
    assert (found.target, found.least, found.most) == (SHOP, 0, 100)
    assert (found.metrics, found.up.fixed, found.paused) == ((), True, "")


def test_a_scaled_object() -> None:
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


def test_when_idle_a_scaled_object_goes_below_its_least() -> None:
    assert resolved(keda(minReplicaCount=3, idleReplicaCount=0)).least == 0


@pytest.mark.parametrize(("value", "paused"), [("true", True), ("false", False), ("0", True)])
def test_a_scaled_object_that_is_paused(value: str, paused: bool) -> None:
    name = "autoscaling.keda.sh/paused" + ("-replicas" if value == "0" else "")
    assert bool(resolved(keda(metadata={"annotations": {name: value}})).paused) == paused


def test_what_keda_made_counts_once() -> None:
    owner = {"ownerReferences": [{"kind": "ScaledObject", "name": "shop", "apiVersion": "keda.sh"}]}
    made = hpa(name="keda-hpa-shop", metadata=owner)
    found = inventory(keda(), made)
    hpas, scaled = found.of(HorizontalPodAutoscaler), found.of(ScaledObject)
    assert [one.name for one in autoscalers(hpas, scaled)] == ["ScaledObject shop"]
    # Where the ScaledObject itself is not seen, what it made is.
    assert len(autoscalers(hpas, [])) == 1
