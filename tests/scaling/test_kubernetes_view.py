"""What belongs to a workload, and what works against its autoscaler."""

from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.view import View, conflicts, state, view
from readiness.model.errors import NoData
from tests.support.kubernetes_samples import (
    TARGET,
    deployment,
    hpa,
    inventory,
    keda,
    made,
    seen,
    utilization,
)

BOTH = [utilization("cpu", 70), utilization("memory", 80)]


def names(found: View) -> list[str]:
    return [one.name for one in found.autoscalers]


def test_a_workload_and_its_autoscaler() -> None:
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


def test_what_scales_another_workload_is_nothing_of_ours() -> None:
    other = deployment(metadata={"name": "cart"})
    found = seen(
        deployment(), other, hpa(name="x", scaleTargetRef={**TARGET, "name": "cart"}), hpa()
    )
    assert (names(found), found.dangling) == (["HorizontalPodAutoscaler shop"], ())


def test_namespaces() -> None:
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


def test_a_workload_that_is_not_there() -> None:
    assert view(inventory(deployment()), "live", "deployment/cart", "") is None
    assert view(inventory(deployment()), "live", "statefulset/shop", "") is None


def test_a_stateful_set() -> None:
    ref = {**TARGET, "kind": "StatefulSet"}
    found = seen(
        deployment(kind="StatefulSet"), hpa(scaleTargetRef=ref), workload="statefulset/shop"
    )
    assert len(found.autoscalers) == 1


def test_bounds_that_leave_no_count() -> None:
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
def test_which_budgets_are_ours(selector: dict[str, Any] | None, selected: bool) -> None:
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
def test_a_vertical_autoscaler_on_the_same_figure(
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


def test_what_the_controller_did_not_say_is_absent() -> None:
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
def test_whether_it_wants_more(status: str, reason: str, stuck: bool) -> None:
    found = state(live(*WELL, condition("ScalingLimited", status, reason)))
    assert found.stuck_at_most == stuck


def test_the_old_api_hides_the_state() -> None:
    with pytest.raises(NoData, match="does not show its state"):
        state(seen(deployment(), hpa("autoscaling/v1")))
    with pytest.raises(NoData, match="0 live autoscalers"):
        state(seen(deployment()))


def test_the_state_of_what_keda_made() -> None:
    owner = {"ownerReferences": [{"kind": "ScaledObject", "name": "shop"}]}
    made_by_keda = hpa(name="keda-hpa-shop", metadata=owner, status={"conditions": list(WELL)})
    found = seen(deployment(), keda(), made_by_keda)
    assert (names(found), state(found).able) == (["ScaledObject shop"], "True")
