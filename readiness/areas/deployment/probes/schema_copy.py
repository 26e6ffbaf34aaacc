"""A scratch database with the schema that the release will find: the target's, and what is due."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib.migrations.model import Migration
from readiness.lib.migrations.reading import migrations_of, state_of, version_table
from readiness.lib.migrations.replay import run
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.postgres import connect
from readiness.lib.postgres.batches import need_room_for_dump
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.client import Ended, run_program

_TIMEOUT_S: Final = 120.0
# Whoever changes the schema now holds a lock: the target must not be made to wait for us.
_DUMP: Final = ("--format=custom", "--lock-wait-timeout=5000")


@contextmanager
def copied(server: Scratch, database: Database, dsn: Dsn) -> Iterator[tuple[Dsn, list[Migration]]]:
    """The schema without rows, after the migrations that are not applied yet; and which these are.

    The table of what was applied keeps its rows: there are releases that look into it.

    Args:
        server: where it goes.
        database: whose schema it is.
        dsn: a role that may dump it.

    Raises:
        CouldNotMeasure: the schema cannot be dumped or restored, the server has too few locks left
            for that, or a migration fails on it.
    """
    due = _due(database)
    with connect(dsn, timeout_s=database.timeout_s) as connection:
        need_room_for_dump(connection)
    with server.database() as scratch, tempfile.TemporaryDirectory(prefix="readiness-") as folder:
        _transfer(dsn, scratch, Path(folder) / "schema", ["--schema-only"])
        if database.migrations:
            table = version_table(database.migrations)
            options = ["--data-only", f"--table={table}"]
            _transfer(dsn, scratch, Path(folder) / "versions", options)
            for migration in due:
                run(scratch, database.migrations, migration)
        yield scratch, due


def _due(database: Database) -> list[Migration]:
    settings = database.migrations
    if settings is None:
        return []
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        state, _ = state_of(connection, settings)
    return [step for step in migrations_of(settings) if step.version in state.pending]


def _transfer(source: Dsn, scratch: Dsn, file: Path, options: list[str]) -> None:
    binaries = find_binaries()
    with file.open("wb") as output:
        dumped = run_program(
            binaries, "pg_dump", [*_DUMP, *options], timeout_s=_TIMEOUT_S, dsn=source,
            output=output,
        )  # fmt: skip
    _must_be_clean(dumped, f"pg_dump {' '.join(options)} of {source.address}", binaries)
    restored = run_program(binaries, "pg_restore", [str(file)], timeout_s=_TIMEOUT_S, dsn=scratch)
    _must_be_clean(restored, "pg_restore into the scratch database", binaries)


def _must_be_clean(ended: Ended, what: str, binaries: Binaries) -> None:
    if not ended.clean:
        raise CouldNotMeasure(
            f"the schema cannot be copied, {what} ended with {ended}",
            where=f"PostgreSQL {binaries.version} in {binaries.folder}",
            remedy="let the role read every table (`dsn` in [deployment.compatibility]); name"
            " programs of the server's release in READINESS_POSTGRES_BIN, and a scratch server with"
            " its extensions in [databases.NAME.migrations] scratch_dsn",
        )
