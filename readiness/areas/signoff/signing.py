"""Sign-offs: what a person attests for one release, and how one is added to the file."""

import json
import os
import tempfile
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from readiness.config.crosschecks import signoff_mistakes
from readiness.config.files import PROJECT_FILE, read
from readiness.config.loading import examine
from readiness.config.models import Signoff
from readiness.config.source import Raw
from readiness.model.errors import ConfigError, Problem, UsageError

# A target without a release: a sign-off of it would count for every release.
_NO_RELEASE: Final = {"", "unknown"}
_KEYS: Final = ("item", "person", "evidence", "release")


@dataclass(frozen=True, slots=True)
class SignoffState:
    """Whether one item is signed for a release, and if not, why.

    Attributes:
        item: the required item.
        signed: whether a sign-off counts.
        problems: why none counts; empty where one does.
    """

    item: str
    signed: bool
    problems: tuple[str, ...]


def state(
    item: str, signoffs: Sequence[Signoff], *, release: str, deployer: str, today: date
) -> SignoffState:
    """Whether an item is signed.

    A sign-off counts for one release, through its `expires` day, and not from the deployer
    (four eyes; case and spacing do not tell people apart).

    Args:
        item: the required item.
        signoffs: all of the configuration.
        release: what is to be deployed.
        deployer: who deploys it; may be empty.
        today: the day they are compared with (UTC).
    """
    if release.strip().casefold() in _NO_RELEASE:
        return SignoffState(item, False, ("the release is unknown: set `release` in [target]",))
    mine = [s for s in signoffs if s.item == item]
    if not mine:
        return SignoffState(item, False, (f"nobody has signed {item} for {release}",))
    judged = [_problem(s, release, deployer, today) for s in mine]
    if "" in judged:
        return SignoffState(item, True, ())
    return SignoffState(item, False, tuple(dict.fromkeys(judged)))


def block(signoff: Signoff, *, table: str = "signoff") -> str:
    """The sign-off as TOML, an array entry of that table."""
    lines = [f"{key} = {_quoted(getattr(signoff, key))}" for key in _KEYS]
    return "\n".join([f"[[{table}]]", *lines, f"expires = {signoff.expires.isoformat()}", ""])


def append(path: Path, signoff: Signoff) -> None:
    """Add a sign-off at the end of a configuration file; every byte before it stays.

    The file is replaced in one step, and only by one that loads. Who signs need not have the
    secrets: variables that are not set are no obstacle.

    Raises:
        ConfigError: the file is not right, or would not be with the sign-off.
        UsageError: it cannot be written, or changed meanwhile.
    """
    place = path.resolve()
    before = read(place)
    _entries(path, before)
    after = before + _addition(path, before, signoff)
    if Signoff.model_validate(_entries(path, after)[-1]) != signoff:
        raise ConfigError([Problem(str(path), "the sign-off would not be read back as given")])
    _replace(place, before, after)


def _problem(signoff: Signoff, release: str, deployer: str, today: date) -> str:
    """Why it does not count, or an empty text."""
    if signoff.release.strip() != release.strip():
        return f"{signoff.person} signed {signoff.release}, not {release}"
    if today > signoff.expires:
        return f"the sign-off of {signoff.person} expired on {signoff.expires}"
    if _same_person(signoff.person, deployer):
        return f"{signoff.person} signed and deploys: four eyes are required"
    return ""


def _same_person(first: str, second: str) -> bool:
    return _folded(first) == _folded(second)


def _folded(person: str) -> str:
    return "".join(unicodedata.normalize("NFKC", person).casefold().split())


def _quoted(text: str) -> str:
    """A TOML string. `${` is escaped, so that the text stays what was signed."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False).replace("\x7f", "\\u007f")


def _addition(path: Path, before: bytes, signoff: Signoff) -> bytes:
    table = "tool.readiness.signoff" if path.name == PROJECT_FILE else "signoff"
    gap = "\n" if not before or before.endswith(b"\n") else "\n\n"
    text = gap + block(signoff, table=table)
    return text.replace("\n", "\r\n" if b"\r\n" in before else "\n").encode()


def _entries(path: Path, data: bytes) -> list[Raw]:
    """The sign-offs in these bytes, if nothing is wrong with them but the environment."""
    draft = examine(path, data, os.environ, datetime.now(UTC).date())
    wrong = [mistake for mistake in draft.mistakes if not mistake.environment]
    entries, policy = draft.values.values.get("signoff"), draft.values.values.get("signoffs")
    signed = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    required = policy.get("required") if isinstance(policy, dict) else None
    if not wrong:
        # `examine` gets this far only where every variable is set.
        items = [(str(e.get("item")), str(e.get("release"))) for e in signed]
        wrong = list(signoff_mistakes(items, required if isinstance(required, list) else []))
    if wrong:
        raise ConfigError(draft.source.problems(wrong))
    return signed


def _replace(place: Path, before: bytes, after: bytes) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(place.stat().st_mode)
            if read(place) != before:
                raise UsageError(
                    "the file was changed by somebody else meanwhile",
                    where=str(place),
                    remedy="look at it, and sign again",
                )
            Path(name).replace(place)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}",
            where=str(place),
            remedy="check who may write the file and its folder",
        ) from error
