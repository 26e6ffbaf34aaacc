"""The adapter for compose, by answers of engines as their references show them.

What docker-compose 1 and a real engine make of it is in `test_compose_real.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from readiness.areas.deployment.adapters.compose import ComposeAdapter
from readiness.areas.deployment.config import ByCompose
from readiness.model.errors import CouldNotMeasure, NoData

pytestmark = pytest.mark.contract

SETTINGS = {"project": "shop", "service": "api"}
LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
IDS = ["1f" * 32, "2e" * 32]


def adapter(**settings: object) -> ComposeAdapter:
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
    """An engine that lists two containers, and tells this of them; gives what it was asked."""
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
    assert adapter().replicas() == 3


UNDER_WAY = {
    "starting": container(health="starting"),
    "created": container("created"),
    "restarting": container("restarting", "starting"),
    "removing": container("removing"),
}


@pytest.mark.parametrize("word", UNDER_WAY)
def test_a_container_in_transition_is_a_change(told: Told, word: str) -> None:
    told(container(), UNDER_WAY[word])
    assert adapter().under_way() == f"containers are {word}"


def test_an_ended_container_is_no_change(told: Told) -> None:
    told(container("exited"), container("dead"), container("created", one_off="True"))
    assert adapter().under_way() == ""


def test_the_state_has_settings_and_no_image(told: Told) -> None:
    told(container(Image="shop:1.5.0"), container("exited", User="old"))
    state = adapter().state()
    assert state is not None
    assert set(state) == {
        "environment A", "environment B", "Cmd", "Entrypoint", "User", "WorkingDir", "mount /data",
    }  # fmt: skip
    assert "secret-value" not in str(state)
    told(container(Image="shop:1.4.0"), container(Image="shop:1.4.0"))
    assert adapter().state() == state
    told(container(), container(Env=["A=other", "B="]))
    other = adapter().state() or {}
    assert [key for key in state if state[key] != other[key]] == ["environment A"]


def test_a_container_that_ends_before_its_inspection_is_listed_again(told: Told) -> None:
    asked = told(container(), fails=2)
    assert adapter().replicas() == 1
    assert len(asked.read_text().splitlines()) == 6


def test_a_failing_inspection_is_tried_five_times(told: Told) -> None:
    asked = told(container(), fails=10**6)
    with pytest.raises(CouldNotMeasure, match=r"inspect the containers ended with 1: .* No such"):
        adapter().replicas()
    assert len(asked.read_text().splitlines()) == 10


@pytest.mark.parametrize("state", [None, [], "running"])
def test_a_container_without_a_state_is_an_error(told: Told, state: object) -> None:
    told({**container(), "State": state})
    with pytest.raises(NoData, match="printed no list of containers"):
        adapter().replicas()


def test_podmans_health_is_read(told: Told) -> None:
    never = {**container(), "State": {"Status": "running", "Healthcheck": {"Status": ""}}}
    starting = {**container(), "State": {"Status": "running", "Health": {"Status": "starting"}}}
    told(never, starting, name="podman")
    podman = adapter(tool=["podman-compose"], engine=["podman"], wait=False)
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
    adapter(engine=["docker", "--host", "ssh://a"]).replicas()
    listing, inspecting = asked.read_text().splitlines()
    assert listing == (
        "--host ssh://a ps --all --quiet --no-trunc"
        " --filter label=com.docker.compose.project=shop"
        " --filter label=com.docker.compose.service=api"
    )
    assert inspecting == f"--host ssh://a inspect {' '.join(IDS)}"


def test_wait_false_omits_the_option() -> None:
    (call,) = adapter(tool=["docker-compose"], wait=False).deploy("1.5.0")
    assert str(call) == (
        "TAG=1.5.0 docker-compose --file docker-compose.yml --project-name shop"
        " up --detach --no-deps api"
    )


@pytest.mark.parametrize("name", ["Shop", "_shop", "shop.api", ""])
def test_project_names_are_those_of_compose(name: str) -> None:
    with pytest.raises(ValidationError, match="project"):
        ByCompose.model_validate({**SETTINGS, "project": name})
