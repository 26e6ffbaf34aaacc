"""Writing a report file whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from readiness.model.errors import ReadinessError

_MODE: Final = 0o644
_REMEDY: Final = "make it a writable folder with room left, or choose another with --reports"


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it.

    Raises:
        ReadinessError: something that is no folder stands there, or it cannot be made.
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
    """Write text as UTF-8 into a file that then replaces the old one in one step.

    A lone surrogate, which UTF-8 has no form for, is written as its JSON escape.

    Raises:
        ReadinessError: the file cannot be written; an older one is left as it was.
    """
    make_folder(path.parent)
    if path.is_dir():
        raise ReadinessError(
            "is a folder, and a file must be written there",
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
    except BaseException:  # an interrupt too must leave no half of a file
        Path(name).unlink(missing_ok=True)
        raise


def _why(error: OSError) -> str:
    return f"cannot be written: {error.strerror or error}"
