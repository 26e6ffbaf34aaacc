"""Finds readiness.toml and reads its bytes: what is known before any model is loaded."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from readiness.model.errors import ConfigError, Problem, UsageError

FILE: Final = "readiness.toml"
PROJECT_FILE: Final = "pyproject.toml"
VARIABLE: Final = "READINESS_CONFIG"
_LARGEST: Final = 1024 * 1024


def find(start: Path, explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that is used, or None if there is none.

    `--config`, else `READINESS_CONFIG`, else the nearest folder from `start` upwards that has a
    `readiness.toml`, or a `pyproject.toml` with `[tool.readiness]`. The search ends at the root
    of the repository (the folder with `.git`). A named file need not exist: `load` reports it.
    """
    if explicit is not None:
        return explicit
    if environ.get(VARIABLE):
        return start / environ[VARIABLE]
    for folder in _upwards(start.resolve()):
        # A dangling link must not make us use another folder's file.
        if os.path.lexists(folder / FILE):
            return folder / FILE
        if _mentions_us(folder / PROJECT_FILE):
            return folder / PROJECT_FILE
    return None


def locate(explicit: Path | None) -> Path:
    """The named file, else the one that is found.

    Raises:
        UsageError: there is none.
    """
    path = find(Path.cwd(), explicit, os.environ)
    if path is None:
        raise UsageError(
            "no readiness.toml in this folder or above",
            remedy="create one: readiness init; or name one: --config FILE; or try the reference"
            " system: readiness run --reference",
        )
    return path


def read(path: Path) -> bytes:
    """The bytes of a configuration file, at most 1 MiB.

    Raises:
        ConfigError: it cannot be read, is not a file, or is too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unreadable(path, "is a folder" if path.is_dir() else "is not a regular file")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise _unreadable(path, "does not exist") from None
    except PermissionError:
        raise _unreadable(path, "permission denied") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(path, f"cannot be read: {reason}") from None
    if len(data) > _LARGEST:
        raise _unreadable(path, "is larger than 1 MiB")
    return data


def _upwards(folder: Path) -> Iterator[Path]:
    for place in (folder, *folder.parents):
        yield place
        if (place / ".git").exists():
            return


def _mentions_us(path: Path) -> bool:
    try:
        text = read(path).decode()
    except (ConfigError, UnicodeDecodeError):
        return False
    try:
        return "readiness" in tomllib.loads(text).get("tool", {})
    except (ValueError, RecursionError, TypeError):
        # Broken, but probably ours: `load` reports the error.
        return bool(re.search(r"^\s*\[+\s*tool\s*\.\s*readiness\b", text, re.MULTILINE))


def _unreadable(path: Path, what: str) -> ConfigError:
    return ConfigError(
        [Problem(str(path), what, "name another file with --config, or create one: readiness init")]
    )
