"""Deploys by commands that the target declares."""

import re
import shlex
from typing import Final

from readiness.areas.deployment.adapters.adapter import Call, State, asked, digest, filled
from readiness.areas.deployment.config_adapters import ByCommand
from readiness.lib import command
from readiness.lib.drill.counting import counted
from readiness.model.errors import NoData

_TABLE: Final = "run it by hand, and correct it in [deployment.command]"
_LINE: Final = re.compile(r"([^=\s][^=]*)=(.*)")


class CommandAdapter:
    """What the commands of [deployment.command] do and print."""

    def __init__(self, settings: ByCommand) -> None:
        self._settings = settings

    def deploy(self, release: str) -> list[Call]:
        """One command."""
        return [Call(filled(self._settings.deploy, release), f"deploy {release}")]

    def rollback(self, release: str) -> list[Call]:
        """One command; `deploy` where no other one is declared."""
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
        lines = [line for line in asked(argv, "print the state", _TABLE).splitlines() if line]
        found = [_LINE.fullmatch(line) for line in lines]
        # The line itself is not shown: it may hold a secret.
        if not lines or None in found:
            wrong = f"line {found.index(None) + 1} is not KEY=value" if lines else "printed nothing"
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
        """By the command's exit status.

        Raises:
            CouldNotMeasure: it cannot be run, or hangs.
        """
        if self._settings.status is None:
            return None
        argv = self._settings.status
        answer = command.ask(
            argv, "say whether a change is under way", _TABLE, timeout_s=command.ASK_S
        )
        return f"{shlex.join(argv)}: {answer.said or answer.status}" if answer.status else ""
