"""The models of [databases.NAME]: where a database is, and what its health is held against."""

from pydantic import Field

from readiness.config.base import Named, Positive
from readiness.config.database_history import Bloat, History, Indexes, Statements
from readiness.secrets import Dsn


class Database(Named):
    """A PostgreSQL database, as a monitoring role sees it."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role; no literal password")
    timeout_s: Positive = Field(10, description="seconds a connection or statement may take")
    statements: Statements = Field(Statements(), description="how fast its statements must be")
    indexes: Indexes = Field(Indexes(), description="what is expected of its indexes")
    bloat: Bloat = Field(Bloat(), description="how much of its tables and indexes may be empty")
    history: History | None = Field(None, description="the snapshots that are taken of it")
