"""What all tools that deploy have in common; and the simplest one, the target's own commands."""

import hashlib
import json
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from readiness.areas.deployment.config import ByCommand
from readiness.lib import command
from readiness.lib.drill.counting import counted
from readiness.model.errors import NoData

State = Mapping[str, str]
"""What a release runs with: a digest of the value of each key."""
_TABLE: Final = "run it by hand, and correct it in [deployment.command]"
_LINE: Final = re.compile(r"([^=\s][^=]*)=(.*)")


@dataclass(frozen=True, slots=True)
class Call:
    """A command that changes something.

    Attributes:
        verb: what it does, as in `the command to VERB failed`.
        env: variables in addition to those of this process.
    """

    argv: Sequence[str]
    verb: str
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As typed in a shell."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        return " ".join([*variables, shlex.join(self.argv)])


class Adapter(ABC):
    """A tool that changes the release.

    Its questions raise CouldNotMeasure if the tool does not answer, or prints something else.
    """

    def deploy(self, release: str) -> list[Call]:
        """The commands that deploy this release; the last one waits until it is served."""
        return self.change(release, f"deploy {release}")

    def rollback(self, release: str) -> list[Call]:
        """The commands that roll back to this release."""
        return self.change(release, f"roll back to {release}")

    @abstractmethod
    def change(self, release: str, verb: str) -> list[Call]:
        """The commands that change to this release; a rollback is a change to an older one."""

    @abstractmethod
    def state(self) -> State | None:
        """The configuration that the current release runs with; None if the tool prints none."""

    @abstractmethod
    def replicas(self) -> int | None:
        """How many replicas can serve now; None if the tool does not count them."""

    @abstractmethod
    def under_way(self) -> str | None:
        """Which change is under way; empty if none is, None if the tool does not say."""


def filled(argv: Sequence[str], release: str) -> list[str]:
    """A command with the release filled in."""
    return [word.replace("{release}", release) for word in argv]


def digest(value: object) -> str:
    """A digest of a value, to compare it with another."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked(argv: Sequence[str], verb: str, remedy: str) -> str:
    """The output of a command that only asks.

    Raises:
        CouldNotMeasure: it fails, hangs, or cannot be started.
    """
    return command.run(argv, verb, remedy, timeout_s=command.ASK_S)


def json_of(printed: str, where: str) -> Any:
    """The output of a tool, parsed as JSON; NoData if it is not JSON."""
    try:
        return json.loads(printed)
    except (ValueError, RecursionError):
        # The output is not shown: it may contain secrets.
        raise NoData("printed no valid JSON", where=where, remedy="run it by hand") from None


class CommandAdapter(Adapter):
    """The commands of [deployment.command]."""

    def __init__(self, settings: ByCommand) -> None:
        self._settings = settings

    def change(self, release: str, verb: str) -> list[Call]:
        """One command."""
        return [Call(filled(self._settings.deploy, release), verb)]

    def rollback(self, release: str) -> list[Call]:
        """The command `rollback` if it is declared, else `deploy`."""
        argv = self._settings.rollback or self._settings.deploy
        return [Call(filled(argv, release), f"roll back to {release}")]

    def state(self) -> State | None:
        """The command's output, one `KEY=value` per line."""
        if self._settings.state is None:
            return None
        argv = self._settings.state
        lines = [line for line in asked(argv, "print the state", _TABLE).splitlines() if line]
        found = [_LINE.fullmatch(line) for line in lines]
        # The line itself is not shown: it may contain a secret.
        if not lines or None in found:
            wrong = f"line {found.index(None) + 1} is not KEY=value" if lines else "printed nothing"
            raise NoData(wrong, where=shlex.join(argv), remedy=_TABLE)
        return {match[1].strip(): digest(match[2]) for match in found if match}

    def replicas(self) -> int | None:
        """The command's output, a whole number."""
        argv = self._settings.replicas
        return None if argv is None else counted(argv, _TABLE)

    def under_way(self) -> str | None:
        """By the command's exit status."""
        if self._settings.status is None:
            return None
        argv = self._settings.status
        answer = command.ask(
            argv, "say whether a change is under way", _TABLE, timeout_s=command.ASK_S
        )
        return f"{shlex.join(argv)}: {answer.said or answer.status}" if answer.status else ""
