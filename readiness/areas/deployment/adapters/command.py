"""Commands of the user's own."""

import re
import shlex
from typing import Final

from readiness.areas.deployment.adapters.adapter import Call, State, asked, digest, filled
from readiness.areas.deployment.config_adapters import ByCommand
from readiness.lib import command
from readiness.lib.drill.counting import counted
from readiness.model.errors import NoData

_TABLE: Final = "see [deployment.command], and run it by hand"
_LINE: Final = re.compile(r"([^=\s][^=]*)=(.*)")


class CommandAdapter:
    """Deploys by commands that the target declares."""

    def __init__(self, settings: ByCommand) -> None:
        self._settings = settings

    def deploy(self, release: str) -> list[Call]:
        """One call."""
        return [Call(filled(self._settings.deploy, release), f"deploy {release}")]

    def rollback(self, release: str) -> list[Call]:
        """One call."""
        argv = self._settings.rollback or self._settings.deploy
        return [Call(filled(argv, release), f"roll back to {release}")]

    def state(self) -> State | None:
        """What the command prints, `KEY=value` a line.

        Raises:
            CouldNotMeasure: it fails, prints nothing, or something else.
        """
        if self._settings.state is None:
            return None
        argv = self._settings.state
        lines = [line for line in asked(argv, "tell the state", _TABLE).splitlines() if line]
        found = [_LINE.fullmatch(line) for line in lines]
        # What is wrong with a line is not shown: it may hold a value.
        if not lines or None in found:
            wrong = f"line {found.index(None) + 1} is not KEY=value" if lines else "prints nothing"
            raise NoData(wrong, where=shlex.join(argv), remedy=_TABLE)
        return {match[1].strip(): digest(match[2]) for match in found if match}

    def replicas(self) -> int | None:
        """What the command prints, a whole number.

        Raises:
            CouldNotMeasure: it fails, or prints something else.
        """
        argv = self._settings.replicas
        return None if argv is None else counted(argv, _TABLE)

    def under_way(self) -> str | None:
        """The command's exit status tells.

        Raises:
            CouldNotMeasure: it cannot be run, or hangs.
        """
        if self._settings.status is None:
            return None
        argv = self._settings.status
        answer = command.ask(
            argv, "tell whether a change is under way", _TABLE, timeout_s=command.ASK_S
        )
        return f"{shlex.join(argv)}: {answer.said or answer.status}" if answer.status else ""
