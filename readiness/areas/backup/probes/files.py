"""Looks at a folder of backups: which is the newest, how many, how large."""

from pathlib import Path

from readiness.areas.backup.config import Backup
from readiness.lib.files import BackupFile, Dated, files_in
from readiness.model.measurement import Measurement


def backups(backup: Backup) -> list[BackupFile]:
    """All backups in the folder, the newest first.

    Raises:
        Unreachable: there is no such folder.
        NotPermitted: the folder cannot be read.
        CouldNotMeasure: a file in it cannot be looked at.
    """
    return files_in(Path(backup.path), backup.pattern, f"[backup.{backup.name}]")


def newest(backup: Backup) -> BackupFile | None:
    """The newest backup in the folder, or None where there is none.

    Raises:
        CouldNotMeasure: and its kinds, see `backups`.
    """
    return next(iter(backups(backup)), None)


def number_of(backup: Backup, number: int) -> Measurement:
    """How many backups there are."""
    return Measurement("backups found", number, "count", f"{backup.path}/{backup.pattern}")


def size_of(taken: Dated) -> Measurement:
    """How large a backup is."""
    return Measurement("size of the newest backup", taken.size, "bytes", taken.where)
