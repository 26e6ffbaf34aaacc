"""Looks at the layers that are backed up beside the dumps, by the newest file of each."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup, Holds, Layer
from readiness.areas.backup.probes.contents import (
    Content,
    PlainDump,
    content_of,
    is_closed,
    is_encrypted,
    is_plain,
)
from readiness.areas.backup.probes.stored import backups
from readiness.lib.files import BackupFile, files_in
from readiness.servers.binaries import find_binaries

_WHAT: Final[dict[Holds, str]] = {
    "full": "tables with their rows",
    "schema": "tables",
    "data": "tables' rows",
    "globals": "roles",
    "volume": "files",
}


@dataclass(frozen=True, slots=True)
class Held:
    """How many objects of the kind that a layer must hold it has."""

    number: int
    what: str


def newest(backup: Backup, layer: Layer) -> BackupFile | None:
    """The newest file of a layer, or None where there is none.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.areas.backup.probes.stored.backups`.
    """
    folder = Path(layer.folder or backup.path)
    table = f"[backup.{backup.name}.layers.{layer.name}]"
    return next(iter(files_in(folder, layer.pattern, table)), None)


def newest_files(backup: Backup) -> list[BackupFile]:
    """The newest dump, and the newest file of each layer.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.areas.backup.probes.stored.backups`.
    """
    found = [*backups(backup)[:1], *(newest(backup, layer) for layer in backup.layers.values())]
    return [file for file in found if file]


def plain_dumps(backup: Backup) -> list[tuple[BackupFile, PlainDump]]:
    """Those of the newest files that are plain SQL, each read to its end.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.areas.backup.probes.stored.backups`.
    """
    return [
        (file, plain)
        for file in newest_files(backup)
        if is_plain(file.path) and (plain := content(file.path, backup).plain)
    ]


def closed(backup: Backup) -> list[BackupFile]:
    """Those of the newest files that cannot be read here, and are not encrypted on purpose.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.areas.backup.probes.stored.backups`.
    """
    return [
        file
        for file in newest_files(backup)
        if is_closed(file.path) and not (backup.encrypted and is_encrypted(file.path))
    ]


def place_of(backup: Backup, layer: Layer) -> str:
    """The folder and pattern of a layer's files."""
    return f"{layer.folder or backup.path}/{layer.pattern}"


def content(path: Path, backup: Backup) -> Content:
    """What a file holds; one that did not change is read once.

    Raises:
        CouldNotMeasure: and its kinds, see `content_of`.
    """
    status = path.stat()
    return _content(path, status.st_mtime_ns, status.st_size, backup.patience_s)


def held(content: Content, layer: Layer) -> Held:
    """How many objects a layer has of those that it must hold."""
    number = {
        "full": min(content.tables, content.data),
        "schema": content.tables,
        "data": content.data,
        "globals": content.roles,
        "volume": content.members,
    }[layer.holds]
    return Held(number, _WHAT[layer.holds])


@lru_cache(maxsize=64)
def _content(path: Path, _changed_ns: int, _size: int, timeout_s: float) -> Content:
    return content_of(path, find_binaries(), timeout_s=timeout_s)
