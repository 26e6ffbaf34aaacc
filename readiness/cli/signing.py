"""Adds a sign-off to the configuration file."""

import json
import os
import tempfile
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from readiness.config.base.signoffs import Signoff
from readiness.config.crosschecks import signoff_mistakes
from readiness.config.finding import PROJECT_FILE, read
from readiness.config.loading import examine
from readiness.config.source import Raw
from readiness.model.errors import ConfigError, Problem, UsageError

_KEYS: Final = (
    *("item", "person", "evidence", "release", "image", "config_sha256", "evidence_sha256"),
    *("signed", "expires", "signature"),
)


def block(signoff: Signoff, *, table: str = "signoff") -> str:
    """The sign-off as TOML, an array entry of that table."""
    values = {key: getattr(signoff, key) for key in _KEYS}
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value]
    return "\n".join([f"[[{table}]]", *lines, ""])


def append(path: Path, signoff: Signoff) -> None:
    """Append a sign-off to a configuration file; nothing before it changes.

    The file is replaced atomically, and only by one that loads. Unset variables are accepted:
    whoever signs need not have the secrets.

    Raises:
        ConfigError: the file is not right, or would not be with the sign-off.
        UsageError: it cannot be written, or changed meanwhile.
    """
    place = path.resolve()
    before = read(place)
    _entries(path, before)
    after = before + _addition(path, before, signoff)
    if Signoff.model_validate(_entries(path, after)[-1]) != signoff:
        raise ConfigError([Problem(str(path), "the sign-off would be read back with other values")])
    _replace(place, before, after)


def _toml(value: str | date) -> str:
    return value.isoformat() if isinstance(value, date) else _quoted(value)


def _quoted(text: str) -> str:
    """A TOML string; `${` is escaped, so that it is not taken for a variable."""
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
        items = [Signoff.model_validate(entry) for entry in signed]
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
                    "the file was changed while the sign-off was written",
                    where=str(place),
                    remedy="review the change and sign again",
                )
            Path(name).replace(place)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}",
            where=str(place),
            remedy="check the permissions of the file and its folder: ls -ld",
        ) from error
