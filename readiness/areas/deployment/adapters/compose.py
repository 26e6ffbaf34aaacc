"""A service of docker compose: compose changes it, and the engine tells what there is."""

import re
import shlex
from typing import Final

from readiness.areas.deployment.adapters.adapter import Call, State, asked
from readiness.areas.deployment.adapters.containers import Container, containers_of, state_of
from readiness.areas.deployment.config_adapters import ByCompose
from readiness.lib import command
from readiness.model.errors import CouldNotMeasure, NoData

_REMEDY: Final = "see [deployment.compose], and run it by hand"
_TRIES: Final = 5
_ID: Final = re.compile(r"[0-9a-f]{64}")


class ComposeAdapter:
    """Sets the tag of one service's image, and lets compose bring the service up again.

    Compose itself is asked nothing: what it prints is another thing in each release, it reads the
    files before, and these need not be whole without the variable.
    """

    def __init__(self, settings: ByCompose, *, wait_s: float) -> None:
        self._settings = settings
        self._wait_s = wait_s

    def deploy(self, release: str) -> list[Call]:
        """One call, which waits until the containers say that they are healthy, if it can."""
        return [self._up(release, "deploy")]

    def rollback(self, release: str) -> list[Call]:
        """The same with the older release: compose itself remembers none."""
        return [self._up(release, "roll back to")]

    def state(self) -> State | None:
        """What the containers run with: the files are only a wish.

        Raises:
            CouldNotMeasure: the engine does not tell, or no container runs.
        """
        running = [container for container in self._containers() if container.runs]
        if not running:
            raise NoData("no container runs", where=shlex.join(self._list()), remedy=_REMEDY)
        return state_of(running)

    def replicas(self) -> int | None:
        """The containers that run, and are healthy where they have a health check.

        Raises:
            CouldNotMeasure: the engine does not tell.
        """
        return sum(container.serves for container in self._containers())

    def under_way(self) -> str | None:
        """A container that is made, starts, or restarts, is a change.

        Raises:
            CouldNotMeasure: the engine does not tell.
        """
        unsettled = {container.unsettled for container in self._containers()} - {""}
        return f"containers are {', '.join(sorted(unsettled))}" if unsettled else ""

    def _containers(self) -> list[Container]:
        """All of the service, those that ended too; none is an answer."""
        for _ in range(_TRIES):
            ids = self._ids()
            if not ids:
                return []
            argv = [*self._settings.engine_argv, "inspect", *ids]
            verb = "look into the containers"
            answer = command.ask(argv, verb, _REMEDY, timeout_s=command.ASK_S)
            if answer.status == 0:
                return containers_of(answer.output, shlex.join(argv))
            # In a rollout one may be gone by now: then there are others.
        raise CouldNotMeasure(
            f"the command to {verb} ended with {answer.status}: {answer.said}",
            where=shlex.join(argv),
            remedy=_REMEDY,
        )

    def _ids(self) -> list[str]:
        argv = self._list()
        ids = asked(argv, "list the containers", _REMEDY).split()
        if not all(_ID.fullmatch(one) for one in ids):
            raise NoData("printed what is no id", where=shlex.join(argv), remedy=_REMEDY)
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

    def _up(self, release: str, verb: str) -> Call:
        settings = self._settings
        files = [word for file in settings.files for word in ("--file", file)]
        wait = ["--wait", "--wait-timeout", f"{self._wait_s:.0f}"] if settings.wait else []
        argv = [
            *(*settings.tool, *files, "--project-name", settings.project),
            *("up", "--detach", "--no-deps", *wait, settings.service),
        ]
        return Call(argv, f"{verb} {release}", {settings.variable: release})
