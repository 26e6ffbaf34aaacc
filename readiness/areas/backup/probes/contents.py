"""What a file of a backup holds, told by its bytes: a dump, plain SQL, an archive of files."""

import gzip
import re
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from typing import Final

from readiness.areas.backup.plain_dump import PlainDump, read_plain_dump
from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.servers.binaries import Binaries
from readiness.servers.client import run_program

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


class Format(StrEnum):
    """Of which kind a file is."""

    CUSTOM = "custom"
    PLAIN = "plain"
    TAR = "tar"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds.

    Attributes:
        format: of which kind it is.
        tables: how many tables it makes.
        data: how many tables it has rows for.
        roles: how many roles it makes.
        members: how many files are in it.
        problem: why it cannot be read to its end; empty if it can.
        plain: more of it, if it is plain SQL.
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
        CouldNotMeasure: it is not there, or there is no `pg_restore`.
    """
    head = head_of(path)
    if head.startswith(b"PGDMP"):
        return _custom(path, binaries, timeout_s)
    if is_plain(path):
        return _plain(path)
    if tarfile_like(head):
        return _tar(path)
    return Content(Format.UNKNOWN, problem="is neither a dump nor an archive of files")


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
            return False  # damaged: what reads it to its end says so
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
    """What the first bytes show to whoever reads them: a format, or text; empty if nothing."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    offset, mark = _TAR
    if head[offset : offset + len(mark)] == mark:
        return "tar"
    # PEM and ASCII armour are text, and say so themselves.
    armoured = head.startswith(
        (b"-----BEGIN PGP MESSAGE", b"age-encryption.org/", b"-----BEGIN AGE")
    )
    return "plain text" if head and set(head) <= _PRINTABLE and not armoured else ""


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
    # The list stands at the start of the file: only reading it all tells that it is all there.
    arguments = ["--file=/dev/null", str(path)]
    ended = listed.clean and run_program(binaries, "pg_restore", arguments, timeout_s=timeout_s)
    problem = "" if ended and ended.clean else str(ended or listed)
    return Content(
        Format.CUSTOM, entries.count(b"TABLE"), entries.count(b"TABLE DATA"), problem=problem
    )


def is_closed(path: Path) -> bool:
    """Whether nobody here can tell if it is plain SQL: it is encrypted, or packed otherwise.

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
