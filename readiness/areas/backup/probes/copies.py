"""Looks at second copies of backups: which of them are there, and as large as the first."""

from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.config_policy import Copy
from readiness.lib import command
from readiness.lib.files import BackupFile, files_in
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable

_REMEDY: Final = "run it by hand; it has to print a line `SIZE<tab>NAME` for each file"


def sizes(backup: Backup, copy: Copy) -> dict[str, int]:
    """The size in bytes of each file of the copy, by its name.

    Raises:
        CouldNotMeasure: the copy cannot be listed; and its kinds.
    """
    if copy.folder is not None:
        table = f"[backup.{backup.name}.copies.{copy.name}]"
        return {f.path.name: f.size for f in files_in(Path(copy.folder), backup.pattern, table)}
    return _listed(copy)


def newest_copied(files: list[BackupFile], there: dict[str, int]) -> BackupFile | None:
    """The newest of the backups that the copy has whole."""
    whole = [file for file in files if there.get(file.path.name) == file.size]
    return max(whole, key=lambda file: file.taken_at, default=None)


def hours_behind(files: list[BackupFile], copied: BackupFile) -> float:
    """How much older the newest copied backup is than the newest one, in hours."""
    newest = max(file.taken_at for file in files)
    return (newest - copied.taken_at).total_seconds() / 3600


def is_apart(backup: Backup, copy: Copy) -> bool:
    """Whether a folder lies on another file system than the backups.

    Raises:
        Unreachable: one of the two is not there.
        NoData: the copy is no folder.
    """
    if copy.folder is None:
        raise NoData("a copy that a command lists has no file system here", where=copy.name)
    try:
        return Path(copy.folder).stat().st_dev != Path(backup.path).stat().st_dev
    except OSError as error:
        raise Unreachable(f"{error.strerror}", where=str(error.filename)) from error


def _listed(copy: Copy) -> dict[str, int]:
    argv = copy.list_command or []
    found: dict[str, int] = {}
    for line in command.run(argv, "list the copy", _REMEDY).splitlines():
        size, tab, name = line.strip().partition("\t")
        if not tab or not size.isdigit():
            raise CouldNotMeasure(
                "the command to list the copy prints something else",
                where=copy.name,
                remedy=_REMEDY,
            )
        found[Path(name).name] = int(size)
    return found
