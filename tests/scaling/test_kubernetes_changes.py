"""Rolling updates, disruption budgets, and counts of replicas that are fixed."""

import json
from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.controllers import (
    Rollout,
    allowed,
    fixed_in_manifest,
    fixed_live,
    rollout_of,
)
from readiness.areas.scaling.kubernetes.objects import DisruptionBudget, Workload
from readiness.model.errors import NoData
from tests.support.kubernetes_samples import deployment, inventory, made


def workload(**spec: Any) -> Workload:
    (found,) = inventory(deployment(**spec)).of(Workload)
    return found


def rolling(**fields: Any) -> Rollout:
    return rollout_of(workload(strategy={"type": "RollingUpdate", "rollingUpdate": fields}))


def budget(**spec: Any) -> DisruptionBudget:
    (found,) = inventory(made("policy/v1", "PodDisruptionBudget", spec)).of(DisruptionBudget)
    return found


def test_a_strategy_that_is_left_out() -> None:
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


def test_recreate_takes_all_of_them() -> None:
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
def test_budgets_over_all_counts(spec: Any, may_go: list[int]) -> None:
    assert [allowed(budget(**spec), count) for count in range(1, 7)] == may_go


@pytest.mark.parametrize(("replicas", "fixed"), [(None, False), (3, True), (0, True)])
def test_a_count_in_the_manifest(replicas: int | None, fixed: bool) -> None:
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


def test_who_set_the_live_count() -> None:
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
