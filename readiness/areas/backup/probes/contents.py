"""Reads what a file of a backup holds: a pg_dump archive, plain SQL, or an archive of files."""

import re
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Final

from readiness.areas.backup.probes.packed import (
    ARCHIVE,
    PLAIN_TEXT,
    DamagedError,
    head_of,
    kind_of,
    known_as,
    packing_of,
    unpacked,
)
from readiness.areas.backup.probes.plain_sql import PlainDump, read_plain_dump, roles_named
from readiness.lib.command import Account
from readiness.lib.files import BackupFile
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, Ended, run_program

_LONGEST_OUTPUT: Final = 16 * 1024 * 1024
_ENTRY: Final = re.compile(r"^\d+; \d+ \d+ (TABLE DATA|TABLE) ", re.MULTILINE)
_TOO_NEW: Final = "unsupported version"
_CREATED: Final = re.compile(r"^; Archive created at (\d+-\d+-\d+ \d+:\d+:\d+)", re.MULTILINE)
# Name and owner are not quoted: with a space in one of them they cannot be told apart.
_DATABASE: Final = re.compile(r"^\d+; 1262 \d+ DATABASE - (.+)$", re.MULTILINE)
_ARCHIVED: Final = re.compile(r"^; {5}dbname: (.*)$", re.MULTILINE)
_FIRST_RELEASE: Final = datetime(1997, 1, 29, tzinfo=UTC)
# West of Greenwich the clock shows up to so much less than UTC.
_ZONES: Final = timedelta(hours=12)
_PROPERTIES: Final = re.compile(r"^\d+; \d+ \d+ DATABASE PROPERTIES ", re.MULTILINE)
# What is long, and names no role.
_DATA: Final = re.compile(
    r"^\d+; \d+ \d+ (TABLE DATA|BLOBS|LARGE OBJECTS|SEQUENCE SET|MATERIALIZED VIEW DATA) "
)


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
        plain: what is known of a plain SQL dump.
        damage: why a plain dump is not complete; empty if it is.
    """

    format: Format
    tables: int = 0
    data: int = 0
    roles: int = 0
    members: int = 0
    problem: str = ""
    plain: PlainDump | None = None
    damage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """What the list of contents of a pg_dump archive says about the dump.

    Attributes:
        database: the name of the database.
        created_at: when the dump began, by the clock and in the time zone of the machine that
            made it; the zone is not known.
        has_settings: whether it holds settings of the database.
    """

    database: str
    created_at: datetime | None
    has_settings: bool


def content_of(path: Path, binaries: Binaries, *, timeout_s: float) -> Content:
    """What a file holds; it is read to its end.

    Raises:
        NotPermitted: the file may not be read.
        CouldNotMeasure: the file does not exist, or `pg_restore` is missing or too old.
    """
    kind = kind_of(path)
    if kind == ARCHIVE:
        listing, ended = read_archive(path, binaries, timeout_s=timeout_s)
        entries = _ENTRY.findall(listing)
        problem = "" if ended.clean else str(ended)
        return Content(
            Format.CUSTOM, entries.count("TABLE"), entries.count("TABLE DATA"), problem=problem
        )
    if is_plain(path):
        return _plain(path)
    if kind == "tar":
        return _tar(path)
    return Content(Format.UNKNOWN, problem="neither a dump nor an archive of files")


def read_archive(path: Path, binaries: Binaries, *, timeout_s: float) -> tuple[str, Ended]:
    """The list of contents of a pg_dump archive, and how reading all of it ended.

    Raises:
        CouldNotMeasure: `pg_restore` is missing, or too old for the archive.
    """
    listed, listing = list_archive(path, binaries, timeout_s=timeout_s)
    if listed.clean:
        # The list is at the start of the file: only reading all of it shows that it is complete.
        listed = run_pg_restore(path, binaries, ["--file=/dev/null"], timeout_s=timeout_s)
    return listing, listed


def list_archive(path: Path, binaries: Binaries, *, timeout_s: float) -> tuple[Ended, str]:
    """How reading the list of contents of an archive ended, and that list.

    Raises:
        CouldNotMeasure: `pg_restore` is missing, or too old for the archive.
    """
    with tempfile.TemporaryFile() as output:
        listed = run_pg_restore(
            path, binaries, ["--list", "--create"], timeout_s=timeout_s, output=output
        )
        listing = _first_of(output)
    if any(_TOO_NEW in line for line in listed.said):
        raise CouldNotMeasure(
            f"pg_restore {binaries.version} is too old for this dump: {listed}",
            where=str(path),
            remedy="install the PostgreSQL client of the server's release, and name its folder"
            " in READINESS_POSTGRES_BIN",
        )
    return listed, listing


def heading_of(listing: str) -> Heading:
    """What the list of contents says; it was printed with UTC as the time zone."""
    found = _CREATED.search(listing)
    created = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
    if created and created < _FIRST_RELEASE:
        created = None  # pg_restore prints one of 1969 where it cannot read the date
    return Heading(_database(listing), created, bool(_PROPERTIES.search(listing)))


def _database(listing: str) -> str:
    """The database's own name; the archive also has the one that it was connected to by."""
    archived, entry = _ARCHIVED.search(listing), _DATABASE.search(listing)
    name = archived[1] if archived else ""
    words = entry[1].split(" ") if entry else []
    return words[0] if len(words) == 2 else name  # noqa: PLR2004 - name and owner


def as_archived(file: BackupFile, heading: Heading) -> BackupFile:
    """A dump, with the age that its list of contents shows where it has no manifest.

    An old dump keeps it where the file has a new date, as copies do. What the time zone may hide is
    allowed for, so that no dump is taken for older than it is.
    """
    if heading.created_at is None or file.manifest.exists():
        return file
    latest = heading.created_at + _ZONES
    if latest >= file.data_at:
        return file
    return replace(file, data_at=latest, dated_by="`Archive created at` of pg_restore --list")


def roles_of_archive(
    path: Path, listing: str, binaries: Binaries, *, timeout_s: float
) -> frozenset[str]:
    """The roles that own objects of a pg_dump archive, or are granted anything by it."""
    wanted = [line for line in listing.splitlines() if not _DATA.match(line)]
    with tempfile.NamedTemporaryFile("w", prefix="readiness-list-") as lines:
        lines.write("\n".join(wanted))
        lines.flush()
        with tempfile.TemporaryFile() as output:
            words = [f"--use-list={lines.name}", "--file=-"]
            run_pg_restore(path, binaries, words, timeout_s=timeout_s, output=output)
            output.seek(0)
            return frozenset(role for line in output for role in roles_named(line))


def run_pg_restore(
    path: Path,
    binaries: Binaries,
    arguments: Sequence[str],
    *,
    timeout_s: float,
    dsn: Dsn | None = None,
    output: IO[bytes] | None = None,
) -> Ended:
    """Run `pg_restore` on an archive, which may be packed; damage of that is an error of it."""
    run = partial(
        run_program, binaries, "pg_restore", timeout_s=timeout_s, dsn=dsn, output=output,
        environ={"TZ": "UTC"},
    )  # fmt: skip
    if not packing_of(path):
        return run([*arguments, str(path)])
    try:
        with unpacked(path) as file:
            return run(arguments, stdin=file)
    except DamagedError as error:
        return Ended(1, 1, (str(error),))


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
        return ended, _first_of(output)


def _first_of(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read(_LONGEST_OUTPUT).decode(errors="replace")


def is_plain(path: Path) -> bool:
    """Whether a file is text, as plain SQL is, packed or not; also one that cannot be unpacked."""
    kind = kind_of(path)
    return kind == PLAIN_TEXT or (not kind and bool(packing_of(path)))


def is_closed(path: Path, *, encrypted: bool) -> bool:
    """Whether a file cannot be read here: it is packed, or encrypted although it must not be."""
    head = head_of(path)
    kind = known_as(head)
    if kind in {"zip", "zstd", "lz4", "gzip", "bzip2", "xz"}:
        return not packing_of(path)
    return not (kind or (encrypted and head))


def _plain(path: Path) -> Content:
    try:
        with unpacked(path) as file:
            found = read_plain_dump(file)
    except DamagedError as error:
        problem = f"cannot be read to its end: {error}"
        return Content(Format.PLAIN, problem=problem, damage=(problem,))
    return Content(
        Format.PLAIN, found.tables, found.data, found.roles, plain=found, damage=found.damage
    )


def _tar(path: Path) -> Content:
    members = 0
    try:
        with unpacked(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for _ in archive:
                members += 1
            while file.read(1 << 20):
                pass  # what comes after its last member may be damaged, too
    except (tarfile.TarError, DamagedError, OSError, EOFError) as error:
        return Content(Format.TAR, members=members, problem=str(error) or type(error).__name__)
    return Content(Format.TAR, members=members)
