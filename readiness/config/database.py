"""The models of [databases.NAME]: where a database is, and what its health is held against."""

from typing import Annotated

from pydantic import Field

from readiness.config.base import Name, Positive
from readiness.config.database_schema import WithSchema
from readiness.config.migrations import Migrations
from readiness.config.transfers import Transfer
from readiness.secrets import Dsn


class Database(WithSchema):
    """A PostgreSQL database, as a monitoring role sees it."""

    dsn: Dsn = Field(..., description="where it is, and the monitoring role; no literal password")
    timeout_s: Positive = Field(10, description="seconds a connection or statement may take")
    migrations: Migrations | None = Field(None, description="how its schema is changed")
    transfers: Annotated[dict[Name, Transfer], Field(min_length=1)] = Field(
        default={}, description="data that moves to new tables, as [databases.NAME.transfers.NAME]"
    )
