"""The models of [databases.NAME]: where a database is, and what its health is held against."""

from typing import Annotated

from pydantic import Field

from readiness.areas.database.config_health import HealthLimits, Pooler, Standby
from readiness.areas.database.config_history import Bloat, History, Indexes, Statements
from readiness.areas.database.config_timescale import Timescale
from readiness.areas.schema.config import WithSchema
from readiness.areas.schema.config_transfers import Transfer
from readiness.config.base import Name, Positive
from readiness.lib.migrations.config import Migrations
from readiness.model.secrets import Dsn


class Database(WithSchema):
    """A PostgreSQL database, as a monitoring role sees it."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role; no literal password")
    timeout_s: Positive = Field(10, description="seconds a connection or statement may take")
    limits: HealthLimits = Field(HealthLimits(), description="what its health is held against")
    standbys: Annotated[dict[Name, Standby], Field(min_length=1)] = Field(
        default={}, description="its streaming standbys, as [databases.NAME.standbys.NAME]"
    )
    pooler: Pooler | None = Field(None, description="the PgBouncer in front of it")
    timescale: Timescale | None = Field(None, description="what TimescaleDB keeps in it")
    migrations: Migrations | None = Field(None, description="how its schema is changed")
    transfers: Annotated[dict[Name, Transfer], Field(min_length=1)] = Field(
        default={}, description="data that moves to new tables, as [databases.NAME.transfers.NAME]"
    )
    statements: Statements = Field(Statements(), description="how fast its statements must be")
    indexes: Indexes = Field(Indexes(), description="what is expected of its indexes")
    bloat: Bloat = Field(Bloat(), description="how much of its tables and indexes may be empty")
    history: History | None = Field(None, description="the snapshots that are taken of it")
