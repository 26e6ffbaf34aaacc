"""Adapters of deployments: their commands, and how they read recorded and invalid answers."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from readiness.areas.deployment.adapters import adapter_of, kubernetes
from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.adapters.compose import ComposeAdapter
from readiness.areas.deployment.config import ByCompose, Deployment
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
def test_each_tool_deploys_and_rolls_back_by_its_commands(kind: str) -> None:
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
def test_tool_that_misbehaves_is_an_error(shim: Shim, kind: str, how: str) -> None:
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
def test_missing_tool_is_an_error(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CouldNotMeasure, match="cannot be started"):
        adapter(kind).state()


def test_own_commands_print_state_replicas_and_status(shim: Shim) -> None:
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
        ], "volumes": [
            {"name": "v", "secret": {"secretName": "t"}},
            {"name": "p", "projected": {"sources": [{"secret": {"name": "o", "optional": True}}]}},
        ]}},
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
    # A new image would start no pod.
    paused = {**WORKLOAD, "metadata": {"name": "shop"}, "spec": {"paused": True}}
    for kind, resume in (
        ("Deployment", "rollout resume deployment"),
        ("Rollout", "argo rollouts resume"),
    ):
        assert f"kubectl {resume} shop" in kubernetes.unfinished({**paused, "kind": kind})


def test_a_controller_that_would_revert_is_named() -> None:
    owned = {"annotations": {"argocd.argoproj.io/tracking-id": "x"}, "generation": 7}
    assert "Argo CD manages it" in kubernetes.unfinished({**WORKLOAD, "metadata": owned})


def test_the_state_of_pods(shim: Shim) -> None:
    assert kubernetes.references(WORKLOAD) == {
        "configmap/c": True, "secret/o": False, "secret/s": True, "secret/t": True
    }  # fmt: skip
    config = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"A": "secret-value"}}
    state = kubernetes.state_of(WORKLOAD, [config], without="shop")
    assert {"configmap/c A", "shop env", "volumes"} <= state.keys()
    scaled = {**WORKLOAD, "spec": {**WORKLOAD["spec"], "replicas": 7}}
    assert kubernetes.state_of(scaled, [config], without="shop") == state, "by an autoscaler"
    assert "shop image" not in state
    assert "secret-value" not in str(state)
    shim("kubectl", f"cat <<'END'\n{json.dumps(WORKLOAD)}\nEND")
    assert adapter("kubectl").replicas() == 3
    assert adapter("kubectl").under_way() == ""
    with pytest.raises(NoData, match="printed no configmap/c and secret/s"):
        adapter("kubectl").state()


def test_an_optional_secret_may_be_missing(shim: Shim) -> None:
    """As kubectl 1.36 prints it: what is not found is left out, and a list has what is there."""
    there = [("ConfigMap", "c"), ("Secret", "s"), ("Secret", "t")]
    found = [{"kind": kind, "metadata": {"name": name}, "data": {"A": "B"}} for kind, name in there]
    listed = json.dumps({"kind": "List", "apiVersion": "v1", "items": found})
    shim(
        "kubectl",
        f"""case "$*" in
        *" get deployment/shop --output "*) echo {shlex.quote(json.dumps(WORKLOAD))} ;;
        *" get configmap/c secret/o secret/s secret/t --ignore-not-found "*)
            echo {shlex.quote(listed)} ;;
        esac""",
    )
    state = adapter("kubectl").state()
    assert state is not None
    assert {"configmap/c A", "secret/s A", "secret/t A"} <= state.keys()
    shim("kubectl", "echo 'Error from server (NotFound): secrets \"s\" not found' >&2; exit 1")
    with pytest.raises(CouldNotMeasure, match='secrets "s" not found'):
        adapter("kubectl").state()


SETTINGS = {"project": "shop", "service": "api"}
LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
IDS = ["1f" * 32, "2e" * 32]


def compose(**settings: object) -> ComposeAdapter:
    return ComposeAdapter(ByCompose.model_validate({**SETTINGS, **settings}), wait_s=60)


def container(
    status: str = "running", health: str | None = None, *, one_off: str = "False", **config: object
) -> dict[str, Any]:
    """One of `docker compose` 2, in the shape of the Engine API's ContainerInspect."""
    checked = {"Health": {"Status": health, "FailingStreak": 0, "Log": []}} if health else {}
    return {
        "Id": IDS[0],
        "State": {"Status": status, "Running": status == "running", "Dead": False, **checked},
        "Config": {
            "Env": ["A=secret-value", "B="],
            "Cmd": ["run"],
            "Labels": {**LABELS, "com.docker.compose.oneoff": one_off},
            **config,
        },
        "Mounts": [{"Type": "bind", "Source": "/srv", "Destination": "/data", "RW": True}],
    }


Told = Callable[..., Path]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Makes an engine that lists two containers with these details; returns its log."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(*containers: object, name: str = "docker", fails: int = 0) -> Path:
        asked = tmp_path / "asked"
        program = tmp_path / name
        program.write_text(f"""#!/bin/sh
echo "$@" >> {asked}
case "$*" in
  *"ps --all"*) printf '%s\\n' {" ".join(IDS)};;
  *inspect*)
    if [ "$(grep -c inspect {asked})" -le {fails} ]; then
      echo '[]'; echo "Error: No such object: {IDS[1]}" >&2; exit 1
    fi
    cat <<'END'
{json.dumps(containers)}
END
esac
""")
        program.chmod(0o755)
        return asked

    return put


def test_running_and_healthy_containers_serve(told: Told) -> None:
    serving = [container(), container(health="healthy"), container(health="none")]
    others = [
        container(health="starting"),
        container(health="unhealthy"),
        *(container(status) for status in ("created", "paused", "restarting", "exited", "dead")),
        container(one_off="True"),
    ]
    told(*serving, *others)
    assert compose().replicas() == 3


UNDER_WAY = {
    "starting": container(health="starting"),
    "created": container("created"),
    "restarting": container("restarting", "starting"),
    "removing": container("removing"),
}


@pytest.mark.parametrize("word", UNDER_WAY)
def test_a_container_in_transition_is_a_change(told: Told, word: str) -> None:
    told(container(), UNDER_WAY[word])
    assert compose().under_way() == f"containers are {word}"


def test_an_ended_container_is_no_change(told: Told) -> None:
    told(container("exited"), container("dead"), container("created", one_off="True"))
    assert compose().under_way() == ""


def test_the_state_has_settings_and_no_image(told: Told) -> None:
    told(container(Image="shop:1.5.0"), container("exited", User="old"))
    state = compose().state()
    assert state is not None
    assert set(state) == {
        "environment A", "environment B", "Cmd", "Entrypoint", "User", "WorkingDir", "mount /data",
    }  # fmt: skip
    assert "secret-value" not in str(state)
    told(container(Image="shop:1.4.0"), container(Image="shop:1.4.0"))
    assert compose().state() == state
    told(container(), container(Env=["A=other", "B="]))
    other = compose().state() or {}
    assert [key for key in state if state[key] != other[key]] == ["environment A"]


def test_a_container_that_ends_before_its_inspection_is_listed_again(told: Told) -> None:
    asked = told(container(), fails=2)
    assert compose().replicas() == 1
    assert len(asked.read_text().splitlines()) == 6


def test_a_failing_inspection_is_tried_five_times(told: Told) -> None:
    asked = told(container(), fails=10**6)
    with pytest.raises(CouldNotMeasure, match=r"inspect the containers ended with 1: .* No such"):
        compose().replicas()
    assert len(asked.read_text().splitlines()) == 10


@pytest.mark.parametrize("state", [None, [], "running"])
def test_a_container_without_a_state_is_an_error(told: Told, state: object) -> None:
    told({**container(), "State": state})
    with pytest.raises(NoData, match="printed no list of containers"):
        compose().replicas()


def test_podmans_health_is_read(told: Told) -> None:
    never = {**container(), "State": {"Status": "running", "Healthcheck": {"Status": ""}}}
    starting = {**container(), "State": {"Status": "running", "Health": {"Status": "starting"}}}
    told(never, starting, name="podman")
    podman = compose(tool=["podman-compose"], engine=["podman"], wait=False)
    assert (podman.replicas(), podman.under_way()) == (1, "containers are starting")


ENGINES = {
    # the tool -> who is asked
    "docker compose": "docker",
    "docker --context staging compose": "docker --context staging",
    "docker-compose": "docker",
    "podman compose": "podman",
}


@pytest.mark.parametrize("tool", ENGINES)
def test_the_engine_follows_from_the_tool(tool: str) -> None:
    settings = ByCompose.model_validate({**SETTINGS, "tool": tool.split()})
    assert settings.engine_argv == ENGINES[tool].split()


@pytest.mark.parametrize("tool", ["podman-compose", "docker-compose --host ssh://a", "compose"])
def test_an_engine_is_never_guessed(tool: str) -> None:
    table = {**SETTINGS, "tool": tool.split()}
    with pytest.raises(ValidationError, match="`engine` must name the engine's command"):
        ByCompose.model_validate(table)
    settings = ByCompose.model_validate({**table, "engine": ["docker", "--host", "ssh://a"]})
    assert settings.engine_argv == ["docker", "--host", "ssh://a"]


def test_containers_are_listed_by_label(told: Told) -> None:
    asked = told(container())
    compose(engine=["docker", "--host", "ssh://a"]).replicas()
    listing, inspecting = asked.read_text().splitlines()
    assert listing == (
        "--host ssh://a ps --all --quiet --no-trunc"
        " --filter label=com.docker.compose.project=shop"
        " --filter label=com.docker.compose.service=api"
    )
    assert inspecting == f"--host ssh://a inspect {' '.join(IDS)}"


def test_wait_false_omits_the_option() -> None:
    (call,) = compose(tool=["docker-compose"], wait=False).deploy("1.5.0")
    assert str(call) == (
        "TAG=1.5.0 docker-compose --file docker-compose.yml --project-name shop"
        " up --detach --no-deps api"
    )


@pytest.mark.parametrize("name", ["Shop", "_shop", "shop.api", ""])
def test_project_names_are_those_of_compose(name: str) -> None:
    with pytest.raises(ValidationError, match="project"):
        ByCompose.model_validate({**SETTINGS, "project": name})
