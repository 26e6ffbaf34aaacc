"""`readiness snapshot`: stores the counters of the databases; cron runs it each hour."""

import sys
from pathlib import Path

import click

from readiness.areas.database.config import Config, Database, History
from readiness.areas.database.probes import bloat, counters
from readiness.areas.database.snapshots import Snapshot, Store
from readiness.config.base.area import Configured
from readiness.lib import postgres
from readiness.lib.options import config_option
from readiness.model.errors import CouldNotMeasure, UsageError, did_you_mean

_HOUR_S = 3600.0
# A little less than a day: an hourly job that starts some seconds late still finds it due.
_BLOAT_EVERY_S = 23.5 * _HOUR_S


def snapshot(configured: Configured) -> click.Command:
    """The command `snapshot`."""

    @click.command(name="snapshot", help="Store a snapshot of the database counters.")
    @config_option
    @click.option("--database", "names", multiple=True, metavar="NAME", help="Only of this one.")
    def command(config: Path | None, names: tuple[str, ...]) -> None:
        sys.exit(run(configured(config), names))

    return command


def run(config: Config, names: tuple[str, ...]) -> int:
    """Take a snapshot of each database that has a history; gives the exit code.

    A failure is reported on stderr and makes it 2; the other databases are stored.

    Raises:
        UsageError: there is no such database, or none has a history.
        ConfigError: the configuration has mistakes.
    """
    failed = False
    for database in _chosen(list(config.databases.values()), names):
        assert database.history  # noqa: S101 - `_chosen` chose only those
        try:
            click.echo(f"{database.name}: {_taken(database, database.history)}")
        except CouldNotMeasure as error:
            click.echo(f"readiness: {database.name}: {error.sentence}", err=True)
            failed = True
    return 2 if failed else 0


def _chosen(databases: list[Database], names: tuple[str, ...]) -> list[Database]:
    with_history = {database.name: database for database in databases if database.history}
    if not with_history:
        raise UsageError(
            "no database has a history",
            remedy="declare [databases.NAME.history] path in readiness.toml",
        )
    for name in names:
        if name not in with_history:
            hint = did_you_mean(name, with_history)
            raise UsageError(
                f"there is no [databases.{name}.history]{f'. {hint}' if hint else ''}",
                where="--database",
                remedy=f"use one of: {', '.join(sorted(with_history))}",
            )
    return [database for name, database in with_history.items() if not names or name in names]


def _taken(database: Database, history: History) -> str:
    """Take and store; the counters are stored even where bloat cannot be measured."""
    store = Store(Path(history.path))
    with postgres.connect(
        database.dsn, timeout_s=database.timeout_s, total_s=20 * database.timeout_s
    ) as connection:
        usage = counters.take(connection)
        store.append(usage, keep_days=history.keep_days)
        summary = _summary(usage)
        newest = store.newest_bloat(usage.server)
        if newest and usage.at - newest.at < _BLOAT_EVERY_S:
            return summary
        found = bloat.take(connection, database.bloat)
        store.append(found, keep_days=history.keep_days)
    return f"{summary}; bloat of {len(found.objects)} large tables and indexes"


def _summary(usage: Snapshot) -> str:
    statements = f"{len(usage.statements)} statements"
    if not usage.statements:
        statements += " (they cannot be read)"
    return f"{len(usage.indexes)} indexes, {len(usage.tables)} tables, {statements}"
