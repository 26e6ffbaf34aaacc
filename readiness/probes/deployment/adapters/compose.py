"""A service of docker compose."""

import shlex
from collections.abc import Iterator
from typing import Any, Final

from readiness.config.deployment_adapters import ByCompose
from readiness.errors import NoData
from readiness.probes.deployment.adapters.adapter import Call, State, asked, digest, json_of

_REMEDY: Final = "see [deployment.compose], and run it by hand"


class ComposeAdapter:
    """Sets the tag of one service's image, and lets compose bring the service up again."""

    def __init__(self, settings: ByCompose, *, wait_s: float) -> None:
        self._settings = settings
        self._wait_s = wait_s

    def deploy(self, release: str) -> list[Call]:
        """One call, which waits until the containers say that they are healthy."""
        return [self._up(release, "deploy")]

    def rollback(self, release: str) -> list[Call]:
        """The same with the older release: compose itself remembers none."""
        return [self._up(release, "roll back to")]

    def state(self) -> State | None:
        """What the containers run with, as the engine tells it: the files are only a wish.

        Raises:
            CouldNotMeasure: the engine does not tell.
        """
        argv = self._compose("ps", "--quiet", self._settings.service)
        ids = asked(argv, "list the containers", _REMEDY).split()
        if not ids:
            raise NoData("there is no container", where=shlex.join(argv), remedy=_REMEDY)
        tool = self._settings.tool
        argv = [*(tool[:-1] if tool[-1] == "compose" else ["docker"]), "inspect", *ids]
        printed = asked(argv, "look into the containers", _REMEDY)
        found: dict[str, set[str]] = {}
        for container in _objects(json_of(printed, shlex.join(argv)), shlex.join(argv)):
            for key, value in _settings_of(container):
                found.setdefault(key, set()).add(digest(value))
        return {key: " ".join(sorted(values)) for key, values in found.items()}

    def replicas(self) -> int | None:
        """The containers that run, and are healthy where they have a health check.

        Raises:
            CouldNotMeasure: compose does not tell.
        """
        argv = self._compose("ps", "--format", "json", self._settings.service)
        printed = asked(argv, "list the containers", _REMEDY)
        serving = [
            container
            for container in _containers(printed, shlex.join(argv))
            if container.get("State") == "running"
            and container.get("Health") in {None, "", "healthy"}
        ]
        return len(serving)

    def under_way(self) -> str | None:
        """A container that starts, or restarts, is a change.

        Raises:
            CouldNotMeasure: compose does not tell.
        """
        argv = self._compose("ps", "--all", "--format", "json", self._settings.service)
        printed = asked(argv, "list the containers", _REMEDY)
        states = [
            container.get("Health") if container.get("Health") == "starting" else state
            for container in _containers(printed, shlex.join(argv))
            if (state := container.get("State"))
        ]
        unsettled = sorted({str(s) for s in states} & {"starting", "restarting", "created"})
        return f"containers are {', '.join(unsettled)}" if unsettled else ""

    def _up(self, release: str, verb: str) -> Call:
        settings = self._settings
        argv = self._compose(
            *("up", "--detach", "--no-deps", "--wait", "--wait-timeout", f"{self._wait_s:.0f}"),
            settings.service,
        )
        return Call(argv, f"{verb} {release}", {settings.variable: release})

    def _compose(self, *arguments: str) -> list[str]:
        settings = self._settings
        files = [word for file in settings.files for word in ("--file", file)]
        return [*settings.tool, *files, "--project-name", settings.project, *arguments]


def _settings_of(container: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Everything that somebody can have set, each variable under a key of its own."""
    config = container.get("Config") or {}
    for pair in config.get("Env") or []:
        key, _, value = str(pair).partition("=")
        yield f"environment {key}", value
    for key in ("Cmd", "Entrypoint", "User", "WorkingDir"):
        yield key, config.get(key)
    for mount in container.get("Mounts") or []:
        yield f"mount {mount.get('Destination')}", mount.get("Source")


def _containers(printed: str, where: str) -> list[dict[str, Any]]:
    """Older releases print one list, newer ones an object a line."""
    documents = [json_of(line, where) for line in printed.splitlines() if line.strip()]
    if len(documents) == 1 and isinstance(documents[0], list):
        documents = documents[0]
    return _objects(documents, where)


def _objects(documents: object, where: str) -> list[dict[str, Any]]:
    if isinstance(documents, list) and all(isinstance(one, dict) for one in documents):
        return documents
    raise NoData("printed no list of containers", where=where, remedy=_REMEDY)
