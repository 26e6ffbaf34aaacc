"""pg_basebackup: a folder for each backup, with its manifest and the WAL that it needs."""

import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.contents import head_of
from readiness.areas.backup.tools.tool import (
    VERIFY_S,
    PhysicalBackup,
    Piece,
    Verified,
    account_of,
    physical_of,
)
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.servers.binaries import find_binaries, run_program

_MANIFEST: Final = "backup_manifest"
_START: Final = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", re.MULTILINE)
_PIECES: Final = 5


class BaseBackups:
    """Plain base backups in a folder."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first; one without a manifest was cut off and has failed."""
        root = Path(self._backup.path)
        try:
            folders = [p for p in root.iterdir() if (p / "backup_label").is_file()]
        except PermissionError as error:
            raise NotPermitted("the folder cannot be read", where=str(root)) from error
        except OSError as error:
            raise Unreachable(
                "the folder does not exist, or is not mounted here", where=str(root)
            ) from error
        return sorted(map(_backup_of, folders), key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`pg_verifybackup` of the same release; unlike other tools, its exit status is right."""
        newest = self._newest()
        account = account_of(physical_of(self._backup))
        ended = run_program(
            find_binaries(), "pg_verifybackup", [str(newest)], timeout_s=VERIFY_S,
            account=account if account.other else None,
        )  # fmt: skip
        source = f"pg_verifybackup {newest}"
        if ended.status is None:
            raise CouldNotMeasure(f"pg_verifybackup: {ended}", where=source)
        problems = () if ended.clean else ended.said or (str(ended),)
        return Verified(ended.clean, problems, ended.status, source)

    def segments(self) -> list[str]:
        """Raises NoData: WAL is not archived, each backup has what it needs."""
        raise NoData("pg_basebackup archives no WAL", where=self._backup.path)

    def pieces(self) -> list[Piece]:
        """The first bytes of the largest files of the newest backup."""
        newest = self._newest()
        files = [Path(f) / name for f, _, names in os.walk(newest) for name in names]
        largest = sorted(files, key=lambda path: -path.stat().st_size)[:_PIECES]
        return [Piece(path.name, head_of(path)) for path in largest]

    def restore(self, folder: Path, point: str) -> Answer:
        """Copy the newest one; links stay links, and are checked before a server starts."""
        if point:
            raise NoData(
                "a base backup without archived WAL reaches no restore point",
                where=self._backup.path,
            )
        try:
            shutil.copytree(self._newest(), folder, symlinks=True, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            return Answer(1, "", str(error)[:300])
        return Answer(0, "", "")

    def _newest(self) -> Path:
        found = next((b for b in self.backups() if not b.failed), None)
        if found is None:
            raise NoData("there is no backup", where=self._backup.path, remedy="see backup.fresh")
        return Path(self._backup.path) / found.label


def _backup_of(folder: Path) -> PhysicalBackup:
    label = (folder / "backup_label").read_text(errors="replace")
    start = _START.search(label)
    manifest = folder / _MANIFEST
    size = _size(manifest)
    # pg_basebackup writes the manifest last.
    written = (manifest if manifest.is_file() else folder).stat().st_mtime
    return PhysicalBackup(
        label=folder.name,
        taken_at=datetime.fromtimestamp(written, UTC),
        size=size or 0,
        failed=size is None,
        first_segment=start[1] if start else None,
        restored_bytes=size or 0,
        where=str(folder),
        dated_by="its backup_manifest",
    )


def _size(manifest: Path) -> int | None:
    """The bytes of all files that a manifest names; None if it is not there, or cut off."""
    try:
        files = json.loads(manifest.read_bytes())["Files"]
        return sum(int(entry["Size"]) for entry in files)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
