"""Runs migrations on throw-away databases of a scratch server: up, down, and up again."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from psycopg import sql
from psycopg.conninfo import make_conninfo

from readiness.config.base.migrations import Migrations
from readiness.lib.migrations.files import is_repeatable, text_of
from readiness.lib.migrations.model import Migration
from readiness.lib.migrations.reading import version_table
from readiness.lib.migrations.scripts import down_of, script, up_of
from readiness.lib.postgres import Connection, connect, fetch, translated
from readiness.lib.postgres.contents import TableContent, table_contents
from readiness.lib.postgres.fingerprint import Change, Fingerprint, differences, fingerprint
from readiness.model.errors import CouldNotMeasure, SafetyRefusal
from readiness.model.secrets import Dsn

_TIMEOUT_S: Final = 30.0
_LONGEST_S: Final = 1800.0
# A clone of a server has its identifier, and was started at another time.
_SERVER: Final = "select (pg_control_system()).system_identifier, pg_postmaster_start_time()"
_ROLES: Final = "select rolname from pg_roles where rolname !~ '^pg_'"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch server, in use by one at a time."""

    server: Dsn

    @contextmanager
    def database(self, template: Dsn | None = None) -> Iterator[Dsn]:
        """A new database, empty or a copy of another one; dropped at the end."""
        name = f"readiness_migrations_{secrets.token_hex(6)}"
        source = template.words["dbname"] if template else "template0"
        with connect(self.server, timeout_s=_TIMEOUT_S) as connection:
            statement = sql.SQL("create database {} template {}")
            fetch(connection, statement.format(sql.Identifier(name), sql.Identifier(str(source))))
        try:
            yield Dsn(make_conninfo(self.server.reveal(), dbname=name))
        finally:
            with connect(self.server, timeout_s=_TIMEOUT_S) as connection:
                gone = sql.SQL("drop database if exists {} with (force)")
                fetch(connection, gone.format(sql.Identifier(name)))


@contextmanager
def scratch(server: Dsn, source: Dsn) -> Iterator[Scratch]:
    """Use a scratch server: it gets the roles that the source has, without any right.

    Raises:
        SafetyRefusal: it is the server of the database that is judged.
    """
    with connect(source, timeout_s=_TIMEOUT_S) as connection:
        judged, wanted = fetch(connection, _SERVER), {n for (n,) in fetch(connection, _ROLES)}
    with connect(server, timeout_s=_TIMEOUT_S, total_s=_LONGEST_S) as here:
        if same_place(source, server) or judged == fetch(here, _SERVER):
            raise SafetyRefusal(
                "the scratch server is the server of the database that is judged",
                where="[databases.NAME.migrations] scratch_dsn",
                remedy="name another server, or remove `scratch_dsn`: a private one is started",
            )
        # One at a time: two would make the same roles, and each drop the other's.
        fetch(here, "set statement_timeout = 0; select pg_advisory_lock(hashtext('readiness'))")
        made = sorted(wanted - {name for (name,) in fetch(here, _ROLES)})
        _for_each(here, "create role {} nologin", made)
        try:
            yield Scratch(server)
        finally:
            _for_each(here, "drop role if exists {}", made)


def same_place(source: Dsn, server: Dsn) -> bool:
    """Whether two connection strings name the same database of the same host and port."""
    same_name = source.words.get("dbname", "") == server.words.get("dbname", "")
    return same_name and not {*source.places}.isdisjoint(server.places)


def _for_each(connection: Connection, statement: str, names: list[str]) -> None:
    for name in names:
        fetch(connection, sql.SQL(statement).format(sql.Identifier(name)))


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rollback:
    """A migration that was run, rolled back, and run again.

    Attributes:
        problem: why it could not be rolled back, or run again; empty if it could.
        left: objects that differ after its rollback.
        rows: tables whose rows differ after its rollback.
        again: objects that differ after the second run from the first.
        rows_before: how many rows had to survive.
    """

    version: str
    problem: str = ""
    left: tuple[Change, ...] = ()
    rows: tuple[str, ...] = ()
    again: tuple[Change, ...] = ()
    rows_before: int = 0

    @property
    def wrong(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        if self.problem:
            return f"{self.version}: {self.problem}"
        if self.left:
            return f"{self.version}: after its rollback {self.left[0]}"
        if self.rows:
            return f"{self.version}: after its rollback the rows of {self.rows[0]} differ"
        if self.again:
            return f"{self.version}: after it is run again {self.again[0]}"
        return ""


def execute(connection: Connection, text: str) -> None:
    """Run a migration's statements, in one transaction if they may."""
    migration = script(text)
    if migration.transactional:
        with connection.transaction():
            _statements(connection, migration.statements)
    else:
        _statements(connection, migration.statements)


def apply(dsn: Dsn, text: str, timeout_s: float) -> None:
    """Run a migration in a session of its own: what it sets holds for it alone."""
    with connect(dsn, timeout_s=timeout_s) as connection:
        execute(connection, text)


@contextmanager
def replayed(
    server: Scratch, settings: Migrations, migrations: Sequence[Migration]
) -> Iterator[Dsn]:
    """A new scratch database in which migrations have been run, one after the other."""
    with server.database() as dsn:
        if settings.base:
            apply(dsn, text_of(Path(settings.base)), settings.timeout_s)
        for migration in migrations:
            run(dsn, settings, migration)
        yield dsn


def run(dsn: Dsn, settings: Migrations, migration: Migration) -> None:
    """Run one migration of the repository."""
    text = up_of(settings, migration)
    try:
        apply(dsn, text, settings.timeout_s)
    except CouldNotMeasure as error:
        raise CouldNotMeasure(
            f"{migration.version} fails on a scratch server: {error.message}",
            where=str(migration.path),
            remedy="create what it relies on (roles, extensions, tables) in an SQL file named in"
            " `base`, or name a server that has it in `scratch_dsn`",
        ) from error


def on_copies(
    server: Scratch,
    settings: Migrations,
    migrations: Sequence[Migration],
    judge: Callable[[Dsn, Migration], _T],
) -> list[_T]:
    """What `judge` finds for each of the newest migrations.

    It gets a database of its own, with the rows of the seed, in the state before that migration.
    """
    older, newest = parted(settings, migrations)
    found = []
    with replayed(server, settings, older) as dsn:
        if settings.seed:
            apply(dsn, text_of(Path(settings.seed)), settings.timeout_s)
        for migration in newest:
            with server.database(dsn) as copy:
                found.append(judge(copy, migration))
            run(dsn, settings, migration)
    return found


def parted(
    settings: Migrations, migrations: Sequence[Migration]
) -> tuple[Sequence[Migration], Sequence[Migration]]:
    """The older migrations, which are only run, and the newest, which are judged."""
    steps = [m for m in migrations if not is_repeatable(m)]
    cut = max(0, len(steps) - settings.newest)
    return steps[:cut], steps[cut:]


def roll_back(settings: Migrations, dsn: Dsn, migration: Migration) -> Rollback:
    """Run a migration, roll it back, and run it again; compares schema and rows each time.

    One that was accepted as irreversible is not tried.
    """
    if migration.version in settings.irreversible:
        return Rollback(migration.version)
    down = down_of(settings, migration)
    if down is None:
        return Rollback(migration.version, "it has no rollback script")
    before, rows = _look(dsn, settings)
    run(dsn, settings, migration)
    after, _ = _look(dsn, settings)
    counted = sum(content.rows for content in rows.values())
    try:
        apply(dsn, down, settings.timeout_s)
    except CouldNotMeasure as error:
        problem = f"its rollback fails: {error.message}"
        return Rollback(migration.version, problem, rows_before=counted)
    back, rows_back = _look(dsn, settings)
    left = differences(before, back, ignore=versions_of(settings))
    lost = _changed(rows, rows_back, settings)
    if left or lost:
        return Rollback(migration.version, "", tuple(left), lost, rows_before=counted)
    if settings.tool == "alembic" and not migration.after:
        # Printed for an empty database, its first migration makes the table of versions, too.
        apply(dsn, f"drop table if exists {version_table(settings)}", settings.timeout_s)
    try:
        run(dsn, settings, migration)
    except CouldNotMeasure as error:
        problem = f"after its rollback it fails: {error.message}"
        return Rollback(migration.version, problem, rows_before=counted)
    again = differences(after, _look(dsn, settings)[0], ignore=versions_of(settings))
    return Rollback(migration.version, again=tuple(again), rows_before=counted)


def versions_of(settings: Migrations) -> list[str]:
    """Patterns of the table of versions and its objects: each tool makes its own."""
    table = version_table(settings)
    table = table if "." in table else f"*.{table}"
    return [f"* {table}", f"* {table}_*_seq", *settings.ignore]


def _statements(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        with translated(statement):
            connection.execute(statement.encode())


def _look(dsn: Dsn, settings: Migrations) -> tuple[Fingerprint, dict[str, TableContent]]:
    with connect(dsn, timeout_s=settings.timeout_s) as connection:
        return fingerprint(connection), table_contents(connection)


def _changed(
    before: dict[str, TableContent], after: dict[str, TableContent], settings: Migrations
) -> tuple[str, ...]:
    own = version_table(settings).rpartition(".")[2]
    return tuple(
        table
        for table, content in sorted(before.items())
        if after.get(table) != content and table.rpartition(".")[2] != own
    )
