"""A service of docker compose: compose changes it, and the container engine lists what runs."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from readiness.areas.deployment.adapters.adapter import Adapter, Call, State, asked, digest, json_of
from readiness.areas.deployment.config import ByCompose
from readiness.lib import command
from readiness.model.errors import CouldNotMeasure, NoData

_ONE_OFF: Final = "com.docker.compose.oneoff"
# As docker and podman name them.
_UNSETTLED: Final = frozenset(
    {"created", "initialized", "starting", "restarting", "stopping", "removing"}
)
_REMEDY: Final = "run it by hand, and correct [deployment.compose]"
_TRIES: Final = 5
_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a service.

    Attributes:
        status: as `running`.
        health: as `healthy`; empty where it has no health check.
        settings: what it runs with, without the image.
    """

    status: str
    health: str
    settings: State

    @property
    def runs(self) -> bool:
        """Whether it runs, and is not paused."""
        return self.status == "running"

    @property
    def serves(self) -> bool:
        """Whether it runs, and is healthy where it has a health check."""
        return self.runs and self.health in {"", "healthy"}

    @property
    def unsettled(self) -> str:
        """The state of its transition, as `starting`; empty if it is settled."""
        words = (self.health if self.runs else "", self.status)
        return next((word for word in words if word in _UNSETTLED), "")


def containers_of(printed: str, where: str) -> list[Container]:
    """The containers that the engine printed, without one-off ones (`run`), such as migrations.

    Raises:
        NoData: it printed something else.
    """
    documents = json_of(printed, where)
    if not isinstance(documents, list) or not all(
        isinstance(one, dict) and isinstance(one.get("State"), dict) for one in documents
    ):
        raise NoData("printed no list of containers", where=where, remedy="run it by hand")
    return [_container(one) for one in documents if not _is_one_off(one)]


def state_of(containers: Sequence[Container]) -> State:
    """What they run with; all values where they differ."""
    found: dict[str, set[str]] = {}
    for container in containers:
        for key, value in container.settings.items():
            found.setdefault(key, set()).add(value)
    return {key: " ".join(sorted(values)) for key, values in found.items()}


def _container(document: Mapping[str, Any]) -> Container:
    state = document["State"]
    # Podman before its release 4 writes `Healthcheck`.
    health = state.get("Health") or state.get("Healthcheck") or {}
    word = str(health.get("Status") or "")
    return Container(
        status=str(state.get("Status")),
        health="" if word == "none" else word,
        settings={key: digest(value) for key, value in _settings_of(document)},
    )


def _settings_of(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Everything that can be set, each variable under a key of its own."""
    config = document.get("Config") or {}
    for pair in config.get("Env") or []:
        key, _, value = str(pair).partition("=")
        yield f"environment {key}", value
    for key in ("Cmd", "Entrypoint", "User", "WorkingDir"):
        yield key, config.get(key)
    for mount in document.get("Mounts") or []:
        yield f"mount {mount.get('Destination')}", mount.get("Source")


def _is_one_off(document: Mapping[str, Any]) -> bool:
    labels = (document.get("Config") or {}).get("Labels") or {}
    return str(labels.get(_ONE_OFF)) == "True"


class ComposeAdapter(Adapter):
    """Sets the tag of one service's image, and lets compose bring the service up again.

    Only the engine is asked what runs: the output of compose differs between its releases, and it
    reads the files first, which need not be valid without the variable.
    """

    def __init__(self, settings: ByCompose, *, wait_s: float) -> None:
        self._settings = settings
        self._wait_s = wait_s

    def change(self, release: str, verb: str) -> list[Call]:
        """Bring the service up; waits until the containers are healthy, if `wait` is set."""
        settings = self._settings
        files = [word for file in settings.files for word in ("--file", file)]
        wait = ["--wait", "--wait-timeout", f"{self._wait_s:.0f}"] if settings.wait else []
        argv = [
            *(*settings.tool, *files, "--project-name", settings.project),
            *("up", "--detach", "--no-deps", *wait, settings.service),
        ]
        return [Call(argv, verb, {settings.variable: release})]

    def state(self) -> State | None:
        """What the containers run with, which may differ from the files."""
        running = [container for container in self._containers() if container.runs]
        if not running:
            raise NoData("no container runs", where=shlex.join(self._list()), remedy=_REMEDY)
        return state_of(running)

    def replicas(self) -> int | None:
        """The containers that run, and are healthy where they have a health check."""
        return sum(container.serves for container in self._containers())

    def under_way(self) -> str | None:
        """A container that is created, starts or restarts is a change."""
        unsettled = {container.unsettled for container in self._containers()} - {""}
        return f"containers are {', '.join(sorted(unsettled))}" if unsettled else ""

    def _containers(self) -> list[Container]:
        """All of the service, also those that ended; there may be none."""
        for _ in range(_TRIES):
            ids = self._ids()
            if not ids:
                return []
            argv = [*self._settings.engine_argv, "inspect", *ids]
            verb = "inspect the containers"
            answer = command.ask(argv, verb, _REMEDY, timeout_s=command.ASK_S)
            if answer.status == 0:
                return containers_of(answer.output, shlex.join(argv))
            # During a rollout one may be gone by now: list them again.
        raise CouldNotMeasure(
            f"the command to {verb} ended with {answer.status}: {answer.said}",
            where=shlex.join(argv),
            remedy=_REMEDY,
        )

    def _ids(self) -> list[str]:
        argv = self._list()
        ids = asked(argv, "list the containers", _REMEDY).split()
        if not all(_ID.fullmatch(one) for one in ids):
            raise NoData(
                "printed something other than container ids", where=shlex.join(argv), remedy=_REMEDY
            )
        return ids

    def _list(self) -> list[str]:
        settings = self._settings
        labels = {"project": settings.project, "service": settings.service}
        filters = (
            word
            for key, value in labels.items()
            for word in ("--filter", f"label=com.docker.compose.{key}={value}")
        )
        return [*settings.engine_argv, "ps", "--all", "--quiet", "--no-trunc", *filters]
