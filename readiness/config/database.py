"""The models of [databases.NAME]: where a database is, and what its health is held against."""

from pydantic import Field

from readiness.config.base import Named, Positive
from readiness.config.timescale import Timescale
from readiness.secrets import Dsn


class Database(Named):
    """A PostgreSQL database, as a monitoring role sees it."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role; no literal password")
    timeout_s: Positive = Field(10, description="seconds a connection or statement may take")
    timescale: Timescale | None = Field(None, description="what TimescaleDB keeps in it")
