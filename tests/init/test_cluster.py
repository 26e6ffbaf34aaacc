"""`readiness init --context`: the real kubectl reads a small API server, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from readiness.cli.main import main
from readiness.config.loading import load
from readiness.config.models import Config
from readiness.lib.kubernetes import discovery
from readiness.lib.yaml_reader import Scalars, read_all
from tests.support.api_server import CONTEXT, NAMESPACE, ApiServer
from tests.support.kubernetes_samples import ASKS, deployment, hpa, made, utilization
from tests.support.small_servers import Reply, SmallServer

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH"),
]

GOLDEN = Path(__file__).parent / "found" / "cluster.toml"
HOST = "shop.example.invalid"


def get(path: str, port: int | str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}}


def backup(**more: Any) -> dict[str, Any]:
    container = {"name": "dump", "image": "postgres:16", "command": ["sh", "-c", "pg_dump shop"],
                 "env": [{"name": "PGUSER", "value": "dumper"}]}  # fmt: skip
    job = {"template": {"spec": {"containers": [container]}}}
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}, **more}
    return made("batch/v1", "CronJob", spec, name="nightly")


def workload(name: str, *ports: dict[str, Any], **probes: Any) -> dict[str, Any]:
    container = {"name": name, "image": f"{name}:1", "ports": list(ports), "resources": ASKS}
    made_ = deployment({"containers": [{**container, **probes}]}, replicas=2)
    made_["metadata"]["name"] = name
    made_["spec"]["selector"] = {"matchLabels": {"app": name}}
    made_["spec"]["template"]["metadata"]["labels"] = {"app": name}
    return made_


def service(name: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return made("v1", "Service", {"selector": {"app": name}, "ports": ports}, name=name)


def ingress(**services: str) -> dict[str, Any]:
    """Names of Services by the path that leads there."""
    paths = [
        {"path": path, "backend": {"service": {"name": name, "port": {"name": "http"}}}}
        for name, path in services.items()
    ]
    spec = {"tls": [{"hosts": [HOST]}], "rules": [{"host": HOST, "http": {"paths": paths}}]}
    return made("networking.k8s.io/v1", "Ingress", spec, name="edge")


API = workload(
    "api",
    {"name": "http", "containerPort": 8080},
    readinessProbe=get("/api/ready", "http"),
    livenessProbe=get("/api/live", 8080),
)
# Its health page is on a port to which nothing leads.
WEB = workload(
    "web", {"name": "http", "containerPort": 80}, readinessProbe=get("/internal/ready", 9000)
)
SCALER = hpa(scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
             metrics=[utilization("cpu", 70)], name="api")  # fmt: skip
API["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
NODE = made(
    "v1",
    "Node",
    {},
    name="node-1",
    status={
        "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
)
POD = made("v1", "Pod", {"containers": [{"name": "dns"}], "nodeName": "node-1"}, name="dns",
           metadata={"namespace": "kube-system"})  # fmt: skip
SHOP = (
    NODE, POD, API, WEB, SCALER, service("api"), service("web"), workload("worker"), backup(),
    ingress(api="/api", web="/"),
)  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    (tmp_path / "shop").mkdir()
    with ApiServer() as server:
        server.hold(*SHOP)
        monkeypatch.setenv("KUBECONFIG", str(server.configure(tmp_path)))
        monkeypatch.chdir(tmp_path / "shop")
        yield server


def asked(*options: str) -> Result:
    discovery._cluster.cache_clear()  # it lasts for one command
    cluster = ["--context", CONTEXT, "--namespace", NAMESPACE]
    return CliRunner().invoke(main, ["init", *cluster, *options], prog_name="readiness")


def init(*options: str) -> tuple[str, Config]:
    """What it printed, and the configuration that it wrote."""
    result = asked(*options)
    assert result.exit_code == 0, result.output
    return result.output, load(Path("readiness.toml"), {"SHOP_PASSWORD": "x"}).config


def test_the_workloads_of_a_namespace_are_described(cluster: ApiServer) -> None:
    output, config = init()
    text = Path("readiness.toml").read_text()
    if os.environ.get("READINESS_GOLDEN") == "update":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
    assert {name: one.url for name, one in config.services.items()} == {
        "api": f"https://{HOST}/api",
        "web": f"https://{HOST}",
    }
    assert config.scaling["api"].max_replicas == 10
    assert list(config.scaling) == ["api"]
    assert "an autoscaler of deployment/web" in output
    assert "where CronJob nightly (0 3 * * *) writes the dumps" in output


def test_doctor_says_what_the_account_may_read(cluster: ApiServer) -> None:
    init()

    def diagnosed() -> dict[str, tuple[bool, str]]:
        result = CliRunner().invoke(main, ["doctor", "--format", "json"])
        found = {one["thing"]: (one["well"], one["detail"]) for one in json.loads(result.output)}
        return {name: found[f"{name} {CONTEXT}"] for name in ("cluster", "scaling in")}

    assert diagnosed() == {
        "cluster": (True, "namespace shop, 4 workloads"),
        "scaling in": (True, "namespace shop, 6 objects"),
    }
    cluster.forbid("Node", "Ingress")
    ((seen, refused), (whole, without_nodes)) = diagnosed().values()
    assert (seen, whole) == (False, False)
    assert "ingresses.networking.k8s.io is forbidden" in refused
    assert "nodes is forbidden" in without_nodes


def test_it_only_lists(cluster: ApiServer) -> None:
    init()
    assert {method for method, _, _ in cluster.requests} == {"GET"}
    assert not [path for _, path, _ in cluster.requests if "secret" in path or "watch=" in path]


def test_what_is_written_is_judged_at_once(cluster: ApiServer) -> None:
    init()
    command = [sys.executable, "-m", "readiness", "run", "-n", "0"]
    command += ["--suite", "scaling", "--suite", "manifests"]
    subprocess.run(command, capture_output=True, check=False, timeout=300)
    checks = json.loads(Path("reports/readiness.json").read_bytes())["checks"]
    outcomes = {(one["id"], one["subject"]): one["outcome"] for one in checks}
    assert outcomes["scaling.autoscaler", "api"] == "pass"
    assert [one["message"] for one in checks if one["outcome"] == "error"] == []
    assert outcomes["manifests.images", "manifests"] == "pass"


def test_a_page_that_a_probe_asks_is_found_at_the_address_of_the_service(
    cluster: ApiServer,
) -> None:
    with SmallServer({"/api/ready": Reply("OK", content_type="text/plain")}) as served:
        _, config = init("--url", served.url)
    shop = config.services["shop"]
    assert (shop.health, shop.ready, shop.live) == ("/api/ready", "/api/ready", "/api/ready")
    assert "readinessProbe of deployment/api" in Path("readiness.toml").read_text()


def test_the_cronjob_of_the_backups_says_who_makes_them(cluster: ApiServer, folder: Path) -> None:
    (folder / "shop.dump").write_text("x")
    dsn = "postgresql://monitor:x@127.0.0.1:1/shop"
    _, config = init("--dsn", dsn, "--backups", str(folder))
    assert config.backup["shop"].role == "dumper"
    assert "CronJob nightly (0 3 * * *)" in Path("readiness.toml").read_text()
    cluster.hold(backup(suspend=True))
    assert "it is suspended" in asked("again.toml").output


def test_what_is_forbidden_is_named_with_the_role_that_allows_it(cluster: ApiServer) -> None:
    cluster.forbid("Ingress", "Node", "Service")
    output, config = init()
    assert config.manifests
    assert config.manifests.cluster
    assert "what may not be read: services, ingresses.v1.networking.k8s.io, nodes" in output
    assert "kubectl --context ADMIN apply -f readiness-role.yaml, then readiness init" in output
    found = read_all(Path("readiness-role.yaml").read_text(), Scalars.GO_V2)
    granted = {one["kind"]: one["rules"] for one in found if "rules" in one}  # type: ignore[operator, index]
    allowed = {
        (kind, rule["apiGroups"][0], rule["resources"][0])
        for kind, rules in granted.items()
        for rule in rules
        if rule["verbs"] == ["get", "list"]
    }
    assert sum(map(len, granted.values())) == len(allowed)
    # Also what it may read now: a role that is applied again replaces the one before.
    assert {(kind, group) for kind, group, _ in allowed} == {
        ("Role", ""), ("Role", "apps"), ("Role", "batch"), ("Role", "networking.k8s.io"),
        ("Role", "autoscaling"), ("Role", "policy"), ("Role", "autoscaling.k8s.io"),
        ("ClusterRole", ""),
    }  # fmt: skip
    assert ("ClusterRole", "", "nodes") in allowed
    assert ("Role", "networking.k8s.io", "ingresses") in allowed
    bound = [one["subjects"][0]["name"] for one in found if "subjects" in one]  # type: ignore[operator, index]
    assert bound == ["ci", "ci"]
    names = {one["metadata"]["name"] for one in found}  # type: ignore[index]
    assert names == {"readiness:ci"}, "another account's binding would be replaced"
    Path("readiness.toml").unlink()
    _, again = init()
    assert again.manifests
    assert again.manifests.kubernetes == [], "the role is no manifest of the target"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda server: server.hold(), "an object in the namespace shop"),
        (lambda server: server.answers.clear(), "kubectl, context staging: the command to"),
        (lambda server: server.configure(Path()).rename("none"), "cannot locate context"),
    ],
)
def test_what_is_absent_is_named_and_the_rest_is_written(
    change: Any, told: str, cluster: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change(cluster):
        monkeypatch.setenv("KUBECONFIG", "elsewhere")
    output, config = init()
    assert re.search(told, output), output
    assert config.manifests is None
    assert "Traceback" not in output


def test_a_context_needs_a_namespace(cluster: ApiServer) -> None:
    result = CliRunner().invoke(main, ["init", "--context", CONTEXT])
    assert result.exit_code == 2
    assert "--context and --namespace: go together" in result.output
    assert cluster.requests == []
