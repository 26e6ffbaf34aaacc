"""What the API server refuses in manifests, and what their pods should not do."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml

from readiness.areas.scaling.kubernetes.accepted import changed, refused, shared, unknown
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.lib.kubernetes import pods
from readiness.lib.kubernetes.objects import PodSpec
from readiness.lib.kubernetes.pods import unanswered, unprobed
from tests.support.kubernetes_samples import TARGET, hpa, inventory, made

# What a chart of today may hold, with the newest fields, in one Deployment.
HEALTHY = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: shop
  labels: {app.kubernetes.io/name: shop, helm.sh/chart: shop-1.5.0, empty: ""}
  annotations: {meta.helm.sh/release-name: shop}
spec:
  revisionHistoryLimit: 3
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: shop}, matchExpressions: [{key: tier, operator: In, values: [web]}]}
  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: shop, tier: web}, annotations: {checksum/config: abc}}
    spec:
      serviceAccountName: shop
      automountServiceAccountToken: false
      enableServiceLinks: true
      hostUsers: false
      priorityClassName: ""
      securityContext: {runAsNonRoot: true, fsGroup: 1001, seccompProfile: {type: RuntimeDefault}}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: zone
          whenUnsatisfiable: DoNotSchedule
          matchLabelKeys: [pod-template-hash]
          labelSelector: {matchLabels: {app: shop}}
      initContainers:
        - name: migrate
          image: r.example.com/shop:1.5.0@sha256:0f
          volumeMounts: [{name: tmp, mountPath: /tmp}]
        - name: mesh
          image: r.example.com/mesh:1
          restartPolicy: Always
          startupProbe: {exec: {command: [ready]}}
      containers:
        - name: app
          image: localhost:5000/shop:1.5.0
          imagePullPolicy: IfNotPresent
          ports:
            - {name: http, containerPort: 8080}
            - {name: dns, containerPort: 53, protocol: UDP}
            - {name: dns-tcp, containerPort: 53}
          env:
            - {name: A, value: "1"}
            - {name: NONE}
            - {name: EMPTY, value: ""}
            - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
            - {name: DB_PASSWORD_FILE, value: /run/secrets/password}
            - {name: TOKEN_URL, value: https://example.com/token}
            - {name: API_TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}
            - {name: DB_URL, value: "postgres://shop:$(DB_PASSWORD)@db/shop"}
          envFrom: [{secretRef: {name: shop}}]
          livenessProbe: {grpc: {port: 8080}, failureThreshold: 3}
          readinessProbe: {httpGet: {path: /ready, port: http}, successThreshold: 2}
          startupProbe: {tcpSocket: {port: 8080}}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          resources:
            requests: {cpu: 0.5, memory: 1e3, example.com/gpu: 1}
            limits: {memory: 2Gi, example.com/gpu: 1}
            claims: [{name: device}]
          volumeMounts:
            - {name: tmp, mountPath: /tmp, subPath: a}
            - {name: config, mountPath: /etc/shop, readOnly: true, recursiveReadOnly: Disabled}
        - name: exporter
          image: r.example.com/exporter:1
          ports: [{name: http-metrics, containerPort: 9187}]
      volumes:
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
        - {name: config, projected: {sources: [{configMap: {name: shop}}]}}
        - {name: cache, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce],
            resources: {requests: {storage: 1Gi}}}}}}
        - {name: time, hostPath: {path: /etc/localtime}}
      resourceClaims: [{name: device, resourceClaimTemplateName: gpu}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: http}, {name: metrics, port: 9187}]
"""
Edit = Callable[[dict[str, Any]], object]


def healthy() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(HEALTHY))


def known(*objects: dict[str, Any]) -> View:
    found = view(inventory(*objects, valid=False), "manifests", "deployment/shop", "")
    assert found is not None
    return found


def edited(edit: Edit) -> View:
    document = healthy()
    edit(document)
    return known(document, yaml.safe_load(SERVICE))


def at(document: dict[str, Any], path: str) -> Any:
    """A part of a document, as `spec.template.spec.containers.0`."""
    found: Any = document
    for word in path.split("."):
        found = found[int(word)] if isinstance(found, list) else found[word]
    return found


POD = "spec.template.spec"
APP = f"{POD}.containers.0"


def put(path: str, **values: Any) -> Edit:
    return lambda document: at(document, path).update(values)


def add(path: str, value: Any) -> Edit:
    return lambda document: at(document, path).append(value)


def test_a_healthy_chart_has_no_finding() -> None:
    found = edited(lambda _: None)
    assert refused(found) == unknown(found) == shared(found) == []
    assert unprobed(found.workload, found.services) == []
    spec = found.workload.spec.template.spec
    assert pods.moving_images(spec) == pods.privileged(spec) == pods.node_volumes(spec) == []
    assert pods.plain_secrets(spec) == pods.as_root(spec) == []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (put("metadata", name="Shop"), "is not a valid name"),
        (put("metadata", labels={"a b": "x"}), "has the key 'a b'"),
        (put("metadata", labels={"a": "x y"}), "has a value that is not valid"),
        (put("metadata", labels={"version": 1.5}), "accepts: must be a text: quote it"),
        (put("metadata", annotations={"a": True}), "annotations.a is not what the API"),
        (put("spec", replicas="3"), "spec.replicas"),
        (put("spec", selector={}), "spec.selector is required"),
        (put("spec", selector={"matchLabels": {"app": "cart"}}), "does not match the labels"),
        (put("spec.selector.matchExpressions.0", operator="Equals"), "which does not exist"),
        (put("spec.selector.matchExpressions.0", values=["db"]), "does not match the labels"),
        (put("spec.strategy", rollingUpdate={"maxSurge": 0, "maxUnavailable": "0%"}),
         "may not both be 0"),
        (put("spec.strategy", rollingUpdate={"maxSurge": "25"}), "neither a number nor a percent"),
        (put("spec.strategy", rollingUpdate={"maxUnavailable": "101%"}), "is more than 100%"),
        (put("spec.strategy", type="Recreate"), "may not be given with type Recreate"),
        (put("spec.strategy", type="Rolling", rollingUpdate=None), "is not one of"),
        (put("spec", minReadySeconds=600), "progressDeadlineSeconds 600 is not above minReadySec"),
        (put(POD, containers=[]), "containers is required"),
        (put(POD, restartPolicy="Never"), "restartPolicy must be Always"),
        (put(POD, activeDeadlineSeconds=5), "activeDeadlineSeconds may not be given"),
        (put(POD, dnsPolicy="Cluster"), "dnsPolicy 'Cluster' is not one of"),
        (put(APP, name="my_app"), "containers[0].name 'my_app' is not a valid name"),
        (put(APP, name="exporter"), "has the name 'exporter' 2 times"),
        (put(APP, image=""), "containers[0].image is required"),
        (put(APP, imagePullPolicy="always"), "imagePullPolicy 'always' is not one of"),
        (put(f"{APP}.ports.0", name="dns"), "has the name 'dns' 2 times"),
        (put(f"{APP}.ports.0", name="much-too-long-name"), "at most 15 lowercase letters"),
        (put(f"{APP}.ports.0", containerPort=70000), "is not between 1 and 65535"),
        (put(f"{APP}.ports.0", containerPort="8080"), "accepts: must be an integer"),
        (put(f"{APP}.ports.1", protocol="udp"), "protocol 'udp' is not one of"),
        (add(f"{APP}.env", {"name": "B", "value": 5}), "accepts: must be a text: quote it"),
        (put(f"{APP}.env.3", value="x"), "has both value and valueFrom"),
        (add(f"{APP}.env", {"value": "5"}), "accepts: is required"),
        (add(f"{APP}.volumeMounts", {"name": "gone", "mountPath": "/x"}), "is not a volume of"),
        (add(f"{APP}.volumeMounts", {"name": "tmp", "mountPath": "/tmp"}), "'/tmp' 2 times"),
        (put(f"{POD}.volumes.0", hostPath={"path": "/x"}), "has several sources"),
        (add(f"{POD}.volumes", {"name": "tmp", "emptyDir": {}}), "has the name 'tmp' 2 times"),
        (put(f"{APP}.readinessProbe", tcpSocket={"port": 1}), "has several handlers"),
        (put(APP, readinessProbe={}), "has no handler"),
        (put(f"{APP}.livenessProbe", successThreshold=2), "successThreshold must be 1"),
        (put(f"{APP}.readinessProbe", periodSeconds=-1), "periodSeconds is negative"),
        (put(f"{POD}.initContainers.0", readinessProbe={"exec": {"command": ["x"]}}),
         "may not be given: it ends"),
        (put(f"{APP}.lifecycle.preStop", exec={"command": ["x"]}), "has several handlers"),
        (put(f"{APP}.resources.requests", memory="3Gi"), "request of memory is above its limit"),
        (put(f"{APP}.resources.requests", memory="3GB"), "memory is not a valid quantity"),
        (put(f"{APP}.resources.requests", cpu="-1"), "cpu is negative"),
        (put(f"{APP}.resources.limits", **{"example.com/gpu": 2}), "is not its limit"),
    ],
)  # fmt: skip
def test_what_the_api_server_refuses(edit: Edit, told: str) -> None:
    document = healthy()
    edit(document)
    found = inventory(document, valid=False)
    texts: Sequence[str] = [one.error.sentence for one in found.broken]
    if not texts:
        name = document["metadata"]["name"]
        seen = view(found, "manifests", "deployment/shop", "") if name == "shop" else None
        texts = refused(seen) if seen else refusals_of(document)
    assert [text for text in texts if told in text], texts


def refusals_of(document: dict[str, Any]) -> tuple[str, ...]:
    """Of a workload that cannot be named in the configuration."""
    from readiness.lib.kubernetes.refusals import refusals

    return refusals(inventory(document, valid=False).documents[0])


@pytest.mark.parametrize(
    ("api", "kind", "spec", "told"),
    [
        ("policy/v1", "PodDisruptionBudget", {"minAvailable": 1, "maxUnavailable": 1}, "exclude"),
        ("policy/v1", "PodDisruptionBudget", {"minAvailable": "50"}, "neither a number nor"),
        ("policy/v1", "PodDisruptionBudget", {"maxUnavailable": "50%"}, ""),
        ("v1", "Service", {"ports": [{"port": 1}, {"port": 2}]}, "needs a name"),
        ("v1", "Service", {"ports": [{"port": 1}]}, ""),
        ("v1", "Service", {"ports": [{"port": 0}]}, "between 1 and 65535"),
        ("v1", "Service", {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]},
         "has the port '1/TCP' 2 times"),
        ("v1", "Service", {"ports": [{"name": "a", "port": 53},
                                     {"name": "b", "port": 53, "protocol": "UDP"}]}, ""),
        ("v1", "Service", {"clusterIP": "None"}, ""),
        ("v1", "LimitRange", {"limits": [{"type": "Container", "min": {"cpu": 2},
                                          "max": {"cpu": 1}}]}, "min of cpu is above its max"),
        ("v1", "ResourceQuota", {"hard": {"cpu": "four"}}, "is not a valid quantity"),
        ("autoscaling/v2", "HorizontalPodAutoscaler",
         {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "minReplicas": 5,
          "maxReplicas": 3}, "is below minReplicas"),
        ("autoscaling/v2", "HorizontalPodAutoscaler",
         {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "minReplicas": 0,
          "maxReplicas": 3}, "minReplicas 0 needs a metric of type Object or External"),
        ("autoscaling/v2", "HorizontalPodAutoscaler",
         {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "maxReplicas": 3,
          "metrics": [{"type": "Pods"}]}, "is of type Pods and has no `pods`"),
    ],
)  # fmt: skip
def test_what_it_refuses_of_other_kinds(api: str, kind: str, spec: Any, told: str) -> None:
    found = refused(known(healthy(), made(api, kind, spec, "other")))
    assert told in "; ".join(found)
    assert bool(found) is bool(told)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (put(APP, livenesProbe={}), "livenesProbe is not a known field; did you mean livenessPr"),
        (put("spec.strategy.rollingUpdate", maxUnavailible=3), "did you mean maxUnavailable"),
        (put(f"{APP}.resources", request={}), "did you mean requests"),
        (put(POD, replicas=3), "spec.template.spec.replicas is not a known field"),
    ],
)
def test_misspelled_fields_are_named(edit: Edit, told: str) -> None:
    (found,) = unknown(edited(edit))
    assert "strict decoding: " in found
    assert told in found


def test_immutable_fields_are_compared_with_the_live_object() -> None:
    declared, live = healthy(), healthy()
    live["metadata"]["uid"] = "1"
    assert changed(known(declared), known(live)) == []
    live["spec"]["selector"] = {"matchLabels": {"app": "old"}}
    assert changed(known(declared), known(live)) == ["spec.selector"]


def worker(labels: dict[str, str], selector: dict[str, str]) -> dict[str, Any]:
    found = healthy()
    found["metadata"]["name"] = "worker"
    found["spec"]["selector"] = {"matchLabels": selector}
    found["spec"]["template"]["metadata"]["labels"] = labels
    return found


@pytest.mark.parametrize(
    ("labels", "selector", "names"),
    [
        ({"app": "worker"}, {"app": "worker"}, []),
        ({"app": "shop", "tier": "jobs"}, {"tier": "jobs"}, []),
        ({"app": "shop", "tier": "web"}, {"part": "x"}, ["deployment/worker"]),
        ({"app": "x"}, {"app": "shop"}, ["deployment/worker"]),
    ],
)
def test_selectors_that_two_workloads_share(
    labels: dict[str, str], selector: dict[str, str], names: list[str]
) -> None:
    assert shared(known(healthy(), worker(labels, selector))) == names


def test_another_broken_object_blinds_only_what_depends_on_it() -> None:
    other = hpa(name="other", maxReplicas=0, scaleTargetRef={**TARGET, "name": "cart"})
    found = known(healthy(), other)
    found.require("HorizontalPodAutoscaler")
    assert len(refused(found)) == 1
    ours = known(healthy(), hpa(maxReplicas=0))
    with pytest.raises(Exception, match="maxReplicas"):
        ours.require("HorizontalPodAutoscaler")
    ours.require("PodDisruptionBudget")


def container(name: str, port: int | str = 0, *, probed: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if port:
        found["ports"] = [{"name": "http" if port == 80 else f"p{port}", "containerPort": port}]
    if probed:
        found["readinessProbe"] = {"httpGet": {"port": 80}}
    return found


@pytest.mark.parametrize(
    ("containers", "service", "missing"),
    [
        ([container("app", probed=True), container("proxy")], None, []),
        ([container("app"), container("proxy", probed=True)], None, ["app"]),
        ([container("istio-proxy"), container("app", probed=True)], None, []),
        ([container("envoy", probed=True), container("app")], None, ["app"]),
        ([container("side"), container("shop", probed=True)], None, []),
        ([container("side"), container("app", 80, probed=True)], None, []),
        ([container("app", 80), container("side", 81, probed=True)], 80, ["app"]),
        ([container("app", 80), container("front", 81, probed=True)], 81, []),
        ([container("app", 80), container("front", 81, probed=True)], "http", ["app"]),
        ([container("app"), container("front", probed=True)], 9999, ["app"]),
        ([container("app", probed=True), container("rbac-proxy", 81)], 81, []),
        ([container("app"), container("rbac-proxy", 81)], 81, ["rbac-proxy"]),
    ],
)
def test_the_container_that_serves_needs_the_probe(
    containers: list[dict[str, Any]], service: int | str | None, missing: list[str]
) -> None:
    document = healthy()
    document["spec"]["template"]["spec"] = {"containers": containers}
    objects = [document]
    if service:
        ports = [{"port": 443, "targetPort": service}]
        objects.append(made("v1", "Service", {"selector": {"app": "shop"}, "ports": ports}))
    found = known(*objects)
    assert unprobed(found.workload, found.services) == missing


@pytest.mark.parametrize(
    ("probe", "missing", "lost"),
    [
        ({"exec": {"command": ["true"]}}, ["app"], []),
        ({"exec": {"command": ["sh", "-c", "pg_isready || true"]}}, ["app"], []),
        ({"exec": {"command": ["pg_isready"]}}, [], []),
        ({"exec": {"command": []}}, [], []),
        ({"tcpSocket": {"port": "http"}}, [], []),
        ({"httpGet": {"port": "8080"}}, [], []),
        ({"httpGet": {"port": "web"}}, [], ["app (port web)"]),
    ],
)
def test_a_readiness_probe_tells_ready_from_not_ready(
    probe: dict[str, Any], missing: list[str], lost: list[str]
) -> None:
    document = healthy()
    containers = [{**container("app", 80), "readinessProbe": probe}]
    document["spec"]["template"]["spec"] = {"containers": containers}
    found = known(document)
    assert unprobed(found.workload, found.services) == missing
    assert list(unanswered(found.workload)) == lost


@pytest.mark.parametrize(
    ("image", "moves"),
    [
        ("shop", True),
        ("shop:latest", True),
        ("r.example.com:5000/shop", True),
        ("r.example.com:5000/shop:1", False),
        ("shop@sha256:0f", False),
        ("shop:latest@sha256:0f", False),
    ],
)
def test_images_without_a_version(image: str, moves: bool) -> None:
    spec = PodSpec.model_validate({"containers": [{"name": "app", "image": image}]})
    assert pods.moving_images(spec) == (["app"] if moves else [])


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("DB_PASSWORD", "hunter22", True),
        ("API_KEY", "0123", True),
        ("DATABASE_URL", "postgres://shop:hunter22@db/shop", True),
        ("DATABASE_URL", "postgres://shop@db/shop", False),
        ("DB_PASSWORD", "$(FROM_ELSEWHERE)", False),
        ("DB_PASSWORD", "", False),
        ("PASSWORD_MIN_LENGTH", "12", False),
        ("USE_TOKEN", "true", False),
        ("DB_PASSWORD", "/run/secrets/db", False),
    ],
)
def test_secrets_in_plain_text(name: str, value: str, plain: bool) -> None:
    env = [{"name": name, "value": value}]
    spec = PodSpec.model_validate({"containers": [{"name": "app", "env": env}]})
    found = pods.plain_secrets(spec)
    assert found == ([f"app: {name}"] if plain else [])
    assert value == "" or value not in "".join(found) or value in name


@pytest.mark.parametrize(
    ("pod", "security", "found"),
    [
        ({}, {}, []),
        ({}, {"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}, []),
        ({}, {"capabilities": {"add": ["SYS_ADMIN"]}}, ["app"]),
        ({}, {"privileged": True}, ["app"]),
        ({"hostPID": True}, {}, ["all of them, by hostPID"]),
    ],
)
def test_what_reaches_into_the_node(
    pod: dict[str, Any], security: dict[str, Any], found: list[str]
) -> None:
    containers = [{"name": "app", "securityContext": security}]
    assert pods.privileged(PodSpec.model_validate({"containers": containers, **pod})) == found
