"""Negative controls: damages copies of a dump, and judges each by the limits of the backup.

A proof that accepts a damaged copy proves nothing. The objections are those of the checks.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from psycopg import sql

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import Manifest, read_manifest
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.backup.probes.safety import check_space
from readiness.lib.files import sha256_of
from readiness.lib.postgres import connect, fetch
from readiness.lib.postgres.contents import TableContent, content_of, differences
from readiness.model.errors import NoData
from readiness.model.measurement import now
from readiness.servers.binaries import Binaries, find_binaries, run_program

_STALE: Final = timedelta(days=31)
_TIMEOUT_S: Final = 3600.0


class Kind(StrEnum):
    """What is wrong with a dump."""

    STALE = "too old"
    SMALL = "too small"
    UNREADABLE = "cannot be read to its end"
    ALTERED = "not the file that was written"
    CONTENTS = "other rows than the database had"


@dataclass(frozen=True, slots=True)
class DumpFacts:
    """What is known of one dump.

    Attributes:
        taken_at: when it was made.
        size: in bytes.
        readable: whether it can be read to its end.
        sha256: of the file as it is stored.
        contents: what it restores to; None where that was not tried.
    """

    taken_at: datetime
    size: int
    readable: bool
    sha256: str
    contents: dict[str, TableContent] | None = None


def objections(facts: DumpFacts, manifest: Manifest, backup: Backup, at: datetime) -> set[Kind]:
    """What is wrong with a dump, by the limits of the backup and its manifest, at a moment."""
    age_h = (at - facts.taken_at) / timedelta(hours=1)
    against = {
        Kind.STALE: age_h > backup.max_age_h,
        Kind.SMALL: facts.size < backup.min_bytes,
        Kind.UNREADABLE: not facts.readable,
        Kind.ALTERED: facts.sha256 != manifest.sha256,
        Kind.CONTENTS: facts.contents is not None
        and bool(differences(manifest.tables, facts.contents)),
    }
    return {kind for kind, holds in against.items() if holds}


@dataclass(frozen=True, slots=True)
class Control:
    """A damaged copy, and the objections to it.

    Attributes:
        name: how it was damaged, in words.
        wanted: one of these must be among the objections.
        found: the objections.
    """

    name: str
    wanted: frozenset[Kind]
    found: frozenset[Kind]

    @property
    def rejected(self) -> bool:
        """Whether it was rejected, and for a reason that fits the damage."""
        return bool(self.wanted & self.found)


def accepted(controls: Iterable[Control]) -> list[str]:
    """The damaged copies that were accepted, in words."""
    return [c.name for c in controls if not c.rejected]


def dump_controls(backup: Backup, restore: Restored) -> list[Control]:
    """Five damaged copies of the newest dump; the dump itself is only read.

    Raises:
        CouldNotMeasure: there is no room for a copy, the dump has no manifest or was not
            restored; and its kinds.
    """
    manifest = read_manifest(restore.file.manifest)
    binaries = restore.binaries or find_binaries()
    facts = _facts(restore.file.path, manifest, binaries)

    def found(changed: DumpFacts) -> frozenset[Kind]:
        return frozenset(objections(changed, manifest, backup, now()))

    def damaged(name: str, wanted: set[Kind], damage: Callable[[Path], None]) -> Control:
        with _copy(restore.file.path) as path:
            damage(path)
            return Control(name, frozenset(wanted), found(_facts(path, manifest, binaries)))

    old = replace(facts, taken_at=now() - _STALE)
    lacking = replace(facts, contents=_without_a_row(restore, manifest))
    return [
        damaged("a copy that was cut off", {Kind.UNREADABLE}, _truncate),
        damaged("a copy with one flipped bit", {Kind.ALTERED, Kind.UNREADABLE}, _flip_a_bit),
        damaged("an empty file", {Kind.SMALL}, _empty),
        Control(f"a copy of {_STALE.days} days ago", frozenset({Kind.STALE}), found(old)),
        Control("a restore that lacks one row", frozenset({Kind.CONTENTS}), found(lacking)),
    ]


def _facts(path: Path, manifest: Manifest, binaries: Binaries) -> DumpFacts:
    read = run_program(
        binaries, "pg_restore", ["--file=/dev/null", str(path)], timeout_s=_TIMEOUT_S
    )
    return DumpFacts(manifest.finished_at, path.stat().st_size, read.clean, sha256_of(path))


@contextmanager
def _copy(dump: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="readiness-control-") as folder:
        check_space(Path(folder), dump.stat().st_size, "a copy of the dump")
        yield Path(shutil.copyfile(dump, Path(folder) / dump.name))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 3 // 5)


def _flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        middle = path.stat().st_size // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def _without_a_row(restore: Restored, manifest: Manifest) -> dict[str, TableContent]:
    """What the restored copy holds without one row of its largest table; it is rolled back."""
    largest = max(manifest.tables, key=lambda name: manifest.tables[name].rows, default=None)
    if largest is None or not manifest.tables[largest].rows:
        raise NoData("no table has a row", where=str(restore.file.manifest))
    schema, _, table = largest.partition(".")
    name = sql.Identifier(schema, table)
    statement = sql.SQL("delete from only {} where ctid = (select min(ctid) from only {})")
    with (
        connect(restore.database(), timeout_s=_TIMEOUT_S, total_s=_TIMEOUT_S) as connection,
        connection.transaction(force_rollback=True),
    ):
        # Neither triggers nor foreign keys may prevent it.
        fetch(connection, "set local session_replication_role = replica")
        fetch(connection, statement.format(name, name))
        return {**restore.contents(), largest: content_of(connection, name)}
