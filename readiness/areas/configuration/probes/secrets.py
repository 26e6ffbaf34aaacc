"""Secrets of an application: how strong they are, who else has them, what their backend says."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from readiness.areas.configuration import words
from readiness.areas.configuration.config import Secrets
from readiness.areas.configuration.environment import Kept, Value, secrets_of
from readiness.areas.configuration.privacy import private
from readiness.areas.configuration.probes import env_files
from readiness.areas.configuration.probes.drift import digest
from readiness.lib.command import ask
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.secrets import register


@private
def weak(secrets: Iterable[Kept]) -> list[str]:
    """The weak ones, each with the reason; placeholders are not judged here."""
    return [f"{one.name}: {why}" for one in secrets if (why := _weakness(one))]


def _weakness(secret: Kept) -> str:
    text = secret.value.reveal()
    if words.placeholder(secret.variable, text):
        return ""
    return words.weakness(secret.variable, text, secret.min_length)


@private
def shared(secrets: Iterable[Kept], settings: Secrets) -> list[str]:
    """Those that another environment has, too, under any name.

    Raises:
        NoData: a file of another environment has no secret to compare with.
        CouldNotMeasure: it cannot be read.
    """
    own = [secret for secret in secrets if secret.variable not in settings.shared]
    both: list[str] = []
    for file in settings.others:
        found = env_files.of_compose(env_files.text_of(Path(file))).values
        theirs = {
            digest(one.value)
            for one in secrets_of({n: Value(text) for n, text in found.items()}, settings)
        }
        if not theirs:
            raise NoData(
                "the file has no secret to compare with",
                where=file,
                remedy="correct `others`, or name its secrets in `names`",
            )
        both += [f"{one.name} (also in {file})" for one in own if digest(one.value) in theirs]
    return both


@private
def of_backend(name: str, command: list[str], settings: Secrets) -> Kept:
    """A secret as its backend gives it.

    Raises:
        CouldNotMeasure: the backend does not answer, fails or gives an empty value.
    """
    where, verb = shlex.join(command), f"read the secret {name}"
    remedy = f"run it by hand: {where}"
    answer = ask(command, verb, remedy)
    if answer.status:
        # With output there is no telling whether `said` is of it.
        said = "" if answer.output.strip() else f": {answer.said}"
        raise CouldNotMeasure(
            f"the command to {verb} ended with {answer.status}{said}", where=where, remedy=remedy
        )
    text = answer.output.strip("\r\n")
    if not text.strip():
        raise NoData(f"the backend gives an empty value for {name}", where=where, remedy=remedy)
    register(text)
    return Kept(f"{name} (from its backend)", name, Value(text), settings.min_length)
