"""The models of [databases.NAME.schema]: which objects, rows and rights a database must have."""

import warnings
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from readiness.areas.schema.config_transfers import Transfer
from readiness.config.base import (
    Count,
    Identifier,
    Model,
    Name,
    Named,
    Positive,
    Table,
    Text,
    tables,
)
from readiness.model.secrets import Dsn


class RowFloor(Named):
    """How many rows a table must have: one that was erased and made again is empty."""

    min_rows: Count = Field(1, description="rows; counting stops there")
    newest_by: Identifier | None = Field(
        None, description="the column that tells when a row was written; it needs an index"
    )
    max_age_h: Positive = Field(24, description="hours; age of the newest row, by that column")


class Tenancy(Named):
    """A table in which each tenant may see its own rows alone."""

    column: Identifier = Field(..., description="the column that tells whose a row is")
    tenants: Annotated[list[Text], Field(min_length=2)] = Field(
        ..., description="two tenants or more that have rows, as the column has them"
    )
    setting: Text | None = Field(
        None, description="the setting that tells the tenant, as `app.tenant`; by `app_dsn`"
    )
    logins: Annotated[dict[Name, Dsn], Field(min_length=2)] | None = Field(
        None, description="instead of a setting: a login for each tenant"
    )


class DatabaseSchema(Model):
    """What the database must consist of, and who may do what in it."""

    manifest: Text | None = Field(
        None, description="the file that `readiness schema save` writes; keep it with the code"
    )
    ignore: list[Text] = Field(
        default=[], description="patterns of objects that may come and go: `* shop.orders_2026*`"
    )
    objects: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="objects that must be there, as `table shop.orders`, `view shop.recent`"
    )
    extensions: Annotated[dict[Name, Text], Field(min_length=1)] | None = Field(
        None, description="extensions that must be there: the version, `*` for any"
    )
    row_security: Annotated[list[Table], Field(min_length=1)] | None = Field(
        None, description="tables whose rows must be guarded by row level security"
    )
    app_dsn: Dsn | None = Field(None, description="the role that the application connects as")
    timeout_s: Positive = Field(
        30, description="seconds that reading one table for orphans may take"
    )
    max_rows: Count = Field(
        200_000, description="rows of a referencing table that are looked at for orphans"
    )
    rows: Annotated[dict[Table, RowFloor], Field(min_length=1)] = Field(
        default={}, description='tables that must have rows, as [databases.NAME.schema.rows."s.t"]'
    )
    tenancy: Annotated[dict[Table, Tenancy], Field(min_length=1)] = Field(
        default={},
        description='tables of tenants, as [databases.NAME.schema.tenancy."s.t"]',
    )


with warnings.catch_warnings():
    # pydantic keeps a class method `schema` of its first version, which nothing here uses.
    warnings.filterwarnings("ignore", message='Field name "schema"')

    class Database(tables.Database):
        """A PostgreSQL database, with what it must consist of and how that is changed."""

        schema: DatabaseSchema | None = Field(  # type: ignore[assignment]
            None, description="which objects, rows and rights it must have"
        )
        transfers: Annotated[dict[Name, Transfer], Field(min_length=1)] = Field(
            default={},
            description="data that moves to new tables, as [databases.NAME.transfers.NAME]",
        )


class Config(tables.Config):
    """The tables of schema."""

    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )
