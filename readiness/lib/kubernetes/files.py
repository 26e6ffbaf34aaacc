"""Reads files of manifests, each once, until it changes."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from readiness.lib.kubernetes.inventory import Document, documents
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure

_LARGEST: Final = 16 * 1024 * 1024
_KEPT: Final = 2000


def documents_in(path: Path) -> Sequence[Document]:
    """The objects in one file, without Secrets.

    Raises:
        NoData: it is not understood.
        CouldNotMeasure: it cannot be read, or is too large.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return _documents(path, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=_KEPT)
def _documents(path: Path, _: tuple[int, int, int]) -> tuple[Document, ...]:
    """Workloads, and areas, name the same files: a file that did not change is read once."""
    return tuple(documents(_text(path), str(path)))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CouldNotMeasure("the file is larger than 16 MiB", where=str(path))
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CouldNotMeasure("the file is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> CouldNotMeasure:
    reason = clean(error.strerror or type(error).__name__)
    return CouldNotMeasure(f"the file cannot be read: {reason}", where=str(path))
