"""Looks at stored backups: which there are, their copies, who can read and delete them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup, Copy, Immutable
from readiness.areas.backup.probes.contents import head_of, is_armoured, known_as
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.tool import Piece
from readiness.lib import command
from readiness.lib.files import BackupFile, Dated, files_in
from readiness.lib.guardian import Undo
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.measurement import Measurement

_ENOUGH: Final = 256
_DIFFERENT: Final = 128
_LISTS: Final = "run it by hand; it must print a line `SIZE<tab>NAME` for each file"
_DELETES: Final = "run the commands of [backup.NAME.immutable] by hand, one after the other"


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


def taken(backup: Backup) -> Sequence[Dated]:
    """All backups that did not fail, the newest first.

    Raises:
        CouldNotMeasure: the folder or the tool cannot be asked; and its kinds.
    """
    if backup.tool == "dump":
        return backups(backup)
    return [one for one in tool_of(backup).backups() if not one.failed]


def whole(backup: Backup) -> Sequence[Dated]:
    """Those that need no backup before them, so that their sizes compare; the newest first.

    Raises:
        CouldNotMeasure: as for `taken`.
    """
    if backup.tool == "dump":
        return backups(backup)
    return [one for one in tool_of(backup).backups() if one.whole and not one.failed]


def newest_taken(backup: Backup) -> Dated | None:
    """The newest one, or None where there is none. Raises as `taken`."""
    return next(iter(taken(backup)), None)


def sizes(backup: Backup, copy: Copy) -> dict[str, int]:
    """The size in bytes of each file of the copy, by its name.

    Raises:
        CouldNotMeasure: the copy cannot be listed; and its kinds.
    """
    if copy.folder is not None:
        table = f"[backup.{backup.name}.copies.{copy.name}]"
        return {f.path.name: f.size for f in files_in(Path(copy.folder), backup.pattern, table)}
    found: dict[str, int] = {}
    for line in command.run(copy.list_command or [], "list the copy", _LISTS).splitlines():
        size, tab, name = line.strip().partition("\t")
        if not tab or not size.isdigit():
            raise CouldNotMeasure(
                "the command to list the copy prints something else",
                where=copy.name,
                remedy=_LISTS,
            )
        found[Path(name).name] = int(size)
    return found


def newest_copied(files: list[BackupFile], there: dict[str, int]) -> BackupFile | None:
    """The newest of the backups that is complete in the copy."""
    whole = [file for file in files if there.get(file.path.name) == file.size]
    return max(whole, key=lambda file: file.taken_at, default=None)


def hours_behind(files: list[BackupFile], copied: BackupFile) -> float:
    """How much older the newest copied backup is than the newest one, in hours."""
    newest = max(file.taken_at for file in files)
    return (newest - copied.taken_at).total_seconds() / 3600


def is_apart(backup: Backup, copy: Copy) -> bool:
    """Whether a folder is on another file system than the backups.

    Raises:
        Unreachable: one of the two does not exist.
        NoData: the copy is not a folder.
    """
    if copy.folder is None:
        raise NoData("a copy that a command lists has no file system here", where=copy.name)
    try:
        return Path(copy.folder).stat().st_dev != Path(backup.path).stat().st_dev
    except OSError as error:
        raise Unreachable(f"{error.strerror}", where=str(error.filename)) from error


@dataclass(frozen=True, slots=True)
class Unencrypted:
    """A file that is not encrypted, and what its first bytes show."""

    name: str
    shows: str

    def __str__(self) -> str:
        return f"{self.name} shows {self.shows}"


def pieces_of(backup: Backup) -> list[Piece]:
    """The first bytes of the newest dump, or of the largest files of a tool's newest backup.

    Raises:
        NoData: there is no backup.
        CouldNotMeasure: and its kinds: the repository cannot be read.
    """
    if backup.tool != "dump":
        found = tool_of(backup).pieces()
    else:
        found = [Piece(file.path.name, head_of(file.path)) for file in backups(backup)[:1]]
    if not found:
        raise NoData("there is no backup", where=backup.path, remedy="see backup.fresh")
    return found


def unencrypted(pieces: list[Piece]) -> list[Unencrypted]:
    """Those that are not cipher text."""
    return [Unencrypted(p.name, shown) for p in pieces if (shown := _shows(p.head))]


def _shows(head: bytes) -> str:
    """In cipher text all bytes are equally frequent; a page of a table is mostly zeros."""
    if known := known_as(head):
        return known
    even = len(head) < _ENOUGH or len(set(head)) >= _DIFFERENT or is_armoured(head)
    return "" if even else "unencrypted bytes"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome of an attempt to delete an object.

    Attributes:
        survived: whether the object still existed afterwards.
        said: what the command printed.
        source: the command.
    """

    survived: bool
    said: str
    source: str


def try_to_delete(plan: Immutable, undo: Undo) -> Deletion:
    """Write an object, try to delete it, and look whether it still exists.

    What the command reports does not count: some stores answer a refusal with success.

    Raises:
        CouldNotMeasure: the object could not be written, did not exist to begin with, or the
            application's credentials are not accepted at all.
    """
    name = f"readiness-probe-{secrets.token_hex(8)}"
    token = undo.run(_argv(plan.remove, name)) if plan.remove else None
    try:
        command.run(_argv(plan.put, name), "write the object", _DELETES)
        if not _exists(plan, name):
            raise CouldNotMeasure(
                "the object does not exist after it was written: `exists` or `put` is wrong",
                where=" ".join(_argv(plan.exists, name)),
                remedy=_DELETES,
            )
        # A store that is down and wrong credentials refuse every deletion, which proves nothing.
        command.run(_argv(plan.access, name), "use the application's credentials", _DELETES)
        argv = _argv(plan.delete, name)
        answer = command.ask(argv, "delete the object", _DELETES)
        return Deletion(_exists(plan, name), answer.said, " ".join(argv))
    finally:
        if plan.remove and token is not None:
            removed = command.ask(_argv(plan.remove, name), "remove the object", _DELETES)
            if removed.status == 0 or not _exists(plan, name):
                undo.forget(token)  # else the guardian tries once more


def _exists(plan: Immutable, name: str) -> bool:
    return command.ask(_argv(plan.exists, name), "look for the object", _DELETES).status == 0


def _argv(argv: Sequence[str], name: str) -> list[str]:
    return [word.replace("{object}", name) for word in argv]
