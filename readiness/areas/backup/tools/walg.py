"""wal-g, by its JSON: `wal-verify` ends with 0 even where it reports a gap."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.tools.commands import restore_by_command
from readiness.areas.backup.tools.tool import (
    VERIFY_S,
    Calls,
    PhysicalBackup,
    Piece,
    Verified,
    parsed,
    physical_of,
    time_of,
    unknown_format,
)
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData

_SEGMENT: Final = re.compile(r"\b([0-9A-F]{24})(?:\.[a-z0-9]+)?$")
_CHECKS: Final = ("integrity", "timeline")


class WalG:
    """One storage of wal-g, as its environment or --config names it."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        self._physical = physical_of(backup)
        self._calls = Calls(self._physical)

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first."""
        words = ["backup-list", "--json", "--detail"]
        entries = self._calls.json(*words, verb="list the backups") or []
        try:
            found = [self._backup_of(entry) for entry in entries]
        except (KeyError, TypeError, ValueError) as error:
            raise unknown_format(f"no {error}", self._source(*words)) from None
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`wal-g wal-verify integrity timeline --json`."""
        words = ["wal-verify", *_CHECKS, "--json"]
        answer = self._calls.ask(*words, verb="verify the archive", timeout_s=VERIFY_S)
        return read_wal_verify(answer, self._source(*words))

    def segments(self) -> list[str]:
        """Every WAL file of the storage."""
        words = ["st", "ls", "wal_005/"]
        answer = self._calls.ask(*words, verb="list the archive")
        if answer.status != 0:
            raise CouldNotMeasure(
                f"wal-g ended with {answer.status}: {answer.said}", where=self._source(*words)
            )
        lines = map(str.strip, answer.output.splitlines())
        return sorted({match[1] for line in lines if (match := _SEGMENT.search(line))})

    def pieces(self) -> list[Piece]:
        """Raises NoData: wal-g does not print the stored bytes."""
        raise NoData(
            "wal-g does not print the stored bytes, so that encryption cannot be checked",
            where=self._backup.path,
            remedy="mount the storage, and declare it as a [backup.NAME] with tool = 'dump'",
        )

    def restore(self, folder: Path, point: str) -> Answer:
        """By the command of [backup.NAME.physical.commands] restore."""
        return restore_by_command(self._backup, folder, point)

    def _backup_of(self, entry: dict[str, Any]) -> PhysicalBackup:
        finished = entry.get("finish_time") or entry["time"]
        return PhysicalBackup(
            label=entry["backup_name"],
            taken_at=time_of(finished, "wal-g backup-list"),
            size=int(entry.get("compressed_size") or 0),
            failed=False,
            first_segment=entry["wal_file_name"],
            restored_bytes=int(entry.get("uncompressed_size") or 0),
            where=f"{self._backup.path} {entry['backup_name']}",
            dated_by="wal-g backup-list",
            whole="_D_" not in entry["backup_name"],
        )

    def _source(self, *words: str) -> str:
        return shlex.join([*(self._physical.command or []), *words])


def read_wal_verify(answer: Answer, source: str) -> Verified:
    """What `wal-g wal-verify --json` printed.

    Raises:
        CouldNotMeasure: it printed something else, or left one of its checks out.
    """
    found = parsed(Answer(0, answer.output, answer.said), [source], "verify the archive")
    problems = []
    for name in _CHECKS:
        part = found.get(name) if isinstance(found, dict) else None
        if not isinstance(part, dict) or "status" not in part:
            raise unknown_format(f"no status of {name}", source)
        if part["status"] != "OK":
            problems.append(f"{name}: {part['status']}")
    return Verified(not problems, tuple(problems), answer.status, source)
