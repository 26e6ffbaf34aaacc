"""What all tools have in common: they are told what to serve, and nothing they say is believed."""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from readiness.lib import command
from readiness.model.errors import NoData

State = Mapping[str, str]
"""What a release is run with: a digest of the value of each key."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command that changes something.

    Attributes:
        argv: the program and its arguments.
        verb: what it is to do, as in `the command to VERB failed`.
        env: variables on top of our own.
    """

    argv: Sequence[str]
    verb: str
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As one would type it."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        return " ".join([*variables, shlex.join(self.argv)])


class Adapter(Protocol):
    """A tool that changes the release. What it says of itself is no proof of anything."""

    def deploy(self, release: str) -> list[Call]:
        """What makes this release the one that is served; the last call waits for that."""
        ...

    def rollback(self, release: str) -> list[Call]:
        """What goes back to this release."""
        ...

    def state(self) -> State | None:
        """What the release that is set now is run with; None where nobody can tell.

        Raises:
            CouldNotMeasure: the tool does not tell.
        """
        ...

    def replicas(self) -> int | None:
        """How many replicas can serve now; None where nobody can tell.

        Raises:
            CouldNotMeasure: the tool does not tell.
        """
        ...

    def under_way(self) -> str | None:
        """What is under way already, in words; empty if nothing, None where nobody can tell.

        Raises:
            CouldNotMeasure: the tool does not tell.
        """
        ...


def filled(argv: Sequence[str], release: str) -> list[str]:
    """A command, with the release put in."""
    return [word.replace("{release}", release) for word in argv]


def digest(value: object) -> str:
    """What stands for a value: enough to see whether it is the same, and nothing more."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked(argv: Sequence[str], verb: str, remedy: str) -> str:
    """What a question to the tool prints.

    Raises:
        CouldNotMeasure: it fails, hangs, or cannot be asked.
    """
    return command.run(argv, verb, remedy, timeout_s=command.ASK_S)


def json_of(printed: str, where: str) -> Any:
    """What a tool printed as JSON.

    Raises:
        NoData: it is none.
    """
    try:
        return json.loads(printed)
    except (ValueError, RecursionError):
        # What it printed is not shown: it may hold values.
        raise NoData("printed what is not JSON", where=where, remedy="run it by hand") from None
