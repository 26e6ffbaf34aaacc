"""Whose data a backup holds by its own word, and what of the database it does not hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import identity, read_manifest
from readiness.areas.backup.probes import stored
from readiness.areas.backup.tools import tool_of
from readiness.config.base.tables import Database
from readiness.lib.files import BackupFile
from readiness.lib.postgres import Connection, connect, fetch
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure

_TABLES: Final = """
    select format('%I.%I', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
        and n.nspname <> 'information_schema' and n.nspname !~ '^(pg_|readiness_)'"""
_SETTINGS: Final = """
    select case when s.setrole = 0 then 'database ' || current_database()
            else 'role ' || s.setrole::regrole end,
        s.setdatabase = 0, split_part(c, '=', 1)
    from pg_db_role_setting s cross join unnest(s.setconfig) c
    where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
    order by 1, 3"""
# Extensions say which of their tables pg_dump shall dump (extconfig).
_OF_EXTENSIONS: Final = """
    select format('%I.%I of %s', n.nspname, c.relname, e.extname)
    from pg_depend d join pg_extension e on e.oid = d.refobjid
        join pg_class c on c.oid = d.objid join pg_namespace n on n.oid = c.relnamespace
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass
        and d.deptype = 'e' and c.relkind = 'r' and pg_relation_size(c.oid) > 0
        and c.oid <> all (coalesce(e.extconfig, '{}'))
    order by 1"""
_UNLOGGED: Final = """
    select format('%I.%I', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence = 'u' order by 1"""
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """What the newest backup says of where it is from; what it does not say is empty.

    Attributes:
        databases: the names of those that it holds.
        system: the identifier of their server.
        tables: those that it creates, where it names no database.
        where: the backup.
        source: what says so.
    """

    databases: tuple[str, ...]
    system: str
    tables: frozenset[str]
    where: str
    source: str


@dataclass(frozen=True, slots=True)
class Source:
    """The database that a backup must be of: its name, its server's identifier, its tables."""

    name: str
    system: str
    tables: frozenset[str]
    where: str


def origin_of(backup: Backup) -> Origin | None:
    """Where the newest backup is from; None where there is none that says anything."""
    if backup.tool != "dump":
        found = next((one for one in tool_of(backup).backups() if not one.failed), None)
        if found is None or not found.system:
            return None
        return Origin((), found.system, frozenset(), found.where, found.dated_by)
    file = stored.newest(backup)
    return _origin_of_dump(file, backup) if file else None


def _origin_of_dump(file: BackupFile, backup: Backup) -> Origin | None:
    try:
        manifest = read_manifest(file.manifest)
    except CouldNotMeasure:
        pass  # one that is damaged is reported where its contents are needed
    else:
        return Origin(
            (manifest.database,), manifest.system or "", frozenset(), file.where, "its manifest"
        )
    if name := stored.heading(file, backup).database:
        return Origin((name,), "", frozenset(), file.where, "pg_restore --list")
    if plain := stored.plain(file, backup):
        tables = frozenset() if plain.databases else plain.created
        return Origin(plain.databases, "", tables, file.where, "its SQL")
    return None


def source_of(database: Database) -> Source:
    """The database itself, asked now."""
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        name, system = identity(connection)
        tables = frozenset(str(table) for (table,) in fetch(connection, _TABLES))
    return Source(name, system or "", tables, database.dsn.address)


def left_out(backup: Backup, database: Database) -> list[str]:
    """What the database has and a restore of these backups would not, in words.

    Files are copied as they are; a dump holds neither roles nor what extensions keep to themselves.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        if backup.tool != "dump":
            return list(_rows_of(connection, _UNLOGGED, "unlogged tables, empty once restored"))
        file = stored.newest(backup)
        if file is None:
            return []
        return [
            *_roles_left_out(backup),
            *_settings_left_out(connection, backup, file),
            *_rows_of(connection, _OF_EXTENSIONS, "rows of tables that belong to an extension"),
            *_unlogged_left_out(connection, file),
        ]


def _rows_of(connection: Connection, query: str, what: str) -> Iterator[str]:
    if names := [str(name) for (name,) in fetch(connection, query)]:
        yield f"{what}: {listed(names, most=_SHOWN)}"


def _roles_left_out(backup: Backup) -> Iterator[str]:
    if not _layers_with_roles(backup):
        yield "roles, their passwords and memberships (no layer that holds `globals`)"
    elif not any(_holds_passwords(backup, file) for file in _layers_with_roles(backup)):
        yield "passwords of roles (pg_dumpall --no-role-passwords)"


def _layers_with_roles(backup: Backup) -> list[BackupFile]:
    files = (stored.layer_files(backup, x) for x in backup.layers.values() if x.holds == "globals")
    return [found[0] for found in files if found]


def _holds_passwords(backup: Backup, file: BackupFile) -> bool:
    plain = stored.plain(file, backup)
    return plain is not None and plain.passwords


def _settings_left_out(connection: Connection, backup: Backup, file: BackupFile) -> Iterator[str]:
    plain = stored.plain(file, backup)
    of_database = plain.has_settings if plain else stored.heading(file, backup).has_settings
    of_roles = bool(_layers_with_roles(backup))
    lost: dict[str, list[str]] = {}
    for whose, everywhere, name in fetch(connection, _SETTINGS):
        if not (of_roles if everywhere else of_database):
            lost.setdefault(str(whose), []).append(str(name))
    for whose, names in lost.items():
        yield f"settings of {whose}: {listed(names, most=_SHOWN)}"


def _unlogged_left_out(connection: Connection, file: BackupFile) -> Iterator[str]:
    """pg_dump dumps unlogged tables, unless it dumps a standby, which has no rows of them."""
    try:
        of_standby = read_manifest(file.manifest).replayed_until is not None
    except CouldNotMeasure:
        return
    if of_standby:
        yield from _rows_of(connection, _UNLOGGED, "rows of unlogged tables (a standby has none)")
