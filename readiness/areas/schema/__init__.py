"""Schema: whether a database has the schema of the release, and can be changed safely."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import click

from readiness.areas.schema.config import KINDS, Config, Database
from readiness.config.base.area import Area, Configured, Look
from readiness.config.base.discovery import Discover
from readiness.model.errors import NotPermitted

__all__ = ["AREA"]


def _schema(configured: Configured) -> click.Command:
    from readiness.areas.schema.manifest import schema

    return schema(configured)


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    from readiness.servers import binaries, programs

    for database in config.databases.values():
        yield f"tables of {database.name}", partial(_readable, database)
    tried = [d.migrations for d in config.databases.values() if d.migrations]
    if any(migrations.lint for migrations in tried):
        yield "squawk (migrations)", partial(programs.find, programs.SQUAWK)
    if any(migrations.scratch_dsn is None for migrations in tried):
        yield "PostgreSQL programs (migrations)", lambda: str(binaries.find_binaries().folder)


def _readable(database: Database) -> str:
    from readiness.areas.schema.probes import rights

    if lacking := rights.grants(database):
        raise NotPermitted(
            "the monitoring role cannot read every row",
            where=database.dsn.address,
            remedy=f"as superuser: {'; '.join(lacking)}",
            grants=lacking,
        )
    return f"{database.dsn.address}, the role reads them all"


def _discovers() -> Iterator[Discover]:
    from readiness.areas.schema import discovery

    yield from (discovery.objects, discovery.migrations)


def _no_row_security(config: Config) -> str:
    from readiness.lib.postgres import session

    return session.nowhere(config.databases, "row security", session.ROW_SECURITY)


AREA: Final = Area(
    "schema",
    config=Config,
    extends=(Database,),
    kinds=KINDS,
    looks=_looks,
    implied_by=("database",),
    commands={"schema": _schema},
    absences={
        "schema.row-security": _no_row_security,
        "schema.row-security-writes": _no_row_security,
    },
    discovers=_discovers,
)
