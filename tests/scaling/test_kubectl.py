"""What is read with kubectl, and how its answers are understood; a fake kubectl answers."""

import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.scaling.probes.sides import cluster_objects
from readiness.lib.kubernetes.inventory import Inventory
from readiness.lib.kubernetes.kubectl import Cluster, Kubectl
from readiness.lib.kubernetes.objects import (
    HorizontalPodAutoscaler,
    Node,
    Pod,
    ScaledObject,
    Workload,
)
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong, Unreachable
from tests.support.kubernetes_samples import deployment, hpa, keda, made

pytestmark = pytest.mark.contract

SHIM = """\
#!{python}
import json, pathlib, sys, time
folder = pathlib.Path({folder!r})
with (folder / "asked").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
words = " ".join(sys.argv[1:])
for key, (status, output, errors, seconds) in answers.items():
    if key in words:
        time.sleep(seconds)
        sys.stdout.write(output)
        sys.stderr.write(errors)
        sys.exit(status)
sys.exit("the shim has no answer to " + words)
"""
TOKEN = "correct-horse-battery"
CONFIG = json.dumps({"contexts": [{"name": "staging"}], "users": [{"user": {"token": TOKEN}}]})
UID = {"uid": "1"}


# As kubectl 1.36 prints it: what its client library logs comes before what it says itself.
LOGGED = (
    'E1201 12:57:46.051653   27156 memcache.go:265] "Unhandled Error" err="couldn\'t get current'
    ' server API group list: Get \\"https://10.0.0.1:6443/api?timeout=3s\\": {}"\n'
)
REFUSED = (
    LOGGED.format("dial tcp 10.0.0.1:6443: connect: connection refused")
    * 5
    + "The connection to the server 10.0.0.1:6443 was refused"
    " - did you specify the right host or port?\n"
)
PLUGIN = (
    LOGGED.format("getting credentials: exec: executable aws failed with exit code 255")
    + "Error loading SSO session: it has expired\n"
    + "Unable to connect to the server: getting credentials:"
    " exec: executable aws failed with exit code 255\n"
)


def items(*objects: dict[str, Any]) -> str:
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": list(objects)})


def answer(output: str = "", status: int = 0, errors: str = "", seconds: float = 0) -> list[Any]:
    return [status, output, errors, seconds]


GOOD = {
    "config view": answer(CONFIG),
    "api-resources": answer("deployments.apps\nscaledobjects.keda.sh\n"),
    "get deployments": answer(items(deployment(metadata=UID), hpa(metadata=UID))),
    "get nodes": answer(
        items(made("v1", "Node", {}, metadata=UID), made("v1", "Pod", {}, metadata=UID))
    ),
}  # fmt: skip


class Shim:
    """A program named kubectl, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "kubectl"
        program.write_text(SHIM.format(python=sys.executable, folder=str(folder)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    @property
    def asked(self) -> list[list[str]]:
        log = self.folder / "asked"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def ask(self, timeout_s: float = 20, **changes: list[Any]) -> Inventory:
        answers = GOOD | {key.replace("_", " "): value for key, value in changes.items()}
        answers["api-resources"] = changes.get("api", GOOD["api-resources"])
        (self.folder / "answers.json").write_text(json.dumps(answers))
        private = self.folder / "private"
        private.mkdir()
        cluster = Cluster(context="staging", namespace="shop", timeout_s=timeout_s)
        try:
            return cluster_objects(cluster, private)
        finally:
            shutil.rmtree(private)


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shim:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Shim(tmp_path)


def test_the_objects_of_a_cluster(shim: Shim) -> None:
    found = shim.ask()
    kinds = (Workload, HorizontalPodAutoscaler, Node, Pod)
    assert [len(found.of(kind)) for kind in kinds] == [1, 1, 1, 1]
    assert found.unseen == {}


def test_kubectl_only_reads_and_never_secrets(shim: Shim) -> None:
    shim.ask()
    view, *others = shim.asked
    assert view == [
        "config", "view", "--raw", "--minify", "--flatten", "--context=staging", "--output=json"
    ]  # fmt: skip
    for words in others:
        assert words[0].startswith("--kubeconfig=")
        assert "--context=staging" in words
        # Never a secret, and nothing but looking.
        assert "secret" not in " ".join(words).lower()
        verb = next(word for word in words if not word.startswith("--"))
        assert verb in {"api-resources", "get"}
    asked = next(words for words in others if "get" in words)
    assert "--namespace=shop" in asked
    assert "--show-managed-fields" in asked
    kinds = next(word for word in asked if "," in word).split(",")
    assert "horizontalpodautoscalers.v2.autoscaling" in kinds
    assert "scaledobjects.keda.sh" in kinds
    assert "verticalpodautoscalers.autoscaling.k8s.io" not in kinds


def test_scaled_objects_are_read(shim: Shim) -> None:
    found = shim.ask(get_deployments=answer(items(deployment(metadata=UID), keda(metadata=UID))))
    assert len(found.of(ScaledObject)) == 1


def test_unavailable_api_group_does_not_prevent_reading(shim: Shim) -> None:
    """The metrics server is gone: that is what the state of the autoscaler is to show."""
    down = answer("deployments.apps\n", 1, "error: unable to retrieve ... metrics.k8s.io/v1beta1")
    assert shim.ask(api=down).of(Workload)


def test_forbidden_nodes_are_recorded(shim: Shim) -> None:
    refused = answer("", 1, 'Error from server (Forbidden): nodes is forbidden: User "ci" cannot')
    found = shim.ask(get_nodes=refused)
    assert found.of(Workload)
    assert isinstance(found.unseen["nodes"], NotPermitted)
    assert "nodes is forbidden" in str(found.unseen["nodes"])


def test_too_long_list_of_pods_leaves_only_the_nodes_unknown(shim: Shim) -> None:
    much = items(*(made("v1", "Pod", {}, f"p{n}", metadata=UID) for n in range(2000)))[:200_000]
    found = shim.ask(get_nodes=answer(much))
    assert found.of(Workload)
    assert isinstance(found.unseen["nodes"], NoData)
    assert "is cut off" in str(found.unseen["nodes"])


def test_a_cluster_of_a_thousand_pods_is_read(shim: Shim) -> None:
    """A pod of four containers is 16 KiB, as kubectl 1.36 prints it."""
    large = {**UID, "annotations": {"padding": "x" * 2**14}}
    pods = [made("v1", "Pod", {}, f"p{n}", metadata=large) for n in range(1100)]
    assert len(shim.ask(get_nodes=answer(items(*pods))).of(Pod)) == len(pods)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"get_deployments": answer("", 1, "Error (Forbidden): deployments.apps is forbidden")},
         NotPermitted, "is forbidden"),
        ({"api": answer("", 1, LOGGED.format("unknown") + "error: You must be logged in to the"
                        " server (the server has asked for the client to provide credentials)\n")},
         NotPermitted, "logged in"),
        ({"api": answer("", 1, REFUSED)},
         Unreachable, "ended with 1: The connection to the server 10.0.0.1:6443 was refused"),
        ({"api": answer("", 1, PLUGIN)},
         NotPermitted, "ended with 1: Error loading SSO session: it has expired Unable to"),
        ({"api": answer("", 1, LOGGED.format("refused"))}, Unreachable, "ended with 1: E1201 "),
        ({"get_deployments": answer("", 1, "Unable to connect to the server: i/o timeout")},
         Unreachable, "Unable to connect"),
        ({"get_deployments": answer("", 1, "error: boom")},
         CouldNotMeasure, "ended with 1: .*boom"),
        ({"config_view": answer("", 1, "error: cannot locate context staging")},
         NoData, "cannot locate context"),
        ({"config_view": answer("", 1, "error: cannot locate user ci")},
         NoData, "cannot locate user"),
        ({"config_view": answer('{"contexts": [{"name": "production"}]}')},
         NoData, "has no context 'staging'"),
        ({"config_view": answer('{"contexts": null}')}, NoData, "is not a configuration"),
        ({"config_view": answer("garbage")}, NoData, "is not a configuration"),
        ({"get_deployments": answer("No resources found")}, NoData, "not a Kubernetes object"),
        ({"get_deployments": answer(items(deployment()))}, NoData, "without a uid"),
        ({"get_deployments": answer('{"kind": "List", "apiVersion": "v1", "items": [')},
         NoData, "cannot be read: line 1: "),
    ],
)  # fmt: skip
def test_invalid_answers_of_kubectl_are_errors(
    shim: Shim, changes: dict[str, Any], error: type[CouldNotMeasure], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        shim.ask(**changes)
    assert TOKEN not in str(caught.value)


def test_hanging_cluster_is_an_error(shim: Shim) -> None:
    with pytest.raises(TookTooLong, match="did not end within 3 s") as caught:
        shim.ask(timeout_s=3, get_deployments=answer("", seconds=600))
    assert "raise `timeout_s` of [scaling.NAME.cluster]" in caught.value.remedy
    assert "private" not in str(caught.value), "the folder of the copy tells nothing"


def test_hanging_cluster_is_not_asked_for_each_kind(shim: Shim, tmp_path: Path) -> None:
    (shim.folder / "answers.json").write_text(json.dumps({"get ": answer("", seconds=600)}))
    kubectl = Kubectl(Cluster(context="staging", namespace="shop", timeout_s=3), tmp_path, "")
    with pytest.raises(TookTooLong):
        kubectl.get_each(["deployments", "services"])
    assert len(shim.asked) == 1


def test_missing_kubectl_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CouldNotMeasure, match="cannot be started"):
        cluster_objects(Cluster(context="staging", namespace="shop"), tmp_path)


def test_the_copy_of_the_configuration_is_private(
    shim: Shim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(self: Kubectl) -> list[str]:
        seen.append(stat.S_IMODE((tmp_path / "p" / "kubeconfig").stat().st_mode))
        return installed(self)

    installed = Kubectl.installed
    monkeypatch.setattr(Kubectl, "installed", look)

    (shim.folder / "answers.json").write_text(json.dumps(GOOD))
    (tmp_path / "p").mkdir()
    cluster_objects(Cluster(context="staging", namespace="shop"), tmp_path / "p")
    assert set(seen) == {0o600}


REAL = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: correct-horse-battery}}]
contexts: [{name: staging, context: {cluster: c, user: u}}]
current-context: elsewhere
"""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize(
    ("context", "error"), [("staging", Unreachable), ("elsewhere", CouldNotMeasure)]
)
def test_real_kubectl_accepts_these_arguments(
    context: str,
    error: type[CouldNotMeasure],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config").write_text(REAL)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(error, match=r"refused|context") as caught:
        cluster_objects(Cluster(context=context, namespace="shop"), tmp_path)
    assert TOKEN not in str(caught.value)
