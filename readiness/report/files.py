"""Writes report files atomically."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from readiness.model.errors import ReadinessError

_MODE: Final = 0o644
_REMEDY: Final = (
    "make the folder writable, free some space, or choose another folder with --reports"
)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        ReadinessError: the path is not a folder, or cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ReadinessError(
            "is not a folder",
            where=str(folder),
            remedy="move it away, or choose another folder with --reports",
        ) from error
    except OSError as error:
        raise ReadinessError(_why(error), where=str(folder), remedy=_REMEDY) from error


def write(path: Path, pieces: Iterable[str]) -> None:
    """Write text as UTF-8, replacing the file atomically.

    A lone surrogate, which UTF-8 cannot encode, is written as its JSON escape.

    Raises:
        ReadinessError: the file cannot be written; an older one is kept.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise ReadinessError(
            "is a folder, but must be a file",
            where=str(path),
            remedy="move it away, or choose another folder with --reports",
        )
    try:
        _replace(path, pieces)
    except OSError as error:
        raise ReadinessError(_why(error), where=str(path), remedy=_REMEDY) from error


def _replace(path: Path, pieces: Iterable[str]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(
            handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n"
        ) as file:
            file.writelines(pieces)
        Path(name).chmod(_MODE)
        Path(name).replace(path)
    except BaseException:  # also an interrupt must leave no partial file
        Path(name).unlink(missing_ok=True)
        raise


def _why(error: OSError) -> str:
    return f"cannot be written: {error.strerror or error}"
