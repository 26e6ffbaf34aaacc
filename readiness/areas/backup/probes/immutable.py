"""Tries to delete an object of its own with the application's credentials."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.backup.config_policy import Immutable
from readiness.lib import command
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure

_REMEDY: Final = "run the commands of [backup.NAME.immutable] by hand, one after the other"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of the attempt.

    Attributes:
        survived: whether the object was still there afterwards.
        said: what the attempt was answered.
        source: the command that tried it.
    """

    survived: bool
    said: str
    source: str


def try_to_delete(plan: Immutable, undo: Undo) -> Attempt:
    """Write an object, try to delete it, and look whether it is still there.

    What the attempt says of itself does not count: some stores answer a refusal with success.

    Raises:
        CouldNotMeasure: the object could not be written, was not there to begin with, or the
            application's credentials are not let in at all.
    """
    name = f"readiness-probe-{secrets.token_hex(8)}"
    token = undo.run(_argv(plan.remove, name)) if plan.remove else None
    try:
        command.run(_argv(plan.put, name), "write the object", _REMEDY)
        if not _exists(plan, name):
            raise CouldNotMeasure(
                "the object is not there after it was written: `exists` or `put` is wrong",
                where=" ".join(_argv(plan.exists, name)),
                remedy=_REMEDY,
            )
        # Else the store is away, or the credentials are wrong: then every deletion is refused.
        command.run(_argv(plan.let_in, name), "be let in as the application", _REMEDY)
        argv = _argv(plan.delete, name)
        answer = command.ask(argv, "delete the object", _REMEDY)
        return Attempt(_exists(plan, name), answer.said, " ".join(argv))
    finally:
        if plan.remove and token is not None:
            removed = command.ask(_argv(plan.remove, name), "remove the object", _REMEDY)
            if removed.status == 0 or not _exists(plan, name):
                undo.forget(token)  # else the guardian tries once more


def _exists(plan: Immutable, name: str) -> bool:
    return command.ask(_argv(plan.exists, name), "look for the object", _REMEDY).status == 0


def _argv(argv: Sequence[str], name: str) -> list[str]:
    return [word.replace("{object}", name) for word in argv]
