"""Reads what a file of a backup holds: a pg_dump archive, plain SQL, or an archive of files."""

import gzip
import re
import tarfile
import tempfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from typing import Final, Protocol

from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.servers.binaries import Binaries, run_program

_HEAD_BYTES: Final = 512
_LARGEST_LISTING: Final = 16 * 1024 * 1024
_ENTRY: Final = re.compile(rb"^\d+; \d+ \d+ (TABLE DATA|TABLE) ", re.MULTILINE)
_GZIP: Final = b"\x1f\x8b"
_UNREADABLE: Final = (EOFError, zlib.error, LZMAError, OSError)
_MAGIC: Final = {b"PGDMP": "a pg_dump archive", _GZIP: "gzip", b"\x28\xb5\x2f\xfd": "zstd",
                 b"\x04\x22\x4d\x18": "lz4", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
                 b"PK\x03\x04": "zip"}  # fmt: skip
_TAR: Final = (257, b"ustar")
_PRINTABLE: Final = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}
_ARMOURED: Final = (b"-----BEGIN PGP MESSAGE", b"age-encryption.org/", b"-----BEGIN AGE")
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
    """A file, or what decompresses one."""

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
        filtered: whether it was made with row security on, which hides rows.
        problems: why it is not complete, in words; none if it is.
    """

    tables: int
    data: int
    roles: int
    filtered: bool
    problems: tuple[str, ...]


class Format(StrEnum):
    """The kind of a file."""

    CUSTOM = "custom"
    PLAIN = "plain"
    TAR = "tar"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds.

    Attributes:
        format: its kind.
        tables: how many tables it makes.
        data: how many tables it has rows for.
        roles: how many roles it makes.
        members: how many files are in it.
        problem: why it cannot be read to its end; empty if it can.
        plain: details, if it is plain SQL.
    """

    format: Format
    tables: int = 0
    data: int = 0
    roles: int = 0
    members: int = 0
    problem: str = ""
    plain: PlainDump | None = None


def content_of(path: Path, binaries: Binaries, *, timeout_s: float) -> Content:
    """What a file holds; it is read to its end.

    Raises:
        NotPermitted: it may not be read.
        CouldNotMeasure: it does not exist, or `pg_restore` is missing.
    """
    head = head_of(path)
    if head.startswith(b"PGDMP"):
        return _custom(path, binaries, timeout_s)
    if is_plain(path):
        return _plain(path)
    if tarfile_like(head):
        return _tar(path)
    return Content(Format.UNKNOWN, problem="neither a dump nor an archive of files")


def is_plain(path: Path) -> bool:
    """Whether a file is text, as plain SQL is; compressed by gzip, or not.

    Raises:
        NotPermitted, CouldNotMeasure: as for `content_of`.
    """
    head = head_of(path)
    if head.startswith(_GZIP):
        try:
            with gzip.open(path) as file:
                head = file.read(_HEAD_BYTES)
        except _UNREADABLE:
            return False  # damaged: reading it to its end reports that
    return known_as(head) == "plain text"


def head_of(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        NotPermitted, CouldNotMeasure: as for `content_of`.
    """
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except PermissionError as error:
        raise NotPermitted("the file may not be read", where=str(path)) from error
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(path)) from error


def known_as(head: bytes) -> str:
    """The format, or plain text, that the first bytes show; empty if they show nothing."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    offset, mark = _TAR
    if head[offset : offset + len(mark)] == mark:
        return "tar"
    text = head and set(head) <= _PRINTABLE and not is_armoured(head)
    return "plain text" if text else ""


def is_armoured(head: bytes) -> bool:
    """Whether the bytes are cipher text in ASCII armour, which is plain text to a reader."""
    return head.startswith(_ARMOURED)


def tarfile_like(head: bytes) -> bool:
    """Whether it may be an archive of files, compressed or not."""
    return known_as(head) in {"tar", "gzip", "bzip2", "xz"}


def _custom(path: Path, binaries: Binaries, timeout_s: float) -> Content:
    with tempfile.TemporaryFile() as output:
        listed = run_program(
            binaries, "pg_restore", ["--list", str(path)], timeout_s=timeout_s, output=output
        )
        output.seek(0)
        entries = _ENTRY.findall(output.read(_LARGEST_LISTING))
    # The list is at the start of the file: only reading all of it shows that it is complete.
    arguments = ["--file=/dev/null", str(path)]
    ended = listed.clean and run_program(binaries, "pg_restore", arguments, timeout_s=timeout_s)
    problem = "" if ended and ended.clean else str(ended or listed)
    return Content(
        Format.CUSTOM, entries.count(b"TABLE"), entries.count(b"TABLE DATA"), problem=problem
    )


def is_encrypted(path: Path) -> bool:
    """Whether a file has bytes of no known format. Raises as `is_closed`."""
    return bool(head := head_of(path)) and not known_as(head)


def is_closed(path: Path) -> bool:
    """Whether it cannot be read here if it is plain SQL: it is encrypted, or packed otherwise.

    Raises:
        NotPermitted, CouldNotMeasure: as for `content_of`.
    """
    return known_as(head_of(path)) in {"", "zstd", "lz4", "zip"}


def _plain(path: Path) -> Content:
    compressed = head_of(path).startswith(_GZIP)
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            found = read_plain_dump(file)
    except _UNREADABLE as error:
        told = f"it cannot be read to its end: {str(error) or type(error).__name__}"
        return Content(Format.PLAIN, problem=told, plain=PlainDump(0, 0, 0, False, (told,)))
    return Content(Format.PLAIN, found.tables, found.data, found.roles, plain=found)


def _tar(path: Path) -> Content:
    members = 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for _ in archive:
                members += 1
    except (tarfile.TarError, *_UNREADABLE) as error:
        return Content(Format.TAR, members=members, problem=str(error) or type(error).__name__)
    return Content(Format.TAR, members=members)


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
        yield "it holds NUL bytes, which no dump does: the file system lost what was written"
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
