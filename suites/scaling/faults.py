"""Faults of the shop's manifests, live objects and connections that the scaling checks find."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import Fault, broken_by

if TYPE_CHECKING:
    from readiness.reference.levers import Levers

_AUTOSCALER: Final = "autoscaler.yaml"
_DEPLOYMENT: Final = "deployment.yaml"
_AROUND: Final = "around.yaml"
_LIVE: Final = "live.json"

_ONE: Final = "scaling.autoscaler[shop]"
_POLICY: Final = "scaling.autoscaler-policy[shop]"
_STATE: Final = "scaling.autoscaler-live[shop]"
_CAPACITY: Final = "scaling.capacity[shop]"
_DISRUPTION: Final = "scaling.disruption[shop]"
_MANIFESTS: Final = "scaling.manifests[shop]"
_TEMPLATE: Final = "scaling.pod-template[shop]"
_CONNECTIONS: Final = "scaling.connection-budget[shop]"
# Without exactly one autoscaler its bounds are unknown, and with them all that follows from them.
_NOT_ONE: Final[Mapping[str, set[str]]] = {_ONE: {"one-autoscaler"}} | {
    check: set() for check in (_POLICY, _CAPACITY, _DISRUPTION, _CONNECTIONS)
}
_METRICS: Final = """\
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
    - type: Resource
      resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}
"""
_BEHAVIOR: Final = """\
  behavior:
    scaleUp:
      policies: [{type: Pods, value: 2, periodSeconds: 15}]
    scaleDown:
      policies: [{type: Pods, value: 1, periodSeconds: 60}]
"""
_HPA: Final = f"""\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: shop
  namespace: shop
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: shop}}
  minReplicas: 3
  maxReplicas: 10
{_METRICS}{_BEHAVIOR}"""
_SECOND: Final = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop-old, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 3
  maxReplicas: 10
---
# Recommends"""
_PAUSED: Final = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: shop
  namespace: shop
  annotations: {autoscaling.keda.sh/paused: "true"}
spec:
  scaleTargetRef: {name: shop}
  minReplicaCount: 3
  maxReplicaCount: 10
  triggers:
    - {type: cpu, metricType: Utilization, metadata: {value: "70"}}
    - {type: memory, metricType: Utilization, metadata: {value: "80"}}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp: {policies: [{type: Pods, value: 2, periodSeconds: 15}]}
        scaleDown: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}
"""
_ACTIVE: Final = """\
            "type": "ScalingActive",
            "status": "True",
            "reason": "ValidMetricFound","""
_ABLE: Final = """\
            "type": "AbleToScale",
            "status": "True",
            "reason": "ReadyForNewScale","""
_MEMORY_SEEN: Final = """\
          {
            "type": "Resource",
            "resource": {
              "name": "memory",
              "current": {"""
_PROBE: Final = "readinessProbe: {httpGet: {path: /health/ready, port: 8000}, periodSeconds: 2}"
_ROLLING: Final = "    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}\n"
_STARTS: Final = (
    "          resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 128Mi}}\n"
)
_SERVICE: Final = "apiVersion: v1\nkind: Service"
_RANGE: Final = f"""\
apiVersion: v1
kind: LimitRange
metadata: {{name: shop, namespace: shop}}
spec: {{limits: [{{type: Container, max: {{memory: 200Mi}}}}]}}
---
{_SERVICE}"""
# A worker of the same release, whose pods have the labels of the shop and one more.
_WORKER: Final = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: worker, namespace: shop}}
spec:
  replicas: 5
  selector: {{matchLabels: {{SELECTOR}}}}
  template:
    metadata: {{labels: {{LABELS}}}}
    spec: {{containers: [{{name: worker, image: "registry.example.com/shop:1.5.0"}}]}}
---
{_SERVICE}"""
_SOCKET: Final = "      volumes: [{name: runtime, hostPath: {path: /run/docker.sock}}]\n"
_URL: Final = "            - name: DATABASE_URL\n"
_MEMORY_LIMIT: Final = "            limits: {memory: 64Mi}\n"


def _edited(
    name: str,
    story: str,
    misses: Mapping[str, set[str]],
    file: str,
    texts: tuple[str, str],
    times: int = 1,
) -> Fault:
    """A fault that replaces the first occurrences of a text by another in one of the manifests."""

    def edit(levers: "Levers") -> tuple[AbstractContextManager[None], ...]:
        return tuple(levers.edit_manifest(file, *texts) for _ in range(times))

    return broken_by(name, story, misses, edit)


def _limited(name: str, story: str, key: str, of: str, limit: int) -> Fault:
    """A fault that sets a connection limit, which had none before."""
    commands = [f"alter {of} connection limit {most}" for most in (limit, -1)]
    return broken_by(name, story, {_CONNECTIONS: {key}}, lambda levers: levers.sql(*commands))


vertical_autoscaler_acts = _edited(
    "vertical_autoscaler_acts",
    "A vertical autoscaler, meant to recommend only, changes the requests that the other scales by",
    {_ONE: {"conflict"}},
    _AUTOSCALER,
    ('updateMode: "Off"', "updateMode: Auto"),
)
autoscaler_target_misspelled = _edited(
    "autoscaler_target_misspelled",
    "The name in the autoscaler's scaleTargetRef has a typing error, which the API server accepts",
    _NOT_ONE,
    _AUTOSCALER,
    ("kind: Deployment, name: shop", "kind: Deployment, name: shpo"),
)
two_autoscalers = _edited(
    "two_autoscalers",
    "Last year's autoscaler was never deleted: the two undo each other every 15 seconds",
    _NOT_ONE,
    _AUTOSCALER,
    ("# Recommends", _SECOND),
)
autoscaler_paused = _edited(
    "autoscaler_paused",
    "The workload is scaled by a ScaledObject of KEDA that was paused and never resumed",
    {_ONE: {"paused"}},
    _AUTOSCALER,
    (_HPA, _PAUSED),
)
min_replicas_lowered = _edited(
    "min_replicas_lowered",
    "Somebody lowered minReplicas to 2 in the cluster; the manifest still says 3",
    {_ONE: {"min-replicas"}},
    _LIVE,
    ('"minReplicas": 3', '"minReplicas": 2'),
)
min_replicas_left_out = _edited(
    "min_replicas_left_out",
    "minReplicas is left out and therefore 1: a budget that lets one pod go lets all of them go",
    {_ONE: {"min-replicas"}, _DISRUPTION: {"remaining"}},
    _AUTOSCALER,
    ("  minReplicas: 3\n", ""),
)
max_replicas_lowered = _edited(
    "max_replicas_lowered",
    "Somebody lowered maxReplicas to 8 in the cluster; ten replicas are needed",
    {_ONE: {"max-replicas"}},
    _LIVE,
    ('"maxReplicas": 10', '"maxReplicas": 8'),
)
replicas_in_the_manifest = _edited(
    "replicas_in_the_manifest",
    "The manifest sets three replicas: each apply scales ten back to three",
    {_ONE: {"fixed-replicas"}},
    _DEPLOYMENT,
    ("spec:\n  selector:", "spec:\n  replicas: 3\n  selector:"),
)
replicas_applied_last = _edited(
    "replicas_applied_last",
    "The manifest no longer sets replicas, but kubectl applied them last: the next apply sets 1",
    {_ONE: {"fixed-replicas"}},
    _LIVE,
    (r"\"spec\":{\"selector\"", r"\"spec\":{\"replicas\":3,\"selector\""),
)
scales_too_late = _edited(
    "scales_too_late",
    "The autoscaler waits until CPU is at 95 %: nothing is left while new pods start",
    {_POLICY: {"utilization"}},
    _AUTOSCALER,
    ("averageUtilization: 70", "averageUtilization: 95"),
)
metrics_left_out = _edited(
    "metrics_left_out",
    "No metric is given: the API server fills in CPU at 80 %, and memory is not looked at",
    {_POLICY: {"metric", "utilization"}},
    _AUTOSCALER,
    (_METRICS, ""),
)
second_policy = _edited(
    "second_policy",
    "A policy of 100 % stands beside the one of two pods, and the larger one decides",
    {_POLICY: {"added-at-most"}},
    _AUTOSCALER,
    (
        "value: 2, periodSeconds: 15}",
        "value: 2, periodSeconds: 15}, {type: Percent, value: 100, periodSeconds: 15}",
    ),
)
scales_up_too_slowly = _edited(
    "scales_up_too_slowly",
    "Two pods are added in a minute instead of in 15 seconds",
    {_POLICY: {"added-at-least"}},
    _AUTOSCALER,
    ("value: 2, periodSeconds: 15", "value: 2, periodSeconds: 60"),
)
scale_up_is_delayed = _edited(
    "scale_up_is_delayed",
    "A stabilization window delays the first new pod by a minute",
    {_POLICY: {"delay"}},
    _AUTOSCALER,
    ("scaleUp:\n", "scaleUp:\n      stabilizationWindowSeconds: 60\n"),
)
behavior_left_out = _edited(
    "behavior_left_out",
    "behavior is left out: it adds too many pods, and removes all above the minimum at once",
    {_POLICY: {"added-at-most", "removed-at-most"}},
    _AUTOSCALER,
    (_BEHAVIOR, ""),
)
scales_down_too_slowly = _edited(
    "scales_down_too_slowly",
    "One pod is removed in five minutes instead of one a minute",
    {_POLICY: {"removed-at-least"}},
    _AUTOSCALER,
    ("value: 1, periodSeconds: 60", "value: 1, periodSeconds: 300"),
)
metrics_unknown = _edited(
    "metrics_unknown",
    "The metrics server is gone: the autoscaler shows <unknown> and does nothing",
    {_STATE: {"scaling-active"}},
    _LIVE,
    (
        _ACTIVE,
        _ACTIVE.replace('"True"', '"False"').replace("ValidMetricFound", "FailedGetResourceMetric"),
    ),
)
scale_not_readable = _edited(
    "scale_not_readable",
    "The controller may not read the workload's scale subresource",
    {_STATE: {"able-to-scale"}},
    _LIVE,
    (_ABLE, _ABLE.replace('"True"', '"False"').replace("ReadyForNewScale", "FailedGetScale")),
)
memory_metric_without_value = _edited(
    "memory_metric_without_value",
    "The autoscaler has no value for memory, and scales by CPU alone",
    {_STATE: {"metric-values"}},
    _LIVE,
    (_MEMORY_SEEN, _MEMORY_SEEN.replace('"type": "Resource"', '"type": ""')),
)
autoscaler_at_its_maximum = _edited(
    "autoscaler_at_its_maximum",
    "The autoscaler is at maxReplicas and wants more",
    {_STATE: {"at-maximum"}},
    _LIVE,
    ('"TooFewReplicas"', '"TooManyReplicas"'),
)

sidecar_without_cpu_request = _edited(
    "sidecar_without_cpu_request",
    "A sidecar requests no CPU: the utilization of the whole pod is unknown",
    {_CAPACITY: {"cpu-request", "quota"}},
    _DEPLOYMENT,
    ("{cpu: 50m, memory: 64Mi}", "{memory: 64Mi}"),
)
sidecar_without_memory = _edited(
    "sidecar_without_memory",
    "A sidecar says nothing of memory: no request, and no limit that would stand for one",
    {_CAPACITY: {"memory-request", "memory-limit", "quota"}},
    _DEPLOYMENT,
    ("{cpu: 50m, memory: 64Mi}\n" + _MEMORY_LIMIT, "{cpu: 50m}\n"),
)
sidecar_without_memory_limit = _edited(
    "sidecar_without_memory_limit",
    "A sidecar has no memory limit: one leak takes the neighbors on its node down",
    {_CAPACITY: {"memory-limit", "quota"}},
    _DEPLOYMENT,
    (_MEMORY_LIMIT, ""),
)
quota_too_small = _edited(
    "quota_too_small",
    "The namespace may have five pods, and the autoscaler may make ten",
    {_CAPACITY: {"quota"}},
    _AROUND,
    ('pods: "20"', 'pods: "5"'),
)
init_container_names_no_limit = _edited(
    "init_container_names_no_limit",
    "An init container has no memory limit: the quota of limits.memory refuses every new pod",
    {_CAPACITY: {"quota"}},
    _DEPLOYMENT,
    (_STARTS, ""),
)
limit_range_refuses_the_pods = _edited(
    "limit_range_refuses_the_pods",
    "A LimitRange allows 200Mi for each container, and the shop needs 256Mi: no pod is made",
    {_CAPACITY: {"limit-range"}},
    _AROUND,
    (_SERVICE, _RANGE),
)
quota_used_by_others = _edited(
    "quota_used_by_others",
    "A neighbor requests nearly all memory of a quota that is large enough by itself",
    {_CAPACITY: {"quota"}},
    _LIVE,
    ('"requests.memory": "1088Mi"', '"requests.memory": "5Gi"'),
)
nodes_too_small = _edited(
    "nodes_too_small",
    "The three nodes have 1.2 cores each: the maximum replica count does not fit onto them",
    {_CAPACITY: {"nodes"}},
    _LIVE,
    ('"cpu": "3920m"', '"cpu": "1200m"'),
    times=3,
)
budget_allows_no_eviction = _edited(
    "budget_allows_no_eviction",
    "minAvailable is 3 of 3 replicas: at night no node can be drained",
    {_DISRUPTION: {"evictable"}},
    _AROUND,
    ("maxUnavailable: 1", "minAvailable: 3"),
)
budget_leaves_no_pod = _edited(
    "budget_leaves_no_pod",
    "minAvailable is 0: a node upgrade may evict every replica at once",
    {_DISRUPTION: {"remaining"}},
    _AROUND,
    ("maxUnavailable: 1", "minAvailable: 0"),
)
budget_selects_nothing = _edited(
    "budget_selects_nothing",
    "The label was renamed, and the budget's selector was not: it protects nothing",
    {_DISRUPTION: {"budget"}},
    _AROUND,
    ("matchLabels: {app: shop}", "matchLabels: {app: api}"),
)
strategy_recreate = _edited(
    "strategy_recreate",
    "The strategy is Recreate: an update stops all pods before it starts new ones",
    {_DISRUPTION: {"strategy", "unavailable"}},
    _DEPLOYMENT,
    ("    type: RollingUpdate\n" + _ROLLING, "    type: Recreate\n"),
)
strategy_left_out = _edited(
    "strategy_left_out",
    "maxUnavailable is left out: an update takes none of three replicas away, and two of ten",
    {_DISRUPTION: {"unavailable"}},
    _DEPLOYMENT,
    (_ROLLING, ""),
)
no_readiness_probe = _edited(
    "no_readiness_probe",
    "No container has a readiness probe: a pod counts as available before it can serve",
    {_DISRUPTION: {"readiness-probe"}},
    _DEPLOYMENT,
    (_PROBE, "stdin: false"),
)

rollout_paused = _edited(
    "rollout_paused",
    "The Deployment was paused and never resumed: no new release is ever rolled out",
    {_DISRUPTION: {"strategy"}},
    _DEPLOYMENT,
    ("spec:\n  selector:", "spec:\n  paused: true\n  selector:"),
)
port_out_of_range = _edited(
    "port_out_of_range",
    "A port has two digits too many: the API server refuses the Service",
    {_MANIFESTS: {"accepted"}},
    _AROUND,
    ("port: 80,", "port: 800000,"),
)
field_misspelled = _edited(
    "field_misspelled",
    "A hook is misspelled: older clients drop it, and pods stop in the middle of requests",
    {_MANIFESTS: {"known-fields"}},
    _DEPLOYMENT,
    ("preStop:", "prestop:"),
)
selector_changed = _edited(
    "selector_changed",
    "The manifest's selector is not the live one: the API server refuses the update",
    {_MANIFESTS: {"immutable"}},
    _LIVE,
    (
        '"app": "shop"\n          }\n        },\n        "strategy"',
        '"app": "shop",\n            "tier": "web"\n          }\n        },\n        "strategy"',
    ),
)
selector_matches_the_worker = _edited(
    "selector_matches_the_worker",
    "The selector of the shop matches the worker, too: the autoscaler measures both",
    {_MANIFESTS: {"selectors"}},
    _AROUND,
    (
        _SERVICE,
        _WORKER.replace("SELECTOR", "component: worker").replace(
            "LABELS", "app: shop, component: worker"
        ),
    ),
)
image_latest = _edited(
    "image_latest",
    "The image is tagged latest: two pods may run different releases, and none can be restored",
    {_TEMPLATE: {"image-tag"}},
    _DEPLOYMENT,
    ("registry.example.com/proxy:2.6", "registry.example.com/proxy:latest"),
)
container_privileged = _edited(
    "container_privileged",
    "The container is privileged: whoever breaks into it has the node",
    {_TEMPLATE: {"privileged"}},
    _DEPLOYMENT,
    (_PROBE, f"securityContext: {{privileged: true}}\n          {_PROBE}"),
)
runtime_socket_mounted = _edited(
    "runtime_socket_mounted",
    "The pod mounts the socket of the container runtime, and so controls its node",
    {_TEMPLATE: {"host-path"}},
    _DEPLOYMENT,
    ("      initContainers:", f"{_SOCKET}      initContainers:"),
)
password_in_the_manifest = _edited(
    "password_in_the_manifest",
    "A password stands in the manifest, and with it in the repository",
    {_TEMPLATE: {"secret"}},
    _DEPLOYMENT,
    (_URL, f"            - {{name: SMTP_PASSWORD, value: not-a-real-one}}\n{_URL}"),
)

role_has_few_connections = _limited(
    "role_has_few_connections",
    "The application's role may have 30 connections, and the maximum replica count needs 55",
    "role",
    "role shop_app",
    30,
)
database_has_few_connections = _limited(
    "database_has_few_connections",
    "The database may have 50 connections, and the maximum replica count needs 55",
    "database",
    "database shop",
    50,
)


all_on_one_node = broken_by(
    "all_on_one_node",
    "All three replicas run on one node: the budget does not protect from its failure",
    {_DISRUPTION: {"nodes"}},
    lambda levers: tuple(
        levers.edit_manifest(_LIVE, f'"nodeName": "{node}"', '"nodeName": "node-a"')
        for node in ("node-b", "node-c")
    ),
)
# By the target's own figures: no replica of ours opens them.
pools_too_large = broken_by(
    "pools_too_large",
    "Each replica opens a pool of fifty connections, more than the server has for all",
    {_CONNECTIONS: {"server"}},
    lambda levers: levers.replace_in_config(
        "connections_per_replica = 5", "connections_per_replica = 50"
    ),
)

budget_met_by_another = broken_by(
    "budget_met_by_another",
    "minAvailable: 1 is met by the worker's pods: a drain may evict every pod of the shop",
    {_DISRUPTION: {"remaining"}, _MANIFESTS: {"selectors"}},
    lambda levers: (
        levers.edit_manifest(_AROUND, "maxUnavailable: 1", "minAvailable: 1"),
        levers.edit_manifest(
            _AROUND,
            _SERVICE,
            _WORKER.replace("SELECTOR", "component: worker").replace(
                "LABELS", "app: shop, component: worker"
            ),
        ),
    ),
)
probe_on_the_sidecar = broken_by(
    "probe_on_the_sidecar",
    "Only the proxy has a readiness probe: the pod gets requests before the shop can answer",
    {_DISRUPTION: {"readiness-probe"}},
    lambda levers: (
        levers.edit_manifest(_DEPLOYMENT, _PROBE, "stdin: false"),
        levers.edit_manifest(
            _DEPLOYMENT, "- name: proxy\n", f"- name: proxy\n          {_PROBE}\n"
        ),
    ),
)
