"""Looks at the very bytes of a backup: whether whoever finds them can read them."""

from dataclasses import dataclass
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.contents import head_of, known_as
from readiness.areas.backup.probes.files import backups
from readiness.areas.backup.tools.known import tool_of
from readiness.areas.backup.tools.tool import Piece
from readiness.model.errors import NoData

_ENOUGH: Final = 256
_DIFFERENT: Final = 128
_ARMOURED: Final = (b"-----BEGIN PGP MESSAGE", b"age-encryption.org/", b"-----BEGIN AGE")


@dataclass(frozen=True, slots=True)
class Readable:
    """A file that anybody can read, and what its first bytes show."""

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
        raise NoData("there is no backup whose bytes could be looked at", where=backup.path)
    return found


def readable(pieces: list[Piece]) -> list[Readable]:
    """Those that are no cipher text."""
    return [Readable(p.name, shown) for p in pieces if (shown := _shows(p.head))]


def _shows(head: bytes) -> str:
    """Cipher text has all bytes alike often; a page of a table is mostly zeros."""
    if known := known_as(head):
        return known
    even = len(head) < _ENOUGH or len(set(head)) >= _DIFFERENT or head.startswith(_ARMOURED)
    return "" if even else "bytes in the clear"
