"""Reads a plain SQL dump as a stream: what is in it, and whether it is there to its end."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

_LONGEST_PIECE: Final = 1 << 20
# `\unrestrict` and blank lines come after it, since the minor releases of August 2025.
_LAST_LINES: Final = 10
_COMPLETE: Final = re.compile(rb"-- PostgreSQL database (cluster )?dump complete\s*$")
_RESTRICTED: Final = re.compile(rb"\\(un)?restrict (\S+)")
_BEGINS: Final = {
    "tables": (b"CREATE TABLE ", b"CREATE UNLOGGED TABLE "),
    "data": (b"COPY ", b"INSERT INTO "),
    "roles": (b"CREATE ROLE ",),
}
_FILTERED: Final = b"SET row_security = on"


class Lines(Protocol):
    """A file, or what unpacks one."""

    def readline(self, size: int, /) -> bytes:
        """The next line, or so many bytes of it; nothing at the end."""
        ...


@dataclass(frozen=True, slots=True)
class PlainDump:
    """What a plain SQL dump holds.

    Attributes:
        tables: how many tables it makes.
        data: how many times rows follow.
        roles: how many roles it makes.
        filtered: whether it was made with row security on, so that policies hid rows.
        problems: why it is no whole dump, in words; none if it is one.
    """

    tables: int
    data: int
    roles: int
    filtered: bool
    problems: tuple[str, ...]


def read_plain_dump(file: Lines) -> PlainDump:
    """Read it from its first byte to its last; only one line is in memory at a time."""
    counts = dict.fromkeys(_BEGINS, 0)
    last: deque[bytes] = deque(maxlen=_LAST_LINES)
    keys: list[tuple[bool, bytes]] = []
    zeros, filtered = False, False
    for line in _lines(file):
        last.append(line)
        zeros = zeros or b"\0" in line
        filtered = filtered or line.startswith(_FILTERED)
        for name, beginnings in _BEGINS.items():
            counts[name] += line.startswith(beginnings)
        if found := _RESTRICTED.match(line):
            keys.append((bool(found[1]), found[2]))
    problems = list(_problems(last, keys, zeros=zeros))
    return PlainDump(counts["tables"], counts["data"], counts["roles"], filtered, tuple(problems))


def _problems(
    last: Iterable[bytes], keys: list[tuple[bool, bytes]], *, zeros: bool
) -> Iterator[str]:
    if not any(_COMPLETE.match(line) for line in last):
        yield "the line `-- PostgreSQL database dump complete` is not at its end: it was cut off"
    if zeros:
        yield "it has NUL bytes in it, which no dump has: the file system lost what was written"
    opened = [key for closes, key in keys if not closes]
    closed = [key for closes, key in keys if closes]
    if opened[:1] != closed[-1:]:
        yield "its \\restrict has no \\unrestrict with the same key: psql refuses the rest"


def _lines(file: Lines) -> Iterator[bytes]:
    """The lines; of a very long one, the first piece, and `-` for each further one."""
    begins = True
    while piece := file.readline(_LONGEST_PIECE):
        yield piece if begins else b"-" + piece[-1:] if b"\0" not in piece else b"-\0"
        begins = piece.endswith(b"\n")
