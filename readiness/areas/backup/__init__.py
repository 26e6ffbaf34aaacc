"""Backup: whether a disaster can be recovered from, completely and in the agreed time."""

import os
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup, Config
from readiness.config.base.area import Area, Look
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake, known
from readiness.model.errors import UsageError
from readiness.model.figures import counted

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    for key, backup in config.backup.items():
        yield from known(
            ("backup", key, "database"), backup.database, "databases", config.databases
        )
        if backup.dumped_from:
            yield from known(
                ("backup", key, "dumped_from"), backup.dumped_from, "databases", config.databases
            )


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    for backup in config.backup.values():
        yield f"backup {backup.name}", partial(_backup, backup)
    if any(backup.is_restorable for backup in config.backup.values()):
        yield "PostgreSQL programs (restore)", _programs


def _programs() -> str:
    from readiness.servers.binaries import find_binaries

    found = find_binaries()
    return f"{found.version} in {found.folder}"


def _backup(backup: Backup) -> str:
    if backup.tool != "dump":
        from readiness.areas.backup.tools import tool_of

        return f"{len(tool_of(backup).backups())} backups of {backup.tool} in {backup.path}"
    folder = Path(backup.path)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(
            "the folder cannot be read from here",
            where=backup.path,
            remedy="run where the backups are mounted, or correct the path",
        )
    return f"{counted(len(list(folder.glob(backup.pattern))), 'file')} in {folder}"


def _discovers() -> Iterator[Discover]:
    from readiness.areas.backup import discovery

    yield discovery.backups
    yield discovery.archive


def _no_archive(config: Config) -> str:
    from readiness.lib.postgres import session

    return session.nowhere(config.databases, "WAL archive", session.ARCHIVES, session.STANDBYS)


AREA: Final = Area(
    "backup",
    config=Config,
    kinds={"backup": ("[backup.NAME]", lambda config: list(config.backup.values()))},
    implied_by=("database",),
    mistakes=_mistakes,
    looks=_looks,
    absences={
        "backup.wal": _no_archive,
        "backup.archive-end-to-end": _no_archive,
        "backup.point-in-time": _no_archive,
    },
    discovers=_discovers,
)
