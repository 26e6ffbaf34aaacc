"""Database: whether PostgreSQL is healthy, and stays so."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import click

from readiness.areas.database.config import Config, Database
from readiness.areas.database.config_health import Pooler
from readiness.areas.database.subjects import KINDS
from readiness.config.base.area import Area, Configured, Look
from readiness.model.errors import CouldNotMeasure

__all__ = ["AREA"]


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    for database in config.databases.values():
        yield f"database {database.name}", partial(_database, database)
        for standby in database.standbys.values():
            follower = database.model_copy(update={"dsn": standby.dsn})
            yield f"standby {standby.name}", partial(_database, follower)
        if database.pooler:
            yield f"pooler of {database.name}", partial(_pooler, database.pooler)


def _pooler(settings: Pooler) -> str:
    from readiness.areas.database.probes import sessions

    return f"{settings.dsn.address}, serves {', '.join(sessions.pools(settings).databases)}"


def _database(database: Database) -> str:
    from readiness.lib import postgres

    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        version = connection.info.parameter_status("server_version")
        may = postgres.fetch_value(
            connection, "select pg_has_role(current_user, 'pg_monitor', 'member')"
        )
    if not may:
        raise CouldNotMeasure(
            "the role is not a member of pg_monitor",
            where=database.dsn.address,
            remedy="grant pg_monitor to the role",
        )
    return f"{database.dsn.address}, PostgreSQL {version}"


def _snapshot(configured: Configured) -> click.Command:
    from readiness.areas.database.command import snapshot

    return snapshot(configured)


AREA: Final = Area(
    "database",
    config=Config,
    extends=(Database,),
    kinds=KINDS,
    looks=_looks,
    commands={"snapshot": _snapshot},
)
