"""Adapters of deployments: what they run, and what they make of recorded and of wrong answers."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.deployment.adapters import adapter_of, kubernetes
from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.config import Deployment
from readiness.model.errors import CouldNotMeasure, NoData

pytestmark = pytest.mark.contract

PLACE = {"context": "staging", "namespace": "shop"}
TABLES: dict[str, dict[str, Any]] = {
    "command": {
        "deploy": ["fleet", "deploy", "{release}"],
        "state": ["fleet", "state"],
        "replicas": ["fleet", "replicas"],
        "status": ["fleet", "status"],
    },
    "compose": {"project": "shop", "service": "api"},
    "kubectl": {
        **PLACE, "workload": "deployment/shop", "container": "shop",
        "image": "registry.example.com/shop:{release}",
    },
    "helm": {**PLACE, "release_name": "shop", "chart": "./chart", "set": ["image.tag={release}"]},
    "argo-rollouts": {
        **PLACE, "rollout": "shop", "container": "shop",
        "image": "registry.example.com/shop:{release}",
    },
}  # fmt: skip
PROGRAM = {"command": "fleet", "compose": "docker", "helm": "helm"}


def adapter(kind: str) -> Adapter:
    table = {kind.replace("-", "_"): TABLES[kind]}
    return adapter_of(
        Deployment.model_validate(
            {"url": "http://shop", "previous": "1.4.0", "adapter": kind, **table}
        )
    )


Shim = Callable[[str, str], None]


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shim:
    """Puts a program before all others, which prints the recorded answer of its arguments."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(kind: str, script: str) -> None:
        program = tmp_path / PROGRAM.get(kind, "kubectl")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return put


COMPOSE = "docker compose --file docker-compose.yml --project-name shop"
KUBECTL = "kubectl --context staging --namespace shop"
HELM = "helm --kube-context staging --namespace shop upgrade shop ./chart --reuse-values"
CALLS = {
    "command": ["fleet deploy 1.5.0"],
    "compose": [f"{COMPOSE} up --detach --no-deps --wait --wait-timeout 300 api"],
    "kubectl": [
        f"{KUBECTL} set image deployment/shop shop=registry.example.com/shop:1.5.0",
        f"{KUBECTL} rollout status deployment/shop --timeout=300s",
    ],
    "helm": [f"{HELM} --set-string image.tag=1.5.0 --wait --timeout 300s"],
    "argo-rollouts": [
        f"{KUBECTL} argo rollouts set image shop shop=registry.example.com/shop:1.5.0",
        f"{KUBECTL} argo rollouts status shop --timeout 300s",
    ],
}


@pytest.mark.parametrize("kind", CALLS)
def test_commands_that_deploy_and_roll_back(kind: str) -> None:
    tool = adapter(kind)
    assert [shlex.join(call.argv) for call in tool.deploy("1.5.0")] == CALLS[kind]
    back = [shlex.join(call.argv) for call in tool.rollback("1.4.0")]
    assert back == [text.replace("1.5.0", "1.4.0") for text in CALLS[kind]]


def test_compose_gets_the_tag_in_its_environment() -> None:
    (call,) = adapter("compose").deploy("1.5.0")
    assert call.env == {"TAG": "1.5.0"}


WRONG = {
    "prints nothing": "exit 0",
    "prints garbage": "echo '\\x1b[2J<html>'",
    "prints another kind": "echo '[[1]]'",
    "fails": "echo token=ours-of-old >&2; exit 1",
    "prints without an end": "yes",
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize("kind", CALLS)
def test_a_tool_that(shim: Shim, kind: str, how: str) -> None:
    shim(kind, WRONG[how])
    tool = adapter(kind)
    for ask in (tool.state, tool.replicas):
        if (kind, ask) == ("helm", tool.replicas):
            continue  # it does not know
        if how == "prints nothing" and (kind, ask.__name__) == ("compose", "replicas"):
            assert ask() == 0  # as compose does it where nothing runs
            continue
        with pytest.raises(CouldNotMeasure) as told:
            ask()
        assert "ours-of-old" not in str(told.value)


@pytest.mark.parametrize("kind", CALLS)
def test_a_tool_that_is_not_there(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CouldNotMeasure, match="cannot be started"):
        adapter(kind).state()


def test_commands_tell_state_replicas_and_status(shim: Shim) -> None:
    shim("command", "case $1 in state) echo A=secret-value; echo B=;; replicas) echo 3;; esac")
    tool = adapter("command")
    state = tool.state()
    assert state is not None
    assert list(state) == ["A", "B"]
    assert "secret-value" not in str(state)
    assert (tool.replicas(), tool.under_way()) == (3, "")
    shim("command", "echo rolling; exit 1")
    assert tool.under_way() == "fleet status: rolling"


def test_an_invalid_line_of_state_is_not_shown(shim: Shim) -> None:
    shim("command", "echo A=1; echo ours-of-old")
    with pytest.raises(NoData, match="line 2 is not KEY=value") as told:
        adapter("command").state()
    assert "ours-of-old" not in str(told.value)


def test_helm_reads_pending_releases_and_values(shim: Shim) -> None:
    shim("helm", """echo '{"info": {"status": "pending-upgrade"}}'""")
    assert adapter("helm").under_way() == "the status of the Helm release is pending-upgrade"
    shim("helm", """echo '{"image": {"tag": "1.5.0"}, "db": {"url": "x"}}'""")
    assert set(adapter("helm").state() or {}) == {"db.url"}


WORKLOAD: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "shop", "generation": 7},
    "spec": {
        "replicas": 3,
        "template": {"spec": {"containers": [
            {"name": "shop", "image": "shop:1", "envFrom": [{"configMapRef": {"name": "c"}}],
             "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
        ], "volumes": [{"name": "v", "secret": {"secretName": "t"}}]}},
    },
    "status": {"observedGeneration": 7, "replicas": 3, "updatedReplicas": 3,
               "availableReplicas": 3},
}  # fmt: skip


def changed(**status: object) -> dict[str, Any]:
    found = {**WORKLOAD["status"], **status}
    return {**WORKLOAD, "status": {k: v for k, v in found.items() if v is not None}}


def test_a_rollout_is_complete_when_all_counts_agree() -> None:
    assert kubernetes.unfinished(WORKLOAD) == ""
    assert kubernetes.unfinished(changed(observedGeneration=6)) != ""
    assert kubernetes.unfinished(changed(observedGeneration="7")) == "", (
        "as Argo Rollouts writes it"
    )
    assert kubernetes.unfinished(changed(availableReplicas=None)) == ("availableReplicas is 0 of 3")
    assert kubernetes.unfinished(changed(updatedReplicas=2)) != ""
    assert kubernetes.unfinished({**WORKLOAD, "status": {}}) != ""


def test_a_controller_that_would_revert_is_named() -> None:
    owned = {"annotations": {"argocd.argoproj.io/tracking-id": "x"}, "generation": 7}
    assert "Argo CD manages it" in kubernetes.unfinished({**WORKLOAD, "metadata": owned})


def test_the_state_of_pods(shim: Shim) -> None:
    assert kubernetes.references(WORKLOAD) == ["configmap/c", "secret/s", "secret/t"]
    config = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"A": "secret-value"}}
    state = kubernetes.state_of(WORKLOAD, [config], without="shop")
    assert {"configmap/c A", "shop env", "volumes", "replicas"} <= state.keys()
    assert "shop image" not in state
    assert "secret-value" not in str(state)
    shim("kubectl", f"cat <<'END'\n{json.dumps(WORKLOAD)}\nEND")
    assert adapter("kubectl").replicas() == 3
    assert adapter("kubectl").under_way() == ""
    with pytest.raises(NoData, match="printed no configmap/c and secret/s"):
        adapter("kubectl").state()
