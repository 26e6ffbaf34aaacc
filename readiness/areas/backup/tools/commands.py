"""Tools that restore by a command of the user: wal-g, and any tool by commands alone."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

from readiness.areas.backup.config import Adapter
from readiness.areas.backup.tools.tool import (
    VERIFY_S,
    CommandTool,
    PhysicalBackup,
    Piece,
    Verified,
    parsed,
    time_of,
    unknown_format,
)
from readiness.areas.backup.wal_segments import parse
from readiness.lib.command import Answer
from readiness.model.errors import NoData

_SEGMENT: Final = re.compile(r"\b([0-9A-F]{24})(?:\.[a-z0-9]+)?$")
_CHECKS: Final = ("integrity", "timeline")


class _ByCommand(CommandTool):
    """What only the commands of [backup.NAME.physical.commands] can do."""

    @property
    def commands(self) -> Adapter:
        """The table of the commands."""
        if self.physical.commands is None:
            raise self._missing("is not configured", "add it: readiness config template")
        return self.physical.commands

    def restore(self, folder: Path, point: str) -> Answer:
        """Run the command that restores, with `{folder}` and `{point}` filled in."""
        argv = self.commands.restore
        if argv is None:
            raise self._missing("no command restores this backup", "set `restore` there")
        filled = [word.replace("{folder}", str(folder)).replace("{point}", point) for word in argv]
        return self.run(filled, "restore", 2 * self.backup.patience_s)

    def _missing(self, message: str, remedy: str) -> NoData:
        where = f"[backup.{self.backup.name}.physical.commands]"
        return NoData(message, where=where, remedy=remedy)


class Commands(_ByCommand):
    """A tool without an adapter."""

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first."""
        argv, verb = self.commands.list, "list the backups"
        try:
            found = [self._backup_of(entry) for entry in parsed(self.run(argv, verb), argv, verb)]
        except (KeyError, TypeError, ValueError) as error:
            raise unknown_format(f"no {error}", shlex.join(argv)) from None
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """By the JSON that the command prints."""
        argv, verb = self.commands.verify, "verify the backups"
        answer = self.run(argv, verb, VERIFY_S)
        found = parsed(Answer(0, answer.output, answer.said), argv, verb)
        if not isinstance(found, dict) or not isinstance(found.get("status"), str):
            raise unknown_format("no status", shlex.join(argv))
        problems = tuple(str(problem) for problem in found.get("problems", []))
        good = found["status"] == "ok" and not problems
        return Verified(good, problems, answer.status, shlex.join(argv))

    def segments(self) -> list[str]:
        """Every name of a WAL file that the command prints."""
        return sorted(set(filter(parse, self.lines(self.commands.segments, "list the archive"))))

    def pieces(self) -> list[Piece]:
        """Raises NoData: the commands do not print the stored bytes."""
        raise NoData(
            "the commands do not print the stored bytes, so that encryption cannot be checked",
            where=self.backup.path,
            remedy="declare a folder of the repository as a [backup.NAME] with tool = 'dump'",
        )

    def _backup_of(self, entry: dict[str, Any]) -> PhysicalBackup:
        return PhysicalBackup(
            label=str(entry["label"]),
            taken_at=time_of(entry["finished_at"], "finished_at"),
            size=int(entry["size"]),
            failed=bool(entry.get("failed")),
            first_segment=entry.get("first_segment"),
            restored_bytes=int(entry.get("restored_size", 0)),
            where=f"{self.backup.path} {entry['label']}",
            dated_by="the command that lists the backups",
        )


class WalG(_ByCommand):
    """One storage of wal-g, as its environment or --config names it."""

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first."""
        words = ["backup-list", "--json", "--detail"]
        entries = self.json(*words, verb="list the backups") or []
        try:
            found = [self._backup_of(entry) for entry in entries]
        except (KeyError, TypeError, ValueError) as error:
            raise unknown_format(f"no {error}", self.source(*words)) from None
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """`wal-g wal-verify integrity timeline --json`."""
        words = ["wal-verify", *_CHECKS, "--json"]
        answer = self.ask(*words, verb="verify the archive", timeout_s=VERIFY_S)
        return read_wal_verify(answer, self.source(*words))

    def segments(self) -> list[str]:
        """Every WAL file of the storage."""
        lines = self.lines(self.argv("st", "ls", "wal_005/"), "list the archive")
        return sorted({match[1] for line in lines if (match := _SEGMENT.search(line))})

    def pieces(self) -> list[Piece]:
        """Raises NoData: wal-g does not print the stored bytes."""
        raise NoData(
            "wal-g does not print the stored bytes, so that encryption cannot be checked",
            where=self.backup.path,
            remedy="mount the storage, and declare it as a [backup.NAME] with tool = 'dump'",
        )

    def _backup_of(self, entry: dict[str, Any]) -> PhysicalBackup:
        finished = entry.get("finish_time") or entry["time"]
        return PhysicalBackup(
            label=entry["backup_name"],
            taken_at=time_of(finished, "wal-g backup-list"),
            size=int(entry.get("compressed_size") or 0),
            failed=False,
            first_segment=entry["wal_file_name"],
            restored_bytes=int(entry.get("uncompressed_size") or 0),
            where=f"{self.backup.path} {entry['backup_name']}",
            dated_by="wal-g backup-list",
            whole="_D_" not in entry["backup_name"],
        )


def read_wal_verify(answer: Answer, source: str) -> Verified:
    """What `wal-g wal-verify --json` printed."""
    found = parsed(Answer(0, answer.output, answer.said), [source], "verify the archive")
    problems = []
    for name in _CHECKS:
        part = found.get(name) if isinstance(found, dict) else None
        if not isinstance(part, dict) or "status" not in part:
            raise unknown_format(f"no status of {name}", source)
        if part["status"] != "OK":
            problems.append(f"{name}: {part['status']}")
    return Verified(not problems, tuple(problems), answer.status, source)
