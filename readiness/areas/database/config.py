"""The models of [databases.NAME]: where a database is, and what its health is held against."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from readiness.areas.database.config_health import HealthLimits, Pooler, Standby
from readiness.areas.database.config_history import Bloat, History, Indexes, Statements
from readiness.areas.database.config_timescale import Timescale
from readiness.config.base import Name, tables


class Database(tables.Database):
    """A PostgreSQL database, with what is expected of its health."""

    limits: HealthLimits = Field(HealthLimits(), description="what its health is held against")
    standbys: Annotated[dict[Name, Standby], Field(min_length=1)] = Field(
        default={}, description="its streaming standbys, as [databases.NAME.standbys.NAME]"
    )
    pooler: Pooler | None = Field(None, description="the PgBouncer in front of it")
    timescale: Timescale | None = Field(None, description="what TimescaleDB keeps in it")
    statements: Statements = Field(Statements(), description="how fast its statements must be")
    indexes: Indexes = Field(Indexes(), description="what is expected of its indexes")
    bloat: Bloat = Field(Bloat(), description="how much of its tables and indexes may be empty")
    history: History | None = Field(None, description="the snapshots that are taken of it")


class Config(tables.Config):
    """The tables of database."""

    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )
