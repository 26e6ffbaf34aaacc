"""Reads files of manifests, each once, until it changes, and finds those of a folder."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from readiness.lib.kubernetes.inventory import Document, documents
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure

_LARGEST: Final = 16 * 1024 * 1024
_KEPT: Final = 2000
_OBJECT: Final = re.compile(r"^apiVersion: *\S", re.MULTILINE)
_RENDERED: Final = ("Chart.yaml", "kustomization.yaml", "kustomization.yml")


@dataclass(frozen=True, slots=True)
class Below:
    """The manifests in a folder.

    Attributes:
        paths: the files.
        patterns: the same, as few patterns, relative to the folder.
        objects: how many objects they hold.
        rendered_first: folders of charts and kustomizations, whose files are not what is applied.
    """

    paths: tuple[Path, ...]
    patterns: list[str]
    objects: int
    rendered_first: tuple[str, ...]


def manifests_below(folder: Path, names: Iterable[str]) -> Below:
    """Those of the named files, relative to the folder, that are manifests as they are applied.

    Raises:
        CouldNotMeasure: one cannot be read or understood.
    """
    listed = [PurePosixPath(name) for name in names]
    charts = sorted({name.parent for name in listed if name.name in _RENDERED})
    outer = [one for one in charts if not any(above in charts for above in one.parents)]
    free = [name for name in listed if not any(one in outer for one in name.parents)]
    found = [name for name in free if _OBJECT.search(_text(folder / name))]
    paths = tuple(folder / name for name in found)
    return Below(
        paths,
        _patterns(found, free),
        sum(len(documents_in(path)) for path in paths),
        tuple(map(str, outer)),
    )


def _patterns(found: Sequence[PurePosixPath], among: Sequence[PurePosixPath]) -> list[str]:
    """A pattern for each folder whose files are all found, and else the files."""
    patterns: dict[str, None] = {}
    for name in found:
        beside = [one for one in among if (one.parent, one.suffix) == (name.parent, name.suffix)]
        whole = len(beside) > 1 and all(one in found for one in beside)
        patterns[str(name.with_name(f"*{name.suffix}")) if whole else str(name)] = None
    return list(patterns)


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
