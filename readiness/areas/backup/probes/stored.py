"""Stored backups: which there are, what their newest files hold, and what they must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from readiness.areas.backup.config import Backup, Layer
from readiness.areas.backup.probes.contents import (
    Content,
    Format,
    Heading,
    as_archived,
    content_of,
    heading_of,
    is_closed,
    is_plain,
    list_archive,
)
from readiness.areas.backup.probes.packed import ARCHIVE, kind_of
from readiness.areas.backup.probes.plain_sql import PlainDump
from readiness.areas.backup.tools import tool_of
from readiness.config.base.tables import Database
from readiness.lib.files import BackupFile, Dated, files_in
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement
from readiness.servers.binaries import find_binaries

# Without indexes, which a dump does not hold; one statement over the catalogue, no rows read.
_TABLES: Final = """
    select coalesce(sum(pg_table_size(c.oid)), 0)::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname !~ '^readiness_'
        and n.nspname <> 'information_schema'"""
_ROLE: Final = """
    select rolsuper or rolbypassrls
    from pg_roles where rolname = %s"""
# Its owner sees all of a table, unless row security is forced.
_HIDDEN: Final = """
    select format('%%s.%%s', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relrowsecurity
        and (c.relforcerowsecurity or not pg_has_role(%s, c.relowner, 'usage'))
    order by 1"""


def backups(backup: Backup) -> list[BackupFile]:
    """All backups in the folder, the newest first."""
    return files_in(Path(backup.path), backup.pattern, f"[backup.{backup.name}]")


def newest(backup: Backup) -> BackupFile | None:
    """The newest backup in the folder, with the age that it shows itself."""
    file = next(iter(backups(backup)), None)
    if file is None or file.manifest.exists():
        return file
    try:
        return as_archived(file, heading(file, backup))
    except CouldNotMeasure:
        return file  # what needs the list of contents reports it


def latest(backup: Backup) -> Dated | None:
    """The newest backup that did not fail, of whatever makes them."""
    return newest(backup) if backup.tool == "dump" else next(iter(taken(backup)), None)


def taken(backup: Backup, *, whole: bool = False) -> Sequence[Dated]:
    """All backups that did not fail, the newest first.

    Args:
        backup: a folder of dumps, or the repository of a tool.
        whole: only those that need no backup before them, so that their sizes compare.
    """
    if backup.tool == "dump":
        return backups(backup)
    found = tool_of(backup).backups()
    return [one for one in found if not one.failed and (one.whole or not whole)]


def layer_files(backup: Backup, layer: Layer) -> list[BackupFile]:
    """All files of a layer, the newest first."""
    table = f"[backup.{backup.name}.layers.{layer.name}]"
    return files_in(Path(layer.folder or backup.path), layer.pattern, table)


def _newest_files(backup: Backup) -> list[BackupFile]:
    """The newest dump, and the newest file of each layer."""
    places = [backups(backup), *(layer_files(backup, one) for one in backup.layers.values())]
    return [files[0] for files in places if files]


def heading(file: BackupFile, backup: Backup) -> Heading:
    """What the list of contents of a dump says; nothing where it has none that can be read."""
    listing = ""
    if kind_of(file.path) in {ARCHIVE, "tar"}:
        _, listing = list_archive(file.path, find_binaries(), timeout_s=backup.patience_s)
    return heading_of(listing)


def plain_dumps(backup: Backup) -> list[tuple[BackupFile, Content]]:
    """Those of the newest files that are plain SQL, each read to its end."""
    return [
        (file, found)
        for file in _newest_files(backup)
        if is_plain(file.path) and (found := content(file.path, backup)).format is Format.PLAIN
    ]


def closed(backup: Backup) -> list[BackupFile]:
    """Those of the newest files that cannot be read here, and are not encrypted on purpose."""
    return [
        file for file in _newest_files(backup) if is_closed(file.path, encrypted=backup.encrypted)
    ]


def content(path: Path, backup: Backup) -> Content:
    """What a file holds; one that did not change is read once."""
    status = path.stat()
    return _content(path, status.st_mtime_ns, status.st_size, backup.patience_s)


def plain(file: BackupFile, backup: Backup) -> PlainDump | None:
    """What a dump in plain SQL holds; None where it is none, or cannot be read."""
    return content(file.path, backup).plain if is_plain(file.path) else None


@lru_cache(maxsize=64)
def _content(path: Path, _changed_ns: int, _size: int, timeout_s: float) -> Content:
    return content_of(path, find_binaries(), timeout_s=timeout_s)


def held(content: Content, layer: Layer) -> tuple[int, str]:
    """How many objects a layer has of the kind that it must hold, and their name."""
    return {
        "full": (min(content.tables, content.data), "tables with their rows"),
        "schema": (content.tables, "tables"),
        "data": (content.data, "tables' rows"),
        "globals": (content.roles, "roles"),
        "volume": (content.members, "files"),
    }[layer.holds]


def size_of_tables(database: Database) -> Measurement:
    """The size on disk of all tables of a database, without indexes."""
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        size = int(fetch_value(connection, _TABLES))
    source = f"pg_table_size of all tables of {database.dsn.address}"
    if not size:
        raise NoData(
            "the database has no table with any rows",
            where=database.dsn.address,
            remedy="is it the right database? see `database` in [backup.NAME]",
        )
    return Measurement("size of the tables", size, "bytes", source)


@dataclass(frozen=True, slots=True)
class Sight:
    """Which rows a role sees.

    Attributes:
        bypasses: whether no policy applies to it.
        tables: the tables with row security that applies to it.
    """

    bypasses: bool
    tables: tuple[str, ...]
    source: str


def sight_of(role: str, database: Database) -> Sight:
    """Which rows a role sees of a database, asked as the monitoring role."""
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        rows = fetch(connection, _ROLE, [role])
        if not rows:
            raise NoData(
                f"the role {role!r} does not exist", where=database.dsn.address, remedy="see `role`"
            )
        tables = tuple(str(name) for (name,) in fetch(connection, _HIDDEN, [role]))
    return Sight(bool(rows[0][0]), tables, f"pg_roles, pg_class of {database.dsn.address}")
