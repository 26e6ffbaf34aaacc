"""Commands of the user in place of a tool, or of a part of one."""

import shlex
from pathlib import Path
from typing import Any

from readiness.areas.backup.config import Adapter, Backup
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
from readiness.areas.backup.wal_segments import parse
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData


def restore_by_command(backup: Backup, folder: Path, point: str) -> Answer:
    """Run the command that restores, with `{folder}` and `{point}` filled in.

    Raises:
        NoData: there is none.
        CouldNotMeasure: it cannot be started, or is not done in time.
    """
    physical = physical_of(backup)
    argv = physical.commands.restore if physical.commands else None
    if argv is None:
        raise NoData(
            "no command restores this backup",
            where=f"[backup.{backup.name}.physical.commands]",
            remedy="set `restore` there",
        )
    filled = [word.replace("{folder}", str(folder)).replace("{point}", point) for word in argv]
    return Calls(physical).run(filled, "restore", 2 * backup.patience_s)


class Commands:
    """A tool without an adapter."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        self._calls = Calls(physical_of(backup))

    @property
    def _commands(self) -> Adapter:
        commands = physical_of(self._backup).commands
        if commands is None:
            where = f"[backup.{self._backup.name}.physical.commands]"
            raise NoData(
                "is not configured", where=where, remedy="add it: readiness config template"
            )
        return commands

    def backups(self) -> list[PhysicalBackup]:
        """All backups, the newest first."""
        argv = self._commands.list
        answer = self._calls.run(argv, "list the backups")
        try:
            found = [self._backup_of(entry) for entry in parsed(answer, argv, "list the backups")]
        except (KeyError, TypeError, ValueError) as error:
            raise unknown_format(f"no {error}", shlex.join(argv)) from None
        return sorted(found, key=lambda b: b.taken_at, reverse=True)

    def verify(self) -> Verified:
        """By the JSON that the command prints."""
        argv = self._commands.verify
        answer = self._calls.run(argv, "verify the backups", VERIFY_S)
        found = parsed(Answer(0, answer.output, answer.said), argv, "verify the backups")
        if not isinstance(found, dict) or not isinstance(found.get("status"), str):
            raise unknown_format("no status", shlex.join(argv))
        problems = tuple(str(problem) for problem in found.get("problems", []))
        good = found["status"] == "ok" and not problems
        return Verified(good, problems, answer.status, shlex.join(argv))

    def segments(self) -> list[str]:
        """Every name of a WAL file that the command prints."""
        argv = self._commands.segments
        answer = self._calls.run(argv, "list the archive")
        if answer.status != 0:
            message = f"the command to list the archive ended with {answer.status}: {answer.said}"
            raise CouldNotMeasure(message, where=shlex.join(argv))
        return sorted({line.strip() for line in answer.output.splitlines() if parse(line.strip())})

    def pieces(self) -> list[Piece]:
        """Raises NoData: the commands do not print the stored bytes."""
        raise NoData(
            "the commands do not print the stored bytes, so that encryption cannot be checked",
            where=self._backup.path,
            remedy="declare a folder of the repository as a [backup.NAME] with tool = 'dump'",
        )

    def restore(self, folder: Path, point: str) -> Answer:
        """By the command that restores."""
        return restore_by_command(self._backup, folder, point)

    def _backup_of(self, entry: dict[str, Any]) -> PhysicalBackup:
        return PhysicalBackup(
            label=str(entry["label"]),
            taken_at=time_of(entry["finished_at"], "finished_at"),
            size=int(entry["size"]),
            failed=bool(entry.get("failed")),
            first_segment=entry.get("first_segment"),
            restored_bytes=int(entry.get("restored_size", 0)),
            where=f"{self._backup.path} {entry['label']}",
            dated_by="the command that lists the backups",
        )
