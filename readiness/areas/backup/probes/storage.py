"""Where backups are stored: their second copies, and who can read or delete them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup, Copy, Immutable
from readiness.areas.backup.probes.packed import head_of, is_armoured, known_as
from readiness.areas.backup.probes.stored import backups
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.tool import Piece, no_backup
from readiness.lib import command
from readiness.lib.files import BackupFile, files_in
from readiness.lib.guardian import Undo
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, Unreachable

_ENOUGH: Final = 256
_DIFFERENT: Final = 128
_LISTS: Final = "run it by hand; it must print one line for each file: SIZE, a tab, NAME"
_DELETES: Final = "run the commands of [backup.NAME.immutable] by hand, one after the other"


def sizes(backup: Backup, copy: Copy) -> dict[str, int]:
    """The size in bytes of each file of the copy, by its name."""
    if copy.folder is not None:
        table = f"[backup.{backup.name}.copies.{copy.name}]"
        return {f.path.name: f.size for f in files_in(Path(copy.folder), backup.pattern, table)}
    found: dict[str, int] = {}
    for line in command.run(copy.list_command or [], "list the copy", _LISTS).splitlines():
        size, tab, name = line.strip().partition("\t")
        if not tab or not size.isdigit():
            raise CouldNotMeasure(
                f"the command that lists the copy printed {clean(line)!r}",
                where=copy.name,
                remedy=_LISTS,
            )
        found[Path(name).name] = int(size)
    return found


def complete(files: list[BackupFile], there: dict[str, int]) -> list[BackupFile]:
    """Those of the backups that the copy has in their full size."""
    return [file for file in files if there.get(file.path.name) == file.size]


def is_apart(backup: Backup, copy: Copy) -> bool:
    """Whether a copy is on another file system than the backups."""
    try:
        return Path(copy.folder or "").stat().st_dev != Path(backup.path).stat().st_dev
    except OSError as error:
        raise Unreachable(f"{error.strerror}", where=str(error.filename)) from error


def pieces_of(backup: Backup) -> list[Piece]:
    """The first bytes of the newest dump, or of the largest files of a tool's newest backup."""
    if backup.tool != "dump":
        found = tool_of(backup).pieces()
    else:
        found = [Piece(file.path.name, head_of(file.path)) for file in backups(backup)[:1]]
    if not found:
        raise no_backup(backup)
    return found


def unencrypted(pieces: list[Piece]) -> list[str]:
    """Those that are not cipher text, each with what its first bytes show."""
    return [f"{p.name} shows {shown}" for p in pieces if (shown := _shown(p.head))]


def _shown(head: bytes) -> str:
    """In cipher text all bytes are equally frequent; a page of a table is mostly zeros."""
    if known := known_as(head):
        return known
    even = len(head) < _ENOUGH or len(set(head)) >= _DIFFERENT or is_armoured(head)
    return "" if even else "unencrypted bytes"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome of an attempt to delete an object."""

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
