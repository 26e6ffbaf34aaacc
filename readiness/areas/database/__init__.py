"""Database: whether PostgreSQL is healthy, and stays so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import click

from readiness.areas.database.config import Config, Database, Hypertable, Pooler
from readiness.config.base.area import Area, Configured, Look
from readiness.config.base.discovery import Discover
from readiness.model.errors import CouldNotMeasure, NotPermitted

__all__ = ["AREA", "ExpectedHypertable"]


@dataclass(frozen=True, slots=True)
class ExpectedHypertable:
    """A declared hypertable, and the database it is in."""

    database: Database
    expected: Hypertable

    @property
    def name(self) -> str:
        """`DATABASE.HYPERTABLE`, as two databases may have one of the same name."""
        return f"{self.database.name}.{self.expected.name}"

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The table."""
        return {"TABLE": self.expected.table}


def _hypertables(config: Config) -> list[ExpectedHypertable]:
    return [
        ExpectedHypertable(database, hypertable)
        for database in config.databases.values()
        if database.timescale
        for hypertable in database.timescale.hypertables.values()
    ]


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
    from readiness.areas.database.probes import server
    from readiness.lib import clocks, postgres
    from readiness.lib.postgres.session import looking

    with looking(database) as connection:
        version = connection.info.parameter_status("server_version")
        if not postgres.is_at_least(connection, server.OLDEST):
            raise CouldNotMeasure(
                f"PostgreSQL {version} is not supported; the checks need {server.OLDEST} or later",
                where=database.dsn.address,
                remedy="upgrade the server: pg_upgrade",
            )
        clocks.agree(
            postgres.fetch_value(connection, "select clock_timestamp()"), database.dsn.address
        )
    lacking = server.grants(database)
    if lacking:
        raise NotPermitted(
            "the monitoring role lacks privileges",
            where=database.dsn.address,
            remedy=f"as superuser: {'; '.join(lacking)}",
            grants=lacking,
        )
    return f"{database.dsn.address}, PostgreSQL {version}"


def _snapshot(configured: Configured) -> click.Command:
    from readiness.areas.database.command import snapshot

    return snapshot(configured)


def _discovers() -> Iterator[Discover]:
    from readiness.areas.database import discovery

    yield discovery.database


def _no_standby(config: Config) -> str:
    from readiness.lib.postgres import session

    return session.nowhere(config.databases, "standby", session.STANDBYS)


def _no_timescale(config: Config) -> str:
    from readiness.lib.postgres import session

    return session.nowhere(config.databases, "TimescaleDB", session.TIMESCALE)


AREA: Final = Area(
    "database",
    config=Config,
    extends=(Database,),
    kinds={
        "database": ("[databases.NAME]", lambda c: list(c.databases.values())),
        "hypertable": ("[databases.NAME.timescale.hypertables.NAME]", _hypertables),
    },
    looks=_looks,
    commands={"snapshot": _snapshot},
    absences={
        "database.standby-connected": _no_standby,
        "database.replication-lag": _no_standby,
        "database.timescale": _no_timescale,
        "database.hypertables": _no_timescale,
    },
    discovers=_discovers,
)
