"""Reads the migrations of a repository, and those that a database lists as applied."""

from pathlib import Path
from typing import Final

from psycopg import sql

from readiness.config.base.migrations import Migrations
from readiness.lib.migrations import files
from readiness.lib.migrations.model import Applied, Migration, State, heads_of, in_order, state
from readiness.lib.postgres import Connection, fetch, fetch_value, source_of
from readiness.model.errors import CouldNotMeasure, NoData

_TABLES: Final = {
    "alembic": "alembic_version",
    "django": "django_migrations",
    "flyway": "flyway_schema_history",
    "sql": "schema_migrations",
}
_ALEMBIC: Final = "select version_num from {table}"
_DJANGO: Final = "select app, name from {table}"
# A line of type UNDO_SQL or DELETE cancels those before it.
_FLYWAY: Final = """
    select version, description, success, checksum, type from {table} order by installed_rank"""
_PLAIN: Final = "select {column}::text from {table}"
_DIRTY: Final = "select {column}::text from {table} where dirty"
_COLUMNS: Final = """
    select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0
        and not attisdropped"""


def version_table(settings: Migrations) -> str:
    """The name of the table of what was applied."""
    return settings.table or _TABLES[settings.tool]


def migrations_of(settings: Migrations) -> list[Migration]:
    """The migrations of the repository, each after those it builds on."""
    folder = Path(settings.folder)
    match settings.tool:
        case "alembic":
            return in_order(files.alembic(folder), str(folder))
        case "django":
            return in_order(files.django(folder), str(folder))
        case "flyway":
            found = files.flyway(folder)
        case "sql":
            found = files.plain(folder)
    if not found:
        raise NoData(
            "no migrations were found", where=str(folder), remedy="check `folder` and `tool`"
        )
    return found


def state_of(connection: Connection, settings: Migrations) -> tuple[State, Applied]:
    """How the repository and the database differ."""
    migrations = migrations_of(settings)
    applied = _applied(connection, settings, migrations)
    if not applied.versions and not applied.failed:
        raise NoData("the table lists no applied migration", where=applied.source)
    return state(migrations, applied, _heads(settings, migrations)), applied


def _heads(settings: Migrations, migrations: list[Migration]) -> tuple[str, ...]:
    if settings.tool not in ("alembic", "django"):
        return (migrations[-1].version,)  # numbers have one end
    if settings.tool == "alembic":
        return heads_of(migrations)
    apps = {m.version.partition(".")[0] for m in migrations}
    forked = []
    for app in sorted(apps):
        own = [m for m in migrations if m.version.partition(".")[0] == app]
        replaced = {old for m in own for old in m.replaces}
        ends = [v for v in heads_of(own) if v not in replaced]
        forked += ends if len(ends) > 1 else []
    return tuple(forked) or (migrations[-1].version,)


def _applied(connection: Connection, settings: Migrations, migrations: list[Migration]) -> Applied:
    table = sql.Identifier(*version_table(settings).split(".", 1))
    columns = {name for (name,) in fetch(connection, _COLUMNS, [table.as_string(connection)])}
    if not columns:
        raise CouldNotMeasure(
            f"the table {version_table(settings)} does not exist",
            where=connection.info.dbname,
            remedy="name it in `table`, with its schema, or apply the migrations",
        )
    match settings.tool:
        case "alembic":
            return _alembic(connection, table, migrations)
        case "django":
            return _django(connection, table, migrations)
        case "flyway":
            return _flyway(connection, table, migrations)
        case "sql":
            return _plain(connection, table, settings, migrations, columns)


def _alembic(connection: Connection, table: sql.Identifier, migrations: list[Migration]) -> Applied:
    """The table has the heads only: what they build on, and need, was applied, too."""
    statement = sql.SQL(_ALEMBIC).format(table=table)
    before = {m.version: m.after + m.needs for m in migrations}
    open_ = [str(version) for (version,) in fetch(connection, statement)]
    done: set[str] = set()
    while open_:
        version = open_.pop()
        if version not in done:
            done.add(version)
            open_ += before.get(version, ())
    return Applied(frozenset(done), source_of(statement, connection))


def _django(connection: Connection, table: sql.Identifier, migrations: list[Migration]) -> Applied:
    """Apps that are not in the folder, such as django's own, are not judged."""
    statement = sql.SQL(_DJANGO).format(table=table)
    apps = {m.version.partition(".")[0] for m in migrations}
    done = frozenset(f"{app}.{name}" for app, name in fetch(connection, statement) if app in apps)
    return Applied(done, source_of(statement, connection))


def _flyway(connection: Connection, table: sql.Identifier, migrations: list[Migration]) -> Applied:
    statement = sql.SQL(_FLYWAY).format(table=table)
    done: dict[str, str | None] = {}
    failed: list[str] = []
    numbers = {m.version: n for n, m in enumerate(migrations)}
    for version, description, success, checksum, kind in fetch(connection, statement):
        name = str(description if version is None else version)
        if kind in ("UNDO_SQL", "DELETE"):
            done.pop(name, None)
        elif not success:
            failed.append(name)
        elif kind == "BASELINE" and name in numbers:
            done |= {v: None for v, n in numbers.items() if n <= numbers[name]}
        elif kind not in ("SCHEMA", "BASELINE"):
            done[name] = None if checksum is None else str(checksum)
    sums = {name: value for name, value in done.items() if value is not None}
    return Applied(frozenset(done), source_of(statement, connection), tuple(failed), sums)


def _plain(
    connection: Connection,
    table: sql.Identifier,
    settings: Migrations,
    migrations: list[Migration],
    columns: set[str],
) -> Applied:
    column = sql.Identifier(settings.column)
    statement = sql.SQL(_PLAIN).format(column=column, table=table)
    rows = [str(version) for (version,) in fetch(connection, statement)]
    known = {int(m.version): m.version for m in migrations}
    done = {_as_known(row, known) for row in rows}
    failed: tuple[str, ...] = ()
    if "dirty" in columns:
        # golang-migrate: one line, the version that was reached, and whether it is half done.
        dirty = sql.SQL(_DIRTY).format(column=column, table=table)
        failed = tuple(_as_known(str(v), known) for (v,) in fetch(connection, dirty))
        done |= {v for n, v in known.items() if any(r.isdigit() and n <= int(r) for r in rows)}
        done -= set(failed)
    return Applied(frozenset(done), source_of(statement, connection), failed)


def _as_known(version: str, known: dict[int, str]) -> str:
    """`1` and `0001` are one version: the repository's way to write it."""
    return known.get(int(version), version) if version.isdigit() else version


def release_of(connection: Connection) -> int:
    """The major release of the server."""
    return int(fetch_value(connection, "show server_version_num")) // 10_000
