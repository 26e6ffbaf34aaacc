"""Schema: whether a database has the schema of the release, and can be changed safely."""

from typing import Final

import click

from readiness.areas.schema.config import KINDS, Config, Database
from readiness.config.base.area import Area, Configured

__all__ = ["AREA"]


def _schema(configured: Configured) -> click.Command:
    from readiness.areas.schema.manifest import schema

    return schema(configured)


AREA: Final = Area(
    "schema",
    config=Config,
    extends=(Database,),
    kinds=KINDS,
    implied_by=("database",),
    commands={"schema": _schema},
)
