"""The requests of pods, and how many pods fit into quotas and onto nodes."""

from fractions import Fraction
from typing import Any

import pytest

from readiness.areas.scaling.kubernetes.capacity import (
    largest_node,
    limits,
    node_room,
    outside_ranges,
    quota_room,
    takes,
    whole,
)
from readiness.lib.kubernetes.objects import LimitRange, Node, PodSpec
from readiness.lib.kubernetes.resources import asked, lacking
from readiness.model.errors import NoData
from tests.support.kubernetes_samples import ASKS, deployment, inventory, made, seen

HALF, ONE, TWO = Fraction(1, 2), Fraction(1), Fraction(2)


def pod(*containers: dict[str, Any], **more: Any) -> PodSpec:
    return PodSpec.model_validate({"containers": list(containers), **more})


def container(name: str = "app", **resources: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "resources": resources}


def limit_range(**item: Any) -> list[LimitRange]:
    given = {"limits": [{"type": "Container", **item}]}
    return inventory(made("v1", "LimitRange", given)).of(LimitRange)


def test_missing_request_defaults_to_the_limit() -> None:
    (found,) = asked(pod(container(limits={"cpu": "1", "memory": "1Gi"})), [])
    assert [found.requests["cpu"], found.requests["memory"]] == [1, 2**30]
    (found,) = asked(pod(container(requests={"cpu": "500m"}, limits={"cpu": 2})), [])
    assert found.requests["cpu"] == HALF


def test_defaults_of_the_namespace() -> None:
    ranges = limit_range(default={"cpu": 2}, defaultRequest={"cpu": "500m"})
    (found,) = asked(pod(container()), ranges)
    assert [found.requests["cpu"], found.limits["cpu"]] == [HALF, 2]
    # Its own limit comes before them.
    (found,) = asked(pod(container(limits={"cpu": 1})), ranges)
    assert [found.requests["cpu"], found.limits["cpu"]] == [1, 1]
    (found,) = asked(pod(container()), limit_range(default={"memory": "1Gi"}))
    assert found.requests["memory"] == 2**30
    (found,) = asked(pod(container()), limit_range(max={"cpu": 4}, min={"memory": 1}))
    assert [found.requests, found.limits] == [{"cpu": 4, "memory": 1}, {"cpu": 4}]
    assert lacking(pod(container()), limit_range(type="Pod", max={"cpu": 4}), "cpu") == ["app"]


def test_containers_without_requests_are_named() -> None:
    spec = pod(container("app", **ASKS), container("proxy"), container("zero", requests={"cpu": 0}))
    assert lacking(spec, [], "cpu") == ["proxy", "zero"]
    assert lacking(spec, [], "memory") == ["proxy", "zero"]
    assert lacking(spec, [], "memory", limit=True) == ["proxy", "zero"]
    assert lacking(pod({"name": "app", "resources": None}), [], "cpu") == ["app"]
    assert lacking(pod({"name": "app"}), [], "cpu") == ["app"]


def test_sidecars_count_and_init_containers_do_not() -> None:
    init = {"name": "migrate"}
    sidecar = {"name": "mesh", "restartPolicy": "Always"}
    spec = pod(container("app", **ASKS), initContainers=[init, sidecar])
    assert lacking(spec, [], "cpu") == ["mesh"]


def test_requests_of_the_whole_pod_are_enough() -> None:
    own = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    spec = pod(container(), resources=own)
    assert lacking(spec, [], "cpu") == []
    assert lacking(spec, [], "memory") == []
    assert lacking(spec, [], "memory", limit=True) == []
    assert whole(spec, []) == {"cpu": 1, "memory": 2**30}


def test_pod_requests_are_the_sum_or_the_peak_at_its_start() -> None:
    app, proxy = container("a", requests={"cpu": 1}), container("b", requests={"cpu": "500m"})
    assert whole(pod(app, proxy), []) == {"cpu": Fraction(3, 2)}
    init = container("i", requests={"cpu": 2})
    assert whole(pod(app, proxy, initContainers=[init]), []) == {"cpu": 2}
    mesh = container("m", requests={"cpu": "500m"}) | {"restartPolicy": "Always"}
    assert whole(pod(app, initContainers=[mesh]), []) == {"cpu": Fraction(3, 2)}
    # What begins after a sidecar runs beside it.
    assert whole(pod(app, initContainers=[mesh, init]), []) == {"cpu": Fraction(5, 2)}
    assert whole(pod(app, initContainers=[init, mesh]), []) == {"cpu": 2}
    assert whole(pod(app, overhead={"cpu": "250m"}), []) == {"cpu": Fraction(5, 4)}
    assert whole(pod(), []) == {}


def test_limits_of_containers_are_added() -> None:
    spec = pod(container(limits={"memory": 2}), container(limits={"memory": 3}))
    assert limits(spec, []) == {"memory": 5}


def quota(hard: dict[str, Any], used: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    status = {} if used is None else {"used": used}
    return made("v1", "ResourceQuota", {"hard": hard, **spec}, status=status)


def rooms(*objects: dict[str, Any], **spec: Any) -> dict[str, int]:
    found = quota_room(seen(deployment(**spec), *objects))
    return {room.where.rpartition(" ")[2]: room.pods for room in found}


def test_room_in_a_quota() -> None:
    hard = {
        "pods": "5",
        "requests.cpu": "2",
        "memory": "1Gi",
        "limits.memory": "1Gi",
        "services": 1,
    }
    assert rooms(quota(hard)) == {"pods": 5, "requests.cpu": 8, "memory": 4, "limits.memory": 4}


def test_quota_counts_what_other_workloads_use() -> None:
    used = quota({"pods": 10}, {"pods": 7})
    assert rooms(used, status={"replicas": 3}) == {"pods": 6}
    assert rooms(used, status={"replicas": 0}) == {"pods": 3}
    assert rooms(quota({"pods": 1}, {"pods": 7})) == {"pods": 0}


def test_quota_on_a_resource_without_requests_refuses_the_pods() -> None:
    assert rooms(quota({"limits.cpu": "10"})) == {"limits.cpu": 0}


def by_class(operator: str, *values: str) -> dict[str, Any]:
    required = {"scopeName": "PriorityClass", "operator": operator, "values": list(values)}
    return {"scopeSelector": {"matchExpressions": [required]}}


@pytest.mark.parametrize(
    ("scope", "pod", "applies"),
    [
        ({"scopes": ["NotTerminating"]}, {}, True),
        ({"scopes": ["BestEffort"]}, {}, False),
        ({"scopes": ["Terminating", "NotBestEffort"]}, {}, False),
        ({"scopes": ["PriorityClass"]}, {}, False),
        ({"scopes": ["CrossNamespacePodAffinity"]}, {}, False),
        ({"scopeSelector": {"matchExpressions": []}}, {}, True),
        (by_class("In", "high"), {}, False),
        (by_class("In", "high"), {"priorityClassName": "high"}, True),
        (by_class("NotIn", "high"), {"priorityClassName": "low"}, True),
        (by_class("Exists"), {"priorityClassName": "low"}, True),
        (by_class("DoesNotExist"), {"priorityClassName": "low"}, False),
    ],
)
def test_scopes_of_quotas(scope: dict[str, Any], pod: dict[str, Any], applies: bool) -> None:
    spec = {"containers": [container("shop", **ASKS)], **pod}
    found = quota_room(seen(deployment(spec), quota({"pods": 5}, **scope)))
    assert [room.pods for room in found] == ([5] if applies else [])


def test_a_scope_that_is_not_known_is_an_error() -> None:
    with pytest.raises(NoData, match="scope is not understood"):
        rooms(quota({"pods": 5}, scopes=["OfTomorrow"]))


GPU = "nvidia.com/gpu"
CLAIM = {"metadata": {"name": "data"}, "spec": {
    "storageClassName": "fast", "resources": {"requests": {"storage": "10Gi"}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("hard", "pods"),
    [
        ({f"requests.{GPU}": 4}, 4),
        ({"requests.ephemeral-storage": "5Gi"}, 5),
        ({"ephemeral-storage": "5Gi"}, 5),
        ({"limits.ephemeral-storage": "5Gi"}, 2),
        ({"requests.storage": "35Gi"}, 3),
        ({"persistentvolumeclaims": 7}, 7),
        ({"count/persistentvolumeclaims": 7}, 7),
        ({"fast.storageclass.storage.k8s.io/requests.storage": "20Gi"}, 2),
        ({"fast.storageclass.storage.k8s.io/persistentvolumeclaims": 2}, 2),
        ({"slow.storageclass.storage.k8s.io/requests.storage": 0}, None),
        ({"requests.example.com/fpga": 1}, None),
        ({"count/pods": 3}, 3),
        ({"count/configmaps": 1, "services": 1, "secrets": 1}, None),
        ({"count/statefulsets.apps": 1}, 1),
    ],
)
def test_what_a_pod_and_its_claims_count_against(hard: dict[str, Any], pods: int | None) -> None:
    asks = {"requests": {"cpu": 1, GPU: 1, "ephemeral-storage": "1Gi"},
            "limits": {GPU: 1, "ephemeral-storage": "2Gi"}}  # fmt: skip
    spec = {"containers": [container("shop", **asks)]}
    workload = deployment(spec, kind="StatefulSet", volumeClaimTemplates=[CLAIM])
    found = quota_room(seen(workload, quota(hard), workload="statefulset/shop"))
    assert [room.pods for room in found] == ([] if pods is None else [pods])


def test_a_quota_refuses_containers_without_what_it_counts() -> None:
    init = container("migrate", requests={"cpu": "1", "memory": "1Gi"})
    spec = {"containers": [container("shop", requests={"cpu": 1, "memory": 1},
                                     limits={"cpu": 1, "memory": 1})],
            "initContainers": [init]}  # fmt: skip
    (room,) = quota_room(seen(deployment(spec), quota({"limits.cpu": 100})))
    assert (room.pods, "migrate" in room.why) == (0, True)
    # The defaults of the namespace come first.
    ranges = made("v1", "LimitRange", {"limits": [{"type": "Container", "default": {"cpu": 1}}]})
    (room,) = quota_room(seen(deployment(spec), quota({"limits.cpu": 100}), ranges))
    assert room.pods == 100
    assert quota_room(seen(deployment(spec), quota({"requests.cpu": 100})))[0].pods == 100


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"type": "Container", "max": {"memory": "128Mi"}}, "memory 268.4 MB is above 134.2 MB"),
        ({"type": "Container", "max": {"memory": "256Mi"}}, ""),
        ({"type": "Container", "min": {"cpu": "100m"}}, ""),
        ({"type": "Container", "min": {"cpu": "500m"}}, "cpu 0.25 is below 0.5"),
        ({"type": "Container", "default": {"cpu": "200m"}}, "requests 0.25 of cpu, above"),
        ({"type": "Container", "default": {"cpu": "1"}}, ""),
        ({"type": "Container", "maxLimitRequestRatio": {"memory": "1"}}, ""),
        ({"type": "Container", "default": {"cpu": 1}, "maxLimitRequestRatio": {"cpu": 2}},
         "its limit of cpu is 4 times its request, at most 2 allowed"),
        ({"type": "Pod", "max": {"memory": "1Gi"}}, ""),
        ({"type": "Pod", "max": {"cpu": "1"}}, "the pod has no limit of cpu"),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "5Gi"}}, "claim data: storage"),
        ({"type": "PersistentVolumeClaim", "min": {"storage": "5Gi"}}, ""),
        ({"type": "openshift.io/Image", "max": {"storage": "1Gi"}}, ""),
    ],
)  # fmt: skip
def test_what_a_limit_range_refuses(item: dict[str, Any], told: str) -> None:
    ranges = made("v1", "LimitRange", {"limits": [item]})
    workload = deployment(kind="StatefulSet", volumeClaimTemplates=[CLAIM])
    found = outside_ranges(seen(workload, ranges, workload="statefulset/shop"))
    assert told in "; ".join(found)
    assert bool(found) is bool(told)


READY = [{"type": "Ready", "status": "True"}]


def node(name: str = "n1", spec: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    allocatable = more.pop("allocatable", {"cpu": "2", "memory": "4Gi", "pods": "10"})
    status = {"allocatable": allocatable, "conditions": more.pop("conditions", READY)}
    return made("v1", "Node", spec or {}, name, status=status, metadata={"namespace": "", **more})


def running(name: str, on: str, cpu: str = "250m", **more: Any) -> dict[str, Any]:
    spec = {"nodeName": on, "containers": [container("shop", requests={"cpu": cpu})]}
    phase = {"phase": more.pop("phase", "Running")}
    place = {"namespace": "shop" if "labels" in more else "else"}
    return made("v1", "Pod", spec, name, status=phase, metadata=place | more)


def test_room_on_the_nodes() -> None:
    other = running("other", "n1", "1")
    ours = running("shop-1", "n1", labels={"app": "shop", "hash": "1"})
    done = running("done", "n1", "1", phase="Succeeded")
    found = node_room(seen(deployment(), node("n1"), node("n2"), other, ours, done))
    assert found.pods == 4 + 8  # of 2 cores, 1 is free on the first
    assert largest_node(seen(deployment(), node("n1"), node("n2"))).pods == 8


def test_scarcest_resource_decides_including_the_pod_limit() -> None:
    small = node("n1", allocatable={"cpu": "100", "memory": "1Gi", "pods": "110"})
    assert node_room(seen(deployment(), small, running("o", "n1"))).pods == 4
    few = node("n1", allocatable={"cpu": "100", "memory": "99Gi", "pods": "3"})
    assert node_room(seen(deployment(), few, running("o", "n1"))).pods == 2
    silent = node("n1", allocatable={"cpu": "100", "pods": "110"})
    assert node_room(seen(deployment(), silent, running("o", "n1"))).pods == 0


def test_a_pod_of_another_namespace_with_our_labels_is_not_ours() -> None:
    other = running("x", "n1", "1", namespace="else", labels={"app": "shop"})
    assert node_room(seen(deployment(), node(), other)).pods == 4


def test_nodes_whose_load_is_not_known_are_an_error() -> None:
    ours = running("shop-1", "n1", labels={"app": "shop"})
    for pods in ((), (ours,)):
        with pytest.raises(NoData, match="not what other namespaces run on them"):
            node_room(seen(deployment(), node(), *pods))


@pytest.mark.parametrize(
    ("on", "spec", "takes_it"),
    [
        (node(), {}, True),
        (node(spec={"unschedulable": True}), {}, False),
        (node(conditions=[{"type": "Ready", "status": "Unknown"}]), {}, False),
        (node(conditions=[]), {}, False),
        (node(spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}), {}, False),
        (node(spec={"taints": [{"key": "gpu", "effect": "PreferNoSchedule"}]}), {}, True),
        (node(spec={"taints": [{"key": "gpu", "effect": "NoExecute"}]}),
         {"tolerations": [{"operator": "Exists"}]}, True),
        (node(spec={"taints": [{"key": "gpu", "value": "a", "effect": "NoSchedule"}]}),
         {"tolerations": [{"key": "gpu", "value": "b"}]}, False),
        (node(spec={"taints": [{"key": "gpu", "value": "a", "effect": "NoSchedule"}]}),
         {"tolerations": [{"key": "gpu", "value": "a", "effect": "NoSchedule"}]}, True),
        (node(labels={"disk": "ssd"}), {"nodeSelector": {"disk": "ssd"}}, True),
        (node(), {"nodeSelector": {"disk": "ssd"}}, False),
    ],
)  # fmt: skip
def test_node_accepts_a_pod(on: dict[str, Any], spec: dict[str, Any], takes_it: bool) -> None:
    (found,) = inventory(on).of(Node)
    assert takes(found, pod(**spec)) == takes_it


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [("In", ["a", "b"], True), ("In", ["b"], False), ("NotIn", ["b"], True),
     ("NotIn", ["a"], False), ("Exists", [], True), ("DoesNotExist", [], False)],
)  # fmt: skip
def test_required_node_affinity(operator: str, values: list[str], holds: bool) -> None:
    line = {"key": "zone", "operator": operator, "values": values}
    required = {"nodeSelectorTerms": [{"matchExpressions": [line]}]}
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    spec = pod(affinity={"nodeAffinity": {key: required}})
    (found,) = inventory(node(labels={"zone": "a"})).of(Node)
    assert takes(found, spec) == holds


def test_unknown_node_affinity_operator_is_an_error() -> None:
    terms = [{"matchExpressions": [{"key": "zone", "operator": "Near"}]}]
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    spec = pod(affinity={"nodeAffinity": {key: {"nodeSelectorTerms": terms}}})
    (found,) = inventory(node()).of(Node)
    with pytest.raises(NoData, match="'Near', which is not understood"):
        takes(found, spec)
