"""Reads what a file of a backup holds: a pg_dump archive, plain SQL, or an archive of files."""

import gzip
import re
import tarfile
import tempfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedIOBase
from lzma import LZMAError
from pathlib import Path
from typing import Final

from readiness.lib.command import Account
from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.servers.binaries import Binaries, Ended, run_program

_HEAD_BYTES: Final = 512
_LONGEST_OUTPUT: Final = 16 * 1024 * 1024
_ENTRY: Final = re.compile(r"^\d+; \d+ \d+ (TABLE DATA|TABLE) ", re.MULTILINE)
_GZIP: Final = b"\x1f\x8b"
_UNREADABLE: Final = (EOFError, zlib.error, LZMAError, OSError)
_TOO_NEW: Final = "unsupported version"
_ARCHIVE: Final = "a pg_dump archive"
PLAIN_TEXT: Final = "plain text"
_MAGIC: Final = {b"PGDMP": _ARCHIVE, _GZIP: "gzip", b"\x28\xb5\x2f\xfd": "zstd",
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
        tables: how many tables it creates.
        data: how many tables it has rows for.
        roles: how many roles it creates.
        members: how many files are in it.
        problem: why it cannot be read to its end; empty if it can.
        filtered: whether a plain dump was made with row security on, which hides rows.
        damage: why a plain dump is not complete; empty if it is.
    """

    format: Format
    tables: int = 0
    data: int = 0
    roles: int = 0
    members: int = 0
    problem: str = ""
    filtered: bool = False
    damage: tuple[str, ...] = ()


def content_of(path: Path, binaries: Binaries, *, timeout_s: float) -> Content:
    """What a file holds; it is read to its end.

    Raises:
        NotPermitted: the file may not be read.
        CouldNotMeasure: the file does not exist, or `pg_restore` is missing or too old.
    """
    kind = known_as(head_of(path))
    if kind == _ARCHIVE:
        listing, ended = read_archive(path, binaries, timeout_s=timeout_s)
        entries = _ENTRY.findall(listing)
        problem = "" if ended.clean else str(ended)
        return Content(
            Format.CUSTOM, entries.count("TABLE"), entries.count("TABLE DATA"), problem=problem
        )
    if is_plain(path):
        return _plain(path)
    if kind in {"tar", "gzip", "bzip2", "xz"}:
        return _tar(path)
    return Content(Format.UNKNOWN, problem="neither a dump nor an archive of files")


def read_archive(path: Path, binaries: Binaries, *, timeout_s: float) -> tuple[str, Ended]:
    """The list of contents of a pg_dump archive, and how reading all of it ended.

    Raises:
        CouldNotMeasure: `pg_restore` is missing, or too old for the archive.
    """
    listed, listing = printed(binaries, "pg_restore", ["--list", str(path)], timeout_s=timeout_s)
    if any(_TOO_NEW in line for line in listed.said):
        raise CouldNotMeasure(
            f"pg_restore {binaries.version} is too old for this dump: {listed}",
            where=str(path),
            remedy="install the PostgreSQL client of the server's release, and name its folder"
            " in READINESS_POSTGRES_BIN",
        )
    if listed.clean:
        # The list is at the start of the file: only reading all of it shows that it is complete.
        arguments = ["--file=/dev/null", str(path)]
        listed = run_program(binaries, "pg_restore", arguments, timeout_s=timeout_s)
    return listing, listed


def printed(
    binaries: Binaries,
    name: str,
    arguments: Sequence[str],
    *,
    timeout_s: float,
    environ: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> tuple[Ended, str]:
    """How a program of PostgreSQL ended, and the first 16 MiB that it printed."""
    with tempfile.TemporaryFile() as output:
        ended = run_program(
            binaries, name, arguments, timeout_s=timeout_s, output=output,
            environ=environ, account=account,
        )  # fmt: skip
        output.seek(0)
        return ended, output.read(_LONGEST_OUTPUT).decode(errors="replace")


def is_plain(path: Path) -> bool:
    """Whether a file is text, as plain SQL is; compressed by gzip, or not."""
    head = head_of(path)
    if head.startswith(_GZIP):
        try:
            with gzip.open(path) as file:
                head = file.read(_HEAD_BYTES)
        except _UNREADABLE:
            return False  # damaged: reading it to its end reports that
    return known_as(head) == PLAIN_TEXT


def is_closed(path: Path, *, encrypted: bool) -> bool:
    """Whether a file cannot be read here: it is packed, or encrypted although it must not be."""
    head = head_of(path)
    kind = known_as(head)
    return kind in {"zstd", "lz4", "zip"} or not (kind or (encrypted and head))


def head_of(path: Path) -> bytes:
    """The first bytes of a file."""
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
    return PLAIN_TEXT if text else ""


def is_armoured(head: bytes) -> bool:
    """Whether the bytes are cipher text in ASCII armour, which is plain text to a reader."""
    return head.startswith(_ARMOURED)


def _plain(path: Path) -> Content:
    compressed = head_of(path).startswith(_GZIP)
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            return read_plain_dump(file)
    except _UNREADABLE as error:
        problem = f"cannot be read to its end: {str(error) or type(error).__name__}"
        return Content(Format.PLAIN, problem=problem, damage=(problem,))


def _tar(path: Path) -> Content:
    members = 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for _ in archive:
                members += 1
    except (tarfile.TarError, *_UNREADABLE) as error:
        return Content(Format.TAR, members=members, problem=str(error) or type(error).__name__)
    return Content(Format.TAR, members=members)


def read_plain_dump(file: BufferedIOBase) -> Content:
    """What a plain SQL dump holds; only one line of it is in memory at a time."""
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
    damage = tuple(_damage(last, keys, zeros=zeros))
    made = (counts["tables"], counts["data"], counts["roles"])
    return Content(Format.PLAIN, *made, filtered=filtered, damage=damage)


def _damage(last: Iterable[bytes], keys: list[tuple[bool, bytes]], *, zeros: bool) -> Iterator[str]:
    if not any(_COMPLETE.match(line) for line in last):
        yield "does not end with `-- PostgreSQL database dump complete`: it was cut off"
    if zeros:
        yield "contains NUL bytes: the file system lost what was written"
    opened = [key for closes, key in keys if not closes]
    closed = [key for closes, key in keys if closes]
    if opened[:1] != closed[-1:]:
        yield "\\restrict has no \\unrestrict with the same key: psql refuses the rest"


def _lines(file: BufferedIOBase) -> Iterator[bytes]:
    """The lines; of a very long one, the first piece, and `-` for each further one."""
    begins = True
    while piece := file.readline(_LONGEST_PIECE):
        yield piece if begins else b"-" + piece[-1:] if b"\0" not in piece else b"-\0"
        begins = piece.endswith(b"\n")
