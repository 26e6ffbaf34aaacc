"""Reads a file through the program that unpacks it: gzip, zstd, lz4, bzip2 or xz.

A program, and not a module of Python's: its output can be the input of `psql` and `pg_restore`, and
Python reads neither zstd nor lz4.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from readiness.lib.files import CONTENTS
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NotPermitted

_HEAD_BYTES: Final = 512
ARCHIVE: Final = "a pg_dump archive"
PLAIN_TEXT: Final = "plain text"
_MAGIC: Final = {b"PGDMP": ARCHIVE, b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd",
                 b"\x04\x22\x4d\x18": "lz4", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
                 b"PK\x03\x04": "zip"}  # fmt: skip
_TAR: Final = (257, b"ustar")
_PRINTABLE: Final = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}
_ARMOURED: Final = (b"-----BEGIN PGP MESSAGE", b"age-encryption.org/", b"-----BEGIN AGE")
# What was packed with a large window (`zstd --long`) is refused otherwise.
_UNPACK: Final = {
    "gzip": ("gzip", "-dc"),
    "zstd": ("zstd", "-dc", "--long=31"),
    "lz4": ("lz4", "-dc"),
    "bzip2": ("bzip2", "-dc"),
    "xz": ("xz", "-dc"),
}


class DamagedError(Exception):
    """A packed file cannot be unpacked to its end; the text is what the program printed."""


def head_of(path: Path) -> bytes:
    """The first bytes of a file; of a folder that is a dump, those of its list of contents."""
    place = path / CONTENTS if path.is_dir() else path
    try:
        with place.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except PermissionError as error:
        raise NotPermitted("the file may not be read", where=str(place)) from error
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(place)) from error


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


def packing_of(path: Path) -> str:
    """What a file is packed with; empty if it is not, or with what cannot be unpacked here."""
    kind = known_as(head_of(path))
    return kind if kind in _UNPACK and shutil.which(_UNPACK[kind][0]) else ""


def kind_of(path: Path) -> str:
    """The format of a file or of what is packed in it, as `known_as`; empty if that is damaged."""
    if not packing_of(path):
        return known_as(head_of(path))
    try:
        with unpacked(path) as file:
            return known_as(file.read(_HEAD_BYTES))
    except DamagedError:
        return ""


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The contents of a file, packed or not, which may be read in part.

    Raises:
        DamagedError: it was read to its end, and that end is not where it was when it was packed.
        CouldNotMeasure: it cannot be read, or what unpacks it is not on this machine.
    """
    argv = _UNPACK.get(known_as(head_of(path)))
    if argv is None:
        with path.open("rb") as file:
            yield file
        return
    program = shutil.which(argv[0])
    if program is None:
        raise CouldNotMeasure(
            f"{argv[0]} not found; the backup is packed with it",
            where=str(path),
            remedy=f"apt-get install {argv[0]}",
        )
    # As its input: by name, gzip takes only files that end in .gz.
    with (
        path.open("rb") as packed,
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [program, *argv[1:]],
            stdin=packed,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
    ):
        output = cast("IO[bytes]", process.stdout)
        try:
            yield output
            if output.read(1):
                return  # only its beginning was wanted
            failed = process.wait()
        finally:
            process.kill()
        if failed:
            said.seek(0)
            raise DamagedError(clean(said.read().decode(errors="replace")))


@contextmanager
def fed(chunks: Iterator[bytes]) -> Iterator[IO[bytes]]:
    """A pipe that a thread writes the chunks to, until there are none or nobody reads them.

    Raises:
        DamagedError, CouldNotMeasure: what the chunks raise.
    """
    end, start = os.pipe()
    raised: list[DamagedError | CouldNotMeasure] = []

    def feed() -> None:
        try:
            with os.fdopen(start, "wb") as pipe:
                pipe.writelines(chunks)
        except BrokenPipeError:
            pass  # it ended early, and says why
        except (DamagedError, CouldNotMeasure) as error:
            raised.append(error)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        with os.fdopen(end, "rb") as pipe:
            yield pipe
    finally:
        feeder.join()
    if raised:
        raise raised[0]
