"""Secrets of an application: how strong they are, who else has them, what their backend says."""

import shlex
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from readiness.areas.configuration import words
from readiness.areas.configuration.config import Secrets
from readiness.areas.configuration.environment import Kept, Place, Value, private, secrets_of
from readiness.areas.configuration.probes import env_files
from readiness.areas.configuration.probes.drift import digest
from readiness.lib.command import ask
from readiness.lib.text import clean
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


_REMEDY: Final = "install git, or run the gate where the repository is not"


def open_to_all(path: Path) -> bool:
    """Whether every account of this machine may read a file: the folders above it count, too.

    Raises:
        CouldNotMeasure: it cannot be examined.
    """
    try:
        whole = path.resolve(strict=True)
        if not whole.stat().st_mode & stat.S_IROTH:
            return False
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in whole.parents)
    except OSError as error:
        raise CouldNotMeasure(
            f"the file cannot be examined: {error.strerror}", where=str(path)
        ) from None


def in_git(path: Path) -> str:
    """How git has a file: in the working tree, or in a commit of any branch; empty if it has not.

    Raises:
        CouldNotMeasure: it is in a repository, and git cannot be asked.
    """
    whole = path.resolve()
    if not any((folder / ".git").exists() for folder in whole.parents):
        return ""
    if _says(whole, "ls-files", "--"):
        return "is tracked by git"
    commits = _says(whole, "log", "--all", "-1", "--format=%h", "--")
    return f"is in the history of git, commit {clean(commits, 40)}" if commits else ""


def _says(path: Path, *words: str) -> str:
    # Settings of a repository must not start programs.
    quiet = ("core.fsmonitor=false", "log.showSignature=false")
    git = ["git", *(word for one in quiet for word in ("-c", one)), "-C", str(path.parent)]
    answer = ask([*git, *words, path.name], "look into git", _REMEDY)
    if answer.status:
        raise CouldNotMeasure(
            f"git {words[0]} ended with {answer.status}: {answer.said}",
            where=str(path),
            remedy=f"run it by hand: git -C {shlex.quote(str(path.parent))} {words[0]}",
        )
    return answer.output.strip()


@private
def with_secrets(place: Place, settings: Secrets) -> list[Path]:
    """The files of a place that have a secret in them, not only a reference to one.

    Raises:
        CouldNotMeasure: one cannot be read.
    """
    found = [path for path in place.env_files if _has_secret(path, settings)]
    return [*found, *place.secret_files]


def _has_secret(path: Path, settings: Secrets) -> bool:
    values = env_files.of_compose(env_files.text_of(path)).values
    named = {name: Value(text) for name, text in values.items()}
    return any(
        not words.placeholder(one.name, one.value.reveal()) for one in secrets_of(named, settings)
    )
