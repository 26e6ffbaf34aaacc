"""The models of [databases.NAME], with the hypertables of TimescaleDB."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from readiness.areas.database.config_health import HealthLimits, Pooler, Standby
from readiness.areas.database.config_history import Bloat, History, Indexes, Statements
from readiness.config.base import Model, Name, Named, Positive, Share, tables

Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,2}$")]
# The schema is named, so that no search_path decides which table is judged.
Table = Annotated[str, StringConstraints(pattern=r"^\S[^\n]*\.[^\n]*\S$", max_length=200)]


class Hypertable(Named):
    """A table that must be a hypertable."""

    table: Table = Field(..., description="schema.table; in quotes if it has capitals")
    chunk_interval_h: Positive | None = Field(
        None, description="hours that each new chunk covers; default: not judged"
    )
    compressed: bool = Field(True, description="whether older chunks must be compressed")
    compression_min_ratio: Share = Field(
        0.7, description="share of the bytes that compression must save: 0.7 leaves 30 of 100"
    )
    compression_min_coverage: Share = Field(
        1.0, description="share of the due chunks that must be compressed"
    )
    keep_d: Positive | None = Field(
        None, description="days after which rows must be dropped; default: kept for ever"
    )
    growth_max_gb: Positive = Field(
        1.0, description="GB (10^9 bytes) that the rows of 30 days may take on disk"
    )


class Timescale(Model):
    """What is expected of TimescaleDB in a database."""

    min_version: Version | None = Field(
        None, description="oldest version of the extension that may run, as `2.14`"
    )
    hypertables: Annotated[dict[Name, Hypertable], Field(min_length=1)] = Field(
        ..., description="the expected hypertables, as [databases.NAME.timescale.hypertables.NAME]"
    )


class Database(tables.Database):
    """A PostgreSQL database, with what is expected of its health."""

    limits: HealthLimits = Field(HealthLimits(), description="limits of its health")
    standbys: Annotated[dict[Name, Standby], Field(min_length=1)] = Field(
        default={}, description="its streaming standbys, as [databases.NAME.standbys.NAME]"
    )
    pooler: Pooler | None = Field(None, description="the PgBouncer in front of it")
    timescale: Timescale | None = Field(None, description="what is expected of TimescaleDB in it")
    statements: Statements = Field(Statements(), description="how fast its statements must be")
    indexes: Indexes = Field(Indexes(), description="what is expected of its indexes")
    bloat: Bloat = Field(
        Bloat(), description="how much of its tables and indexes may be dead or empty"
    )
    history: History | None = Field(None, description="the snapshots that are taken of it")


class Config(tables.Config):
    """The tables of database."""

    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )
