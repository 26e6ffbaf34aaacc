"""Damages copies of a backup, and hears what is said against them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from psycopg import sql

from readiness.areas.backup.config import Backup
from readiness.areas.backup.dump_objections import Control, Facts, Kind, objections
from readiness.areas.backup.manifest import Manifest, read_manifest
from readiness.areas.backup.probes.archive import continuity_of, segment_bytes
from readiness.areas.backup.probes.guard import check_space
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.backup.tools.known import tool_of
from readiness.areas.backup.wal_segments import continuity, parse
from readiness.config.base.tables import Database
from readiness.lib.files import sha256_of
from readiness.lib.postgres import connect, fetch
from readiness.lib.postgres.contents import TableContent, content_of
from readiness.model.errors import NoData
from readiness.model.measurement import now
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.client import run_program

_STALE: Final = timedelta(days=31)
_TIMEOUT_S: Final = 3600.0
_MISSING: Final = "missing"


def dump_controls(backup: Backup, restore: Restored) -> list[Control]:
    """Five damaged copies of the newest dump; the dump itself is only read.

    Raises:
        CouldNotMeasure: there is no room for a copy, the dump has no manifest or was not
            restored; and its kinds.
    """
    manifest = read_manifest(restore.file.manifest)
    binaries = restore.binaries or find_binaries()
    facts = _facts(restore.file.path, manifest, binaries)

    def said(changed: Facts) -> frozenset[str]:
        return frozenset(objections(changed, manifest, backup, now()))

    def damaged(name: str, wanted: set[Kind], damage: Callable[[Path], None]) -> Control:
        with _copy(restore.file.path) as path:
            damage(path)
            return Control(name, frozenset(wanted), said(_facts(path, manifest, binaries)))

    old = replace(facts, taken_at=now() - _STALE)
    lacking = replace(facts, contents=_without_a_row(restore, manifest))
    return [
        damaged("a copy that was cut off", {Kind.UNREADABLE}, _truncate),
        damaged("a copy with one bit turned", {Kind.ALTERED, Kind.UNREADABLE}, _turn_a_bit),
        damaged("an empty file", {Kind.SMALL}, _empty),
        Control(f"a copy of {_STALE.days} days ago", frozenset({Kind.STALE}), said(old)),
        Control("a restore that lacks one row", frozenset({Kind.CONTENTS}), said(lacking)),
    ]


def archive_controls(backup: Backup, database: Database) -> list[Control]:
    """An archive in which one WAL file is missing before the newest; only the names are changed.

    Raises:
        CouldNotMeasure: as for `continuity_of`.
    """
    found = continuity_of(backup, database)
    size = segment_bytes(database)
    last = parse(found.last, size) if found.last else None
    if last is None:
        raise NoData("the archive holds no WAL file", where=backup.path)
    beyond = replace(last, number=last.number + 2).name(size)
    damaged = continuity([*tool_of(backup).segments(), beyond], found.first, size)
    said = frozenset({_MISSING} if set(damaged.missing) - set(found.missing) else ())
    return [Control("an archive that lacks one WAL file", frozenset({_MISSING}), said)]


def _facts(path: Path, manifest: Manifest, binaries: Binaries) -> Facts:
    read = run_program(
        binaries, "pg_restore", ["--file=/dev/null", str(path)], timeout_s=_TIMEOUT_S
    )
    return Facts(manifest.finished_at, path.stat().st_size, read.clean, sha256_of(path))


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


def _turn_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        middle = path.stat().st_size // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def _without_a_row(restore: Restored, manifest: Manifest) -> dict[str, TableContent]:
    """What the restored copy holds when one row of its largest table goes; it comes back."""
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
        # No trigger and no foreign key has a say in it.
        fetch(connection, "set local session_replication_role = replica")
        fetch(connection, statement.format(name, name))
        return {**restore.contents(), largest: content_of(connection, name)}
