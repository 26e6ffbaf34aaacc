"""Looks at a restored copy: is it sound, does the application work, are damaged copies rejected?"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.backup.config import Application, Backup
from readiness.areas.backup.manifest import Manifest, read_manifest
from readiness.areas.backup.probes.contents import printed, read_archive
from readiness.areas.backup.probes.physical import RestoredCluster
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.backup.probes.safety import check_space
from readiness.lib.files import sha256_of
from readiness.lib.postgres import Connection, connect, fetch, source_of
from readiness.lib.postgres.contents import TableContent, content_of, differences
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.measurement import Measurement, now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, Ended, find_binaries

_TIMEOUT_S: Final = 60.0
_LONG_S: Final = 6 * 3600.0
_CORRUPT: Final = 2
_STALE: Final = timedelta(days=31)
_SHOWN: Final = 400
_VERSION: Final = re.compile(r"^Data page checksum version: +(\d+)", re.MULTILINE)
_BAD_BLOCKS: Final = re.compile(r"Bad checksums: +(\d+)")
_INSTALLED: Final = "select 1 from pg_extension where extname = 'amcheck'"
_RELATIONS: Final = """
    select count(*) from pg_class c where c.relkind in ('r', 'm', 'i', 't')"""


AnyRestore = Restored | RestoredCluster


@dataclass(frozen=True, slots=True)
class Soundness:
    """The number of tables and indexes that amcheck checked, and its reports of corruption."""

    relations: int
    corrupt: tuple[str, ...]
    source: str


def sound(restore: AnyRestore) -> Soundness:
    """What amcheck reports of the restored database."""
    cluster = restore.server if isinstance(restore, RestoredCluster) else restore
    binaries = (cluster and cluster.binaries) or find_binaries()
    return amcheck(restore.database(), binaries, timeout_s=_LONG_S)


def amcheck(dsn: Dsn, binaries: Binaries, *, timeout_s: float) -> Soundness:
    """Check every table against itself, and every index against its table.

    Raises:
        NotPermitted: the role may not; amcheck then ends with the status of a corruption.
        CouldNotMeasure: it could not check anything.
    """
    words = dsn.words
    environ = {f"PG{n.upper()}": str(v) for n, v in words.items() if n in {"host", "port", "user"}}
    password = {"PGPASSWORD": str(words["password"])} if words.get("password") else {}
    with connect(dsn, timeout_s=timeout_s) as connection:
        relations = int(fetch(connection, _RELATIONS)[0][0])
        own = fetch(connection, _INSTALLED)
    arguments = ["--heapallindexed", "--install-missing", "--no-password", str(words["dbname"])]
    ended, text = printed(
        binaries, "pg_amcheck", arguments, timeout_s=timeout_s, environ=environ | password
    )
    if not own:
        with connect(dsn, timeout_s=timeout_s) as connection:
            fetch(connection, "drop extension if exists amcheck")
    source = f"pg_amcheck --heapallindexed, {dsn.address}"
    told = f"{text} {ended}"
    if ended.status == 0 and not text.strip():
        return Soundness(relations, (), source)
    if ended.status == _CORRUPT and "permission denied" not in told:
        return Soundness(relations, tuple(_complaints(text)) or (clean(told, _SHOWN),), source)
    kind = NotPermitted if "permission denied" in told else CouldNotMeasure
    raise kind(f"pg_amcheck failed: {clean(told, _SHOWN)}", where=source)


def _complaints(text: str) -> list[str]:
    """One for each table or index that is reported."""
    blocks = re.split(r"\n(?=\S)", text.strip())
    return [" ".join(clean(block, _SHOWN).split()) for block in blocks if block.strip()]


def bad_checksums(cluster: RestoredCluster) -> int | None:
    """Pages with a wrong checksum; None without checksums. The server is stopped meanwhile."""
    server = cluster.server
    if server is None:
        cluster.database()
        return None

    def run(name: str, *arguments: str) -> tuple[Ended, str]:
        words = [*arguments, "--pgdata", str(server.data)]
        return printed(server.binaries, name, words, timeout_s=_LONG_S, account=server.account)

    with server.paused():
        version = _VERSION.search(run("pg_controldata")[1])
        if version is None or version[1] == "0":
            return None
        ended, output = run("pg_checksums", "--check")
    found = _BAD_BLOCKS.search(output)
    if found is None:
        raise CouldNotMeasure(f"pg_checksums failed: {ended}", where=str(server.data))
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Tried:
    """One statement of the application: the rows it returned or changed, or why it failed."""

    rows: Measurement
    problem: str
    writes: bool


def try_application(dsn: Dsn, application: Application) -> list[Tried]:
    """Run every statement as the application's role, and roll it back.

    Raises:
        CouldNotMeasure: the copy does not answer, or has no such role.
    """
    become = sql.SQL("set session authorization {}").format(sql.Identifier(application.role))
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        fetch(connection, become)
        return [
            *(_tried(connection, text, writes=False) for text in application.reads),
            *(_tried(connection, text, writes=True) for text in application.writes),
        ]


def _tried(connection: Connection, statement: str, *, writes: bool) -> Tried:
    rows, problem = 0, ""
    try:
        with connection.transaction(force_rollback=True):
            rows = connection.execute(statement.encode()).rowcount
    except psycopg.OperationalError as error:
        raise CouldNotMeasure(
            f"the connection to the restored copy was lost: {error}", where=source_of(statement)
        ) from error
    except psycopg.Error as error:
        problem = " ".join((error.diag.message_primary or str(error)).split())
    name = f"rows that the application {'wrote' if writes else 'read'}"
    return Tried(Measurement(name, rows, "count", source_of(statement)), problem, writes)


class Kind(StrEnum):
    """What is wrong with a dump."""

    STALE = "too old"
    SMALL = "too small"
    UNREADABLE = "cannot be read to its end"
    ALTERED = "not the file that was written"
    CONTENTS = "other rows than the database had"


@dataclass(frozen=True, slots=True)
class DumpFacts:
    """What is known of one dump; `contents` is what it restores to, None if that was not tried."""

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
    """A damaged copy: one of the `wanted` objections must be among those that were `found`."""

    name: str
    wanted: set[Kind]
    found: set[Kind]

    @property
    def rejected(self) -> bool:
        """Whether it was rejected, and for a reason that fits the damage."""
        return bool(self.wanted & self.found)


def dump_controls(backup: Backup, restore: Restored) -> list[Control]:
    """Five damaged copies of the newest dump; the dump itself is only read.

    Raises:
        CouldNotMeasure: there is no room for a copy, the dump has no manifest or was not restored.
    """
    manifest = read_manifest(restore.file.manifest)
    binaries = restore.binaries or find_binaries()
    facts = _facts(restore.file.path, manifest, binaries)

    def control(name: str, wanted: set[Kind], changed: DumpFacts) -> Control:
        return Control(name, wanted, objections(changed, manifest, backup, now()))

    def damaged(name: str, wanted: set[Kind], damage: Callable[[Path], None]) -> Control:
        with _copy(restore.file.path) as path:
            damage(path)
            return control(name, wanted, _facts(path, manifest, binaries))

    cut_off = partial(os.truncate, length=facts.size * 3 // 5)
    old = replace(facts, taken_at=now() - _STALE)
    lacking = replace(facts, contents=_without_a_row(restore, manifest))
    return [
        damaged("a copy that was cut off", {Kind.UNREADABLE}, cut_off),
        damaged("a copy with one flipped bit", {Kind.ALTERED, Kind.UNREADABLE}, _flip_a_bit),
        damaged("an empty file", {Kind.SMALL}, partial(os.truncate, length=0)),
        control(f"a copy of {_STALE.days} days ago", {Kind.STALE}, old),
        control("a restore that lacks one row", {Kind.CONTENTS}, lacking),
    ]


def _facts(path: Path, manifest: Manifest, binaries: Binaries) -> DumpFacts:
    _, read = read_archive(path, binaries, timeout_s=_LONG_S)
    return DumpFacts(manifest.finished_at, path.stat().st_size, read.clean, sha256_of(path))


@contextmanager
def _copy(dump: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="readiness-control-") as folder:
        check_space(Path(folder), dump.stat().st_size, "a copy of the dump")
        yield Path(shutil.copyfile(dump, Path(folder) / dump.name))


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
        connect(restore.database(), timeout_s=_LONG_S, total_s=_LONG_S) as connection,
        connection.transaction(force_rollback=True),
    ):
        # Neither triggers nor foreign keys may prevent it.
        fetch(connection, "set local session_replication_role = replica")
        fetch(connection, statement.format(name, name))
        lacking = replace(content_of(connection, name), root=manifest.tables[largest].root)
        return {**restore.contents(), largest: lacking}
