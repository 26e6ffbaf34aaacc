"""Reads the migrations of a repository, and those that a database lists as applied."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from psycopg import sql

from readiness.config.base.migrations import Migrations
from readiness.lib.migrations import files
from readiness.lib.migrations.model import (
    Applied,
    Migration,
    State,
    forks_of,
    heads_of,
    in_order,
    state,
)
from readiness.lib.postgres import Connection, Row, fetch, fetch_value, source_of
from readiness.model.errors import CouldNotMeasure, NoData

_TABLES: Final = {
    "alembic": "alembic_version",
    "django": "django_migrations",
    "flyway": "flyway_schema_history",
    "sql": "schema_migrations",
}
_QUERIES: Final = {
    "alembic": "select version_num from {table}",
    "django": "select app, name from {table}",
    # A line of type UNDO_SQL or DELETE cancels those before it; SQL_BASELINE is a base's.
    "flyway": "select version, description, success, checksum, type from {table}"
    " order by installed_rank",
    "sql": "select {column}::text from {table}",
}
_DIRTY: Final = "select {column}::text from {table} where dirty"
# It keeps a line for each time that a version was applied or rolled back; 0 is where it began.
_GOOSE: Final = """
    select version_id::text from (select distinct on (version_id) version_id, is_applied
        from {} order by version_id, id desc) last where is_applied and version_id > 0"""
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
            found = files.flyway(folder, settings.placeholders)
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
    heads = _heads(settings, migrations)
    forks = forks_of(migrations) if settings.tool == "alembic" else heads[1:]
    return state(migrations, applied, heads, forks), applied


def _heads(settings: Migrations, migrations: list[Migration]) -> tuple[str, ...]:
    if settings.tool not in ("alembic", "django"):
        return (migrations[-1].version,)  # numbers have one end
    if settings.tool == "alembic":
        return heads_of(migrations)
    apps = {m.version.partition(".")[0] for m in migrations}
    forked = []
    for app in sorted(apps):
        own = [m for m in migrations if m.version.partition(".")[0] == app]
        squashed = {old: m.version for m in own for old in m.replaces}
        kept = [m for m in own if m.version not in squashed]
        # One that builds on a replaced one builds on the squashed one.
        built_on = {squashed.get(v, v) for m in kept for v in m.after}
        ends = [m.version for m in kept if m.version not in built_on]
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
    if settings.tool == "sql" and "is_applied" in columns:
        return _goose(connection, table, migrations, Path(settings.folder))
    names = {"table": table, "column": sql.Identifier(settings.column)}
    statement = sql.SQL(_QUERIES[settings.tool]).format(**names)
    rows, source = fetch(connection, statement), source_of(statement, connection)
    match settings.tool:
        case "alembic":
            listed = [str(version) for (version,) in rows]
            overlapping = _overlapping(listed, migrations)
            return Applied(_with_ancestors(listed, migrations), source, overlapping=overlapping)
        case "django":
            # Apps that are not in the folder, such as django's own, are not judged.
            apps = {m.version.partition(".")[0] for m in migrations}
            done = frozenset(f"{app}.{name}" for app, name in rows if app in apps)
            return Applied(done - _squashed_away(done, migrations), source)
        case "flyway":
            return _flyway(rows, source, migrations)
        case "sql":
            has_dirty = "dirty" in columns
            dirty = fetch(connection, sql.SQL(_DIRTY).format(**names)) if has_dirty else None
            return _plain(rows, source, migrations, dirty)


def _with_ancestors(heads: list[str], migrations: list[Migration]) -> frozenset[str]:
    """The table has the heads only: what they build on, and need, was applied, too."""
    before = {m.version: m.after + m.needs for m in migrations}
    done: set[str] = set()
    while heads:
        version = heads.pop()
        if version not in done:
            done.add(version)
            heads += before.get(version, ())
    return frozenset(done)


def _overlapping(listed: list[str], migrations: list[Migration]) -> tuple[str, ...]:
    """Alembic keeps the ends alone, and upgrades no further where it finds one beneath another."""
    after = {m.version: m.after for m in migrations}
    beneath: set[str] = set()
    waiting = [parent for version in listed for parent in after.get(version, ())]
    while waiting:
        version = waiting.pop()
        if version not in beneath:
            beneath.add(version)
            waiting += after.get(version, ())
    return tuple(sorted(beneath.intersection(listed)))


_SQUASHED: Final = re.compile(r"(?P<app>\w+)\.(?P<first>\d+)\w*?_squashed_(?P<last>\d+)")
_NUMBERED: Final = re.compile(r"(?P<app>\w+)\.(?P<number>\d+)")


def _squashed_away(done: frozenset[str], migrations: list[Migration]) -> frozenset[str]:
    """Lines of migrations whose files were removed after they were squashed.

    Django leaves them there until `migrate --prune`; the squashed one has lost its `replaces`.
    """
    ranges = [found for m in migrations if m.version in done and not m.replaces
              and (found := _SQUASHED.match(m.version))]  # fmt: skip
    gone = done - {m.version for m in migrations}
    return frozenset(
        version
        for version in gone
        if (found := _NUMBERED.match(version))
        and any(
            one["app"] == found["app"]
            and int(one["first"]) <= int(found["number"]) <= int(one["last"])
            for one in ranges
        )
    )


_NO_SQL: Final = frozenset({"JDBC", "SPRING_JDBC", "JDBC_BASELINE", "CUSTOM", "SCRIPT"})


def _flyway(rows: list[Row], source: str, migrations: list[Migration]) -> Applied:
    done: dict[str, str | None] = {}
    failed: list[str] = []
    coded: set[str] = set()
    numbers = {m.version: files.numbers(m.version)
               for m in migrations if not files.is_repeatable(m)}  # fmt: skip
    bases = [m for m in migrations if files.is_base(m)]
    versions = {n: v for v, n in numbers.items() if not v.startswith("B")}
    for version, description, success, checksum, kind in rows:
        # 1.0, 01 and 1 are one version: the repository's way to write it.
        name = str(description)
        if version is not None:
            name = versions.get(files.numbers(str(version)), str(version))
        if kind == "SQL_BASELINE":
            name = f"B{version}"
            name = next(
                (m.version for m in bases if numbers[m.version] == files.numbers(name)), name
            )
        if kind in ("UNDO_SQL", "DELETE"):
            done.pop(name, None)
        elif not success:
            failed.append(name)
        elif kind == "BASELINE":
            least = files.numbers(str(version))
            done |= {v: None for v, n in numbers.items() if n <= least}
        elif kind != "SCHEMA":
            done[name] = None if checksum is None else str(checksum)
            coded |= {name} if kind in _NO_SQL else set()
    reached = max((numbers[name] for name in done if name in numbers), default=())
    # What it replaces has no file any more.
    done |= {m.version: None for m in bases if not m.replaces and numbers[m.version] <= reached
             and m.version not in done}  # fmt: skip
    sums = {name: value for name, value in done.items() if value is not None}
    return Applied(
        frozenset(done), source, tuple(failed), sums, tuple(sorted(coded - numbers.keys()))
    )


def _plain(
    rows: list[Row], source: str, migrations: list[Migration], dirty: list[Row] | None
) -> Applied:
    known = {int(m.version): m.version for m in migrations}
    versions = [str(version) for (version,) in rows]
    done = {_as_known(version, known) for version in versions}
    failed = tuple(_as_known(str(version), known) for (version,) in dirty or ())
    if dirty is not None:
        # golang-migrate: one line, the version that was reached, and whether it is half done.
        reached = [int(version) for version in versions if version.isdigit()]
        done |= {v for n, v in known.items() if any(n <= last for last in reached)}
        done -= set(failed)
    return Applied(frozenset(done), source, failed)


def _goose(
    connection: Connection, table: sql.Identifier, migrations: list[Migration], folder: Path
) -> Applied:
    statement = sql.SQL(_GOOSE).format(table)
    rows, source = fetch(connection, statement), source_of(statement, connection)
    found = _plain(rows, source, migrations, None)
    in_go = {int(path.name.partition("_")[0]) for path in folder.rglob("[0-9]*_*.go")
             if path.name.partition("_")[0].isdigit()}  # fmt: skip
    coded = [v for v in found.versions if v.isdigit() and int(v) in in_go]
    return replace(found, coded=tuple(sorted(coded)))


def _as_known(version: str, known: dict[int, str]) -> str:
    """`1` and `0001` are one version, and so is `1_name.sql`: the repository's way to write it."""
    number = version if version.isdigit() else version.partition("_")[0]
    return known.get(int(number), version) if number.isdigit() else version


def release_of(connection: Connection) -> int:
    """The major release of the server."""
    return int(fetch_value(connection, "show server_version_num")) // 10_000
