"""Pods, probes, placement: an absent field is the platform's default, and healthy variants pass."""

from pathlib import Path

import pytest

from readiness.areas.manifests import reference
from tests.support.manifest_checks import judged

ORDERS = "orders.yaml"
LIVE = "livenessProbe: {httpGet: {path: /health/live, port: http}, periodSeconds: 10}"
SAME = """\
livenessProbe: {httpGet: {path: /health/ready, port: http, scheme: HTTP}, periodSeconds: 5,
            failureThreshold: 3}"""
HOOK = "preStop: {sleep: {seconds: 10}}"
WEB_SECURITY = """\
          securityContext:
            readOnlyRootFilesystem: true
"""
ENV = "          env:\n"
VOLUME = "- {name: tmp, emptyDir: {}}"
TERM = "{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: LABELS}}"
AGENT = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: orders}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: true
      hostPID: false
      securityContext: {runAsUser: 1, seccompProfile: {type: RuntimeDefault}}
      volumes: [{name: logs, hostPath: {path: PATH}}]
      containers:
        - name: agent
          image: registry.example.com/agent:1
          volumeMounts: [{name: logs, mountPath: /logs, readOnly: READ}]
          securityContext: &safe
            readOnlyRootFilesystem: true
            allowPrivilegeEscalation: false
            capabilities: {drop: [all], add: [NET_BIND_SERVICE]}
          resources: {limits: {cpu: 100m, memory: 64Mi}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reference.copy_files(tmp_path)
    place = tmp_path / reference.FOLDER
    for name in ("compose.yaml", "Dockerfile"):
        (place / name).unlink()
    return place


def misses(folder: Path, *edits: tuple[str, str], file: str = ORDERS) -> dict[str, set[str]]:
    """By check without its area, after these replacements."""
    path = folder / file
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    found = judged(folder)
    return {check.removeprefix("manifests."): keys for check, keys in found.misses.items()}


@pytest.mark.parametrize(
    "edit",
    [
        # A digest is a version, whatever the tag.
        ("orders:1.5.0", f"orders:latest@sha256:{'0' * 64}"),
        # The port of a registry is not a tag.
        ("registry.example.com/orders:1.5.0", "registry:5000/orders:1.5.0"),
        # The pod's user, and the container's.
        ("runAsNonRoot: true", "runAsUser: 10001"),
        (WEB_SECURITY, WEB_SECURITY + "            runAsNonRoot: true\n"),
        # Root in a user namespace of its own.
        (
            "      securityContext:\n        runAsNonRoot: true",
            "      hostUsers: false\n      securityContext:\n        runAsUser: 0",
        ),
        # A profile of the container.
        (WEB_SECURITY, WEB_SECURITY + "            seccompProfile: {type: Localhost}\n"),
        # Names and references of secrets are no secrets.
        (ENV, f"{ENV}            - {{name: TOKEN_TTL, value: 3600s}}\n"),
        (ENV, f"{ENV}            - {{name: DB_PASSWORD, value: $(OTHER)}}\n"),
        (ENV, f"{ENV}            - {{name: DB_PASSWORD_FILE, value: /run/secrets/db}}\n"),
        (ENV, f"{ENV}            - {{name: API_TOKEN}}\n"),
        ("--port=8080", "--password-file=/etc/orders/password"),
        ("cache: redis://redis:6379/0", "tokenizer: bert\n    password: ${REDIS_PASSWORD}"),
        ("cache: redis://redis:6379/0", "secret: orders-tls"),
        # The limit is the request that is missing.
        ("requests: {cpu: 250m, memory: 256Mi}", "requests: {cpu: 250m}"),
        # No liveness probe is none that does harm.
        (LIVE, "stdin: false"),
        (LIVE, "livenessProbe: {tcpSocket: {port: 8080}}"),
        (LIVE, "livenessProbe: {exec: {command: [pg_isready, -h, localhost]}}"),
        (LIVE, "livenessProbe: {exec: {command: [pg_isready, -h, /run/postgresql]}}"),
        (LIVE, 'livenessProbe: {exec: {command: [sh, -c, "curl -fh http://127.0.0.1:8080/"]}}'),
        (LIVE, "livenessProbe: {httpGet: {path: /health/live, port: http, host: localhost}}"),
        # The same path, and restarted only after it was not ready for long.
        (LIVE, "livenessProbe: {httpGet: {path: /health/ready, port: http}}"),
        (LIVE, "livenessProbe: {httpGet: {path: /health/ready, port: http}, failureThreshold: 4}"),
        # 45 s, and 35 of them.
        (HOOK, 'preStop: {exec: {command: [sh, -c, "sleep 5 && nginx -s quit; sleep 30"]}}'),
        (HOOK, "preStop: {exec: {command: [/bin/drain, --wait]}}"),
        # One replica is not kept apart from itself.
        ("  replicas: 3\n", ""),
    ],
)  # fmt: skip
def test_healthy_variants_have_no_finding(edit: tuple[str, str], folder: Path) -> None:
    assert misses(folder, edit) == {}


@pytest.mark.parametrize(
    ("edit", "check", "key"),
    [
        (("orders:1.5.0", "orders:latest"), "images", "pinned"),
        (("orders:1.5.0", "orders"), "images", "pinned"),
        (("registry.example.com/orders:1.5.0", "registry:5000/orders"), "images", "pinned"),
        ((VOLUME, "- {name: tmp, hostPath: {path: /run/docker.sock}}"), "privileges", "node"),
        (
            (VOLUME, f"{VOLUME}\n      hostIPC: true"), "privileges", "node"),
        (("containerPort: 8080}", "containerPort: 8080, hostPort: 80}"), "privileges", "node"),
        ((VOLUME, f"{VOLUME}\n      hostPID: true"), "privileges", "privileged"),
        (("drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]"), "privileges", "privileged"),
        # The container's own setting comes before the pod's.
        ((WEB_SECURITY, WEB_SECURITY + "            runAsUser: 0\n"), "privileges", "root"),
        (
            (WEB_SECURITY, WEB_SECURITY + "            runAsNonRoot: false\n"),
            "privileges",
            "root",
        ),
        (("{type: RuntimeDefault}", "{type: Unconfined}"), "hardening", "seccomp"),
        ((ENV, f"{ENV}            - {{name: apiToken, value: x7Hd2kq}}\n"), "secrets", "variables"),
        (
            (ENV, f"{ENV}            - {{name: KEY, value: AKIAABCDEFGHIJKLMNOP}}\n"),
            "secrets",
            "variables",
        ),
        (
            (ENV, f"{ENV}            - {{name: URL, value: 'amqp://a:not-a-real-one@q/'}}\n"),
            "secrets",
            "variables",
        ),
        (("--port=8080", "--api-key=x7Hd2kq"), "secrets", "arguments"),
        (('"--port=8080"', '"--password", "x7Hd2kq"'), "secrets", "arguments"),
        (
            ("LOG_LEVEL: info", "DB_PASSWORD: x7Hd2kq"), "secrets", "config-map"),
        (("cache: redis:", "key: '-----BEGIN PRIVATE KEY-----' #"), "secrets", "config-map"),
        (("cache: redis://redis", "cache: redis://:x7Hd2kq@redis"), "secrets", "config-map"),
        ((LIVE, "livenessProbe: {exec: {command: ['true']}}"), "probes", "can-fail"),
        ((LIVE, "livenessProbe: {tcpSocket: {host: db, port: 5432}}"), "probes", "dependency"),
        (
            (LIVE, 'livenessProbe: {exec: {command: [sh, -c, "nc -z redis 6379"]}}'),
            "probes",
            "dependency",
        ),
        (
            (LIVE, 'livenessProbe: {exec: {command: [sh, -c, "curl -f http://api/health"]}}'),
            "probes",
            "dependency",
        ),
        ((HOOK, 'preStop: {exec: {command: [sleep, "45"]}}'), "shutdown", "grace"),
        (("maxSurge: 1, maxUnavailable: 0", "maxSurge: 0, maxUnavailable: 0"), "valid", "accepted"),
        # `/` and HTTP are defaults, and so are three failures.
        (
            (LIVE, SAME),
            "probes",
            "distinct",
        ),
        (("schedule:", "scheduel:"), "valid", "known-fields"),
        (("kind: CronJob", "kind: CronJbo"), "valid", "served"),
        (("data:\n  LOG_LEVEL: info", "data:\n  LOG_LEVEL: 7"), "valid", "accepted"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(edit: tuple[str, str], check: str, key: str, folder: Path) -> None:
    found = misses(folder, edit)
    assert key in found.get(check, set())


@pytest.mark.parametrize(
    ("path", "read", "found"),
    [
        ("/var/log", "true", {}),
        ("/srv/data", "false", {}),
        ("/etc", "true", {}),
        ("/etc", "false", {"privileges": {"node"}}),
        ("/run/containerd/containerd.sock", "true", {"privileges": {"node"}}),
    ],
)
def test_an_agent_on_each_node_reads_its_node(
    path: str, read: str, found: dict[str, set[str]], folder: Path
) -> None:
    (folder / "agent.yaml").write_text(AGENT.replace("PATH", path).replace("READ", read))
    assert misses(folder) == found


def test_a_limit_range_gives_what_is_missing(folder: Path) -> None:
    (folder / "range.yaml").write_text(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {name: a, namespace: orders}\n"
        "spec: {limits: [{type: Container, default: {memory: 1Gi, cpu: 1}}]}\n"
    )
    text = "          resources:\n            requests: {cpu: 250m, memory: 256Mi}\n"
    assert misses(folder, (text + "            limits: {memory: 256Mi}\n", "")) == {}


def test_an_autoscaler_decides_how_many_replicas_there_are(folder: Path) -> None:
    (folder / "scaler.yaml").write_text(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
        "metadata: {name: orders, namespace: orders}\n"
        "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: orders},"
        " minReplicas: 2, maxReplicas: 4}\n"
    )
    edits = (("  replicas: 3\n", ""), ("kubernetes.io/hostname", "rack"))
    zone = ("topology.kubernetes.io/zone", "rack")
    assert misses(folder, *edits, zone) == {"spread": {"nodes"}}


@pytest.mark.parametrize(
    ("labels", "found"),
    [("{app.kubernetes.io/component: web}", {}), ("{app: other}", {"spread": {"nodes"}})],
)
def test_a_preference_to_be_apart_is_enough(
    labels: str, found: dict[str, set[str]], folder: Path
) -> None:
    path = folder / ORDERS
    text = path.read_text()
    start, end = text.index("      topologySpread"), text.index("      securityContext:")
    way = "preferredDuringSchedulingIgnoredDuringExecution"
    term = f"{{weight: 1, podAffinityTerm: {TERM.replace('LABELS', labels)}}}"
    affinity = f"      affinity: {{podAntiAffinity: {{{way}: [{term}]}}}}\n"
    path.write_text(text[:start] + affinity + text[end:])
    assert misses(folder) == found
