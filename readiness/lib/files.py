"""Saved files: those that patterns match, the newest, its age, its checksum."""

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ValidationError

from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.measurement import Measurement, now

FORMAT: Final = "readiness-backup/1"
LARGEST_MANIFEST: Final = 64 * 1024 * 1024
_SUFFIX: Final = ".manifest.json"
_PARTIAL: Final = ".partial"
CONTENTS: Final = "toc.dat"
"""What every folder has that `pg_dump --format=directory` makes; it is written last."""
# Clocks of two machines differ by seconds; five minutes are a mistake.
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


class Dated(Protocol):
    """A backup of any kind."""

    @property
    def taken_at(self) -> datetime:
        """When it was complete."""
        ...

    @property
    def data_at(self) -> datetime:
        """How old its data is: it holds nothing that was committed later, perhaps less."""
        ...

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def where(self) -> str:
        """The backup, for a message."""
        ...

    @property
    def dated_by(self) -> str:
        """The source of `data_at`."""
        ...


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A dump: a file, or the folder that `pg_dump --format=directory` makes.

    Attributes:
        taken_at: when it was complete: from its manifest, else the file's modification time.
        data_at: the same, or earlier where it is known that the data is older.
    """

    path: Path
    taken_at: datetime
    size: int
    dated_by: str
    data_at: datetime

    @property
    def where(self) -> str:
        """The dump, for a message."""
        return str(self.path)

    @property
    def manifest(self) -> Path:
        """The path of its manifest, which may not exist."""
        return manifest_path(self.path)


def manifest_path(dump: Path) -> Path:
    """The path of a dump's manifest: `x.manifest.json` beside `x.dump`."""
    return dump.with_name(dump.name.removesuffix(".dump") + _SUFFIX)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex.

    Raises:
        CouldNotMeasure: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(path)) from error


def files_in(folder: Path, pattern: str, table: str) -> list[BackupFile]:
    """All dumps of a folder that match a shell pattern, newest first.

    Neither manifests nor what is still being written; a folder counts where it is a dump.

    Args:
        folder: an absolute path, or one from the current folder.
        pattern: as `*.dump`.
        table: the table that configures the folder, for a message.

    Raises:
        Unreachable: the folder does not exist.
        NotPermitted: the folder cannot be read.
        CouldNotMeasure: a file in it cannot be examined.
    """
    try:
        # `glob` skips unreadable folders silently, so list the folder first.
        names = sorted(entry.name for entry in folder.iterdir())
        files = [folder / n for n in names if Path(n).match(pattern)]
        found = [_look_at(file) for file in files if _is_dump(file)]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unreachable(
            "the folder does not exist or is not mounted here",
            where=str(error.filename or folder),
            remedy=f"check `path` in {table}, and: findmnt -T '{folder}'",
        ) from error
    except PermissionError as error:
        raise NotPermitted(
            "the folder of the backups cannot be read",
            where=str(error.filename or folder),
            remedy=f"give the user who runs readiness access: setfacl -m u:USER:rx '{folder}'",
        ) from error
    except OSError as error:
        raise CouldNotMeasure(
            f"the folder of the backups cannot be read: {error.strerror}", where=str(folder)
        ) from error
    return sorted(found, key=lambda file: (file.taken_at, file.path.name), reverse=True)


def age_of(taken: Dated, name: str = "age of the newest backup") -> Measurement:
    """The age of a backup in hours.

    Raises:
        CouldNotMeasure: it is from the future, so one of the clocks is wrong.
    """
    at = now()
    if at - taken.taken_at < -_CLOCKS_DIFFER:
        raise CouldNotMeasure(
            f"the backup is from the future: {taken.taken_at:%Y-%m-%d %H:%M:%S} UTC",
            where=f"{taken.where}, dated by {taken.dated_by}",
            remedy="set the clocks of this machine and of the one that writes the backups:"
            " timedatectl",
        )
    hours = max(at - taken.data_at, timedelta()) / timedelta(hours=1)
    return Measurement(name, hours, "h", f"{taken.where}, {taken.dated_by}")


class _Stamp(BaseModel):
    """The part of a manifest that says when its file was complete, and how old its data is."""

    format: Literal["readiness-backup/1"]
    finished_at: AwareDatetime
    replayed_until: AwareDatetime | None = None


def _is_dump(path: Path) -> bool:
    if path.is_dir():
        return (path / CONTENTS).is_file()
    return path.is_file() and not path.name.endswith((_SUFFIX, _PARTIAL))


def _look_at(file: Path) -> BackupFile:
    parts = list(file.iterdir()) if file.is_dir() else [file]
    status = [part.stat() for part in parts]
    size = sum(one.st_size for one in status)
    stamp = _stamp(manifest_path(file))
    if stamp is None:
        # Without a manifest a backup still has an age; the check that needs it reports it missing.
        changed = datetime.fromtimestamp(max(one.st_mtime for one in status), UTC)
        return BackupFile(file, changed, size, "the file's time", changed)
    finished, replayed = stamp.finished_at, stamp.replayed_until
    if replayed is None or replayed > finished:
        return BackupFile(file, finished, size, "its manifest", finished)
    says = "its manifest: the last commit that the standby had replayed"
    return BackupFile(file, finished, size, says, replayed)


def _stamp(manifest: Path) -> _Stamp | None:
    """What the manifest says; None if it cannot be read."""
    try:
        with manifest.open("rb") as file:
            text = file.read(LARGEST_MANIFEST + 1)
        return _Stamp.model_validate_json(text)
    except (OSError, ValidationError):
        return None


def matching(patterns: Sequence[str], key: str, *, most: int = 1000) -> list[Path]:
    """The files, in the order of the patterns; `**` matches folders.

    Args:
        patterns: relative to the folder that the gate runs in, or absolute.
        key: what is to be corrected, as "`dockerfiles`".
        most: how many files are read at most.

    Raises:
        NoData: a pattern matches no file.
        CouldNotMeasure: more files match.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        # Path.glob accepts no absolute pattern.
        names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        paths = [path for path in map(Path, names) if path.is_file()]
        if not paths:
            raise NoData("the pattern matches no file", where=pattern, remedy=f"correct {key}")
        found |= dict.fromkeys(paths)
    if len(found) > most:
        raise CouldNotMeasure(
            f"{len(found)} files match, and at most {most} are read",
            where=", ".join(patterns),
            remedy=f"narrow {key} to the files that are meant",
        )
    return list(found)
