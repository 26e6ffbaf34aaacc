"""Runs migrations on throw-away databases of a scratch server: up, down, and up again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import psycopg

from readiness.config.base.migrations import Migrations
from readiness.lib.migrations.files import is_base, is_repeatable, text_of
from readiness.lib.migrations.model import Migration, without_replaced
from readiness.lib.migrations.reading import version_table
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.migrations.scripts import OneWayError, down_of, not_printed, script, up_of
from readiness.lib.postgres import Connection, connect, translated
from readiness.lib.postgres.contents import TableContent, table_contents
from readiness.lib.postgres.fingerprint import Change, Fingerprint, differences, fingerprint
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn

_T = TypeVar("_T")
# Errors that no role, extension or table of another server would prevent.
_OWN_FAULTS: Final = {
    "55P04": "use a new value of an enum in the migration after the one that adds it",
    "42601": "it is not valid SQL",
    "25001": "run it outside of a transaction, as its tool allows",
}


@dataclass(frozen=True, slots=True)
class Rollback:
    """A migration that was run, rolled back, and run again.

    Attributes:
        problem: why it could not be rolled back, or run again; empty if it could.
        left: objects that differ after its rollback.
        rows: tables whose rows differ after its rollback.
        again: objects that differ after the second run from the first.
        rows_before: how many rows had to survive.
        untried: whether it has a part that its tool cannot write as SQL.
    """

    version: str
    problem: str = ""
    left: tuple[Change, ...] = ()
    rows: tuple[str, ...] = ()
    again: tuple[Change, ...] = ()
    rows_before: int = 0
    untried: bool = False

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


@dataclass(frozen=True, slots=True)
class Replayed:
    """A scratch database with migrations; `partly` are those with a part that is not SQL."""

    dsn: Dsn
    partly: tuple[str, ...]


class MigrationFails(CouldNotMeasure):
    """A migration fails whatever the server has beside it."""


def _state_of(error: BaseException | None) -> str:
    """What PostgreSQL called the error that caused this one; empty for another cause."""
    while error and not isinstance(error, psycopg.Error):
        error = error.__cause__
    return (error.sqlstate if isinstance(error, psycopg.Error) else None) or ""


def _is_its_own_fault(error: CouldNotMeasure) -> bool:
    return _state_of(error) in _OWN_FAULTS


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
) -> Iterator[Replayed]:
    """A new scratch database in which migrations have been run, one after the other."""
    with server.database() as dsn:
        if settings.base:
            apply(dsn, text_of(Path(settings.base)), settings.timeout_s)
        whole = [run(dsn, settings, migration) for migration in migrations]
        partly = [m.version for m, all_of in zip(migrations, whole, strict=True) if not all_of]
        yield Replayed(dsn, tuple(partly))


def run(dsn: Dsn, settings: Migrations, migration: Migration) -> bool:
    """Run one migration of the repository; whether its tool could write all of it as SQL."""
    text = up_of(settings, migration)
    try:
        apply(dsn, text, settings.timeout_s)
    except CouldNotMeasure as error:
        if _is_its_own_fault(error):
            raise MigrationFails(
                f"{migration.version} fails on a scratch server: {error.message}",
                where=str(migration.path),
                remedy="correct it; " + _OWN_FAULTS.get(_state_of(error), "it fails everywhere"),
            ) from error
        raise CouldNotMeasure(
            f"{migration.version} fails on a scratch server: {error.message}",
            where=str(migration.path),
            remedy="create what it relies on (roles, extensions, tables) in an SQL file named in"
            " `base`, or name a server that has it in `scratch_dsn`",
        ) from error
    return not not_printed(text)


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
    with replayed(server, settings, older) as ready:
        dsn = ready.dsn
        if settings.seed:
            apply(dsn, text_of(Path(settings.seed)), settings.timeout_s)
        for migration in newest:
            with server.database(dsn) as copy:
                found.append(judge(copy, migration))
            if migration is not newest[-1]:
                run(dsn, settings, migration)
    return found


def parted(
    settings: Migrations, migrations: Sequence[Migration]
) -> tuple[Sequence[Migration], Sequence[Migration]]:
    """The older migrations, which are only run, and the newest, which are judged.

    A base runs on an empty database alone, and nothing rolls it back.
    """
    steps = [m for m in without_replaced(migrations) if not is_repeatable(m)]
    cut = max(sum(map(is_base, steps)), len(steps) - settings.newest)
    return steps[:cut], steps[cut:]


def roll_back(settings: Migrations, dsn: Dsn, migration: Migration) -> Rollback:
    """Run a migration, roll it back, and run it again; compares schema and rows each time.

    One that was accepted as irreversible is not tried.
    """
    if migration.version in settings.irreversible:
        return Rollback(migration.version)
    try:
        down = down_of(settings, migration)
    except OneWayError as error:
        return Rollback(migration.version, error.message)
    if down is None:
        return Rollback(migration.version, "it has no rollback script")
    if not_printed(down) or not_printed(up_of(settings, migration)):
        return Rollback(migration.version, untried=True)
    before = _look(dsn, settings)
    try:
        run(dsn, settings, migration)
    except MigrationFails as error:
        return Rollback(migration.version, error.message.partition(" ")[2])
    return _down_and_up(settings, dsn, migration, down, before)


def _down_and_up(
    settings: Migrations,
    dsn: Dsn,
    migration: Migration,
    down: str,
    looked: tuple[Fingerprint, dict[str, TableContent]],
) -> Rollback:
    """Roll back a migration that has just been run; compares with what was there before it."""
    before, rows = looked
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
