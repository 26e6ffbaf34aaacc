"""The tables [databases.NAME.schema] and [databases.NAME.transfers.NAME], and their subjects."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from readiness.config.base import (
    Count,
    File,
    Identifier,
    Model,
    Name,
    Named,
    Positive,
    Table,
    Text,
    tables,
)
from readiness.config.base.area import Find
from readiness.model.secrets import Dsn

Strategy = Literal["full-copy", "dual-write", "table-by-table"]


class RowFloor(Named):
    """How many rows a table must have, and how old the newest may be."""

    min_rows: Count = Field(1, description="rows; no more than these are counted")
    newest_by: Identifier | None = Field(
        None, description="the column with the time a row was written; needs an index"
    )
    max_age_h: Positive = Field(
        24, description="hours; largest age of the newest row, by that column"
    )


class Tenancy(Named):
    """A table in which each tenant may see only its own rows."""

    column: Identifier = Field(..., description="the column with the tenant a row belongs to")
    tenants: Annotated[list[Text], Field(min_length=2)] = Field(
        ..., description="two or more tenants that have rows, as written in the column"
    )
    setting: Text | None = Field(
        None, description="the setting that holds the tenant, as `app.tenant`; `app_dsn` sets it"
    )
    logins: Annotated[dict[Name, Dsn], Field(min_length=2)] | None = Field(
        None, description="instead of a setting: a login for each tenant"
    )


class DatabaseSchema(Model):
    """Which objects, rows and rights a database must have."""

    manifest: File | None = Field(
        None, description="the file that `readiness schema save` writes; keep it with the code"
    )
    ignore: list[Text] = Field(
        default=[], description="patterns of objects that are not compared: `* shop.orders_2026*`"
    )
    objects: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="objects that must exist, as `table shop.orders`, `view shop.recent`"
    )
    extensions: Annotated[dict[Name, Text], Field(min_length=1)] | None = Field(
        None, description="extensions that must be installed, with their version, or `*` for any"
    )
    row_security: Annotated[list[Table], Field(min_length=1)] | None = Field(
        None, description="tables that must be protected by row level security"
    )
    shared: list[Text] = Field(
        default=[],
        description="views, functions and tables that may show rows of all tenants: `shop.totals`",
    )
    app_dsn: Dsn | None = Field(None, description="the role that the application connects as")
    timeout_s: Positive = Field(
        30, description="seconds; limit for the search for orphaned foreign keys"
    )
    max_rows: Count = Field(
        200_000,
        description="rows of a table that are searched for orphaned foreign keys; a sample"
        " of a larger table",
    )
    rows: Annotated[dict[Table, RowFloor], Field(min_length=1)] = Field(
        default={}, description='tables that must have rows, as [databases.NAME.schema.rows."s.t"]'
    )
    tenancy: Annotated[dict[Table, Tenancy], Field(min_length=1)] = Field(
        default={},
        description='tables shared by tenants, as [databases.NAME.schema.tenancy."s.t"]',
    )

    @property
    def lists_objects(self) -> bool:
        """Whether it declares objects, a manifest or extensions."""
        return bool(self.objects or self.manifest or self.extensions)

    @property
    def protects_rows(self) -> bool:
        """Whether it declares tables with row level security."""
        return bool(self.row_security or self.tenancy)


class TablePair(Named):
    """An old table, which gives this table its name, and the new one that replaces it."""

    to: Table = Field(..., description="the new table")
    key: Annotated[dict[Identifier, Identifier], Field(min_length=1)] = Field(
        ..., description='the columns that identify a row: `old = "new"`'
    )
    columns: Annotated[dict[Identifier, Identifier], Field(min_length=1)] = Field(
        ..., description='the columns that must be equal: `old = "new"`'
    )
    changed: Identifier | None = Field(
        None, description="the old table's column with the time a row was written"
    )
    new_changed: Identifier | None = Field(None, description="the same of the new one")
    where: Text = Field(
        "true", description="which rows of the old table are moved, as an SQL condition"
    )
    canary: Text | None = Field(
        None,
        description="a statement that writes one row to the new table, `returning` its key; run in"
        " a transaction that is rolled back, to see whether new rows reach the old table",
    )


class Transfer(Named):
    """Data that is moved while the system runs, in one of the three usual ways."""

    strategy: Strategy = Field(..., description="how the data is moved")
    new_dsn: Dsn | None = Field(
        None, description="the database of the new tables; default: that of the old ones"
    )
    write_dsn: Dsn | None = Field(
        None, description="the role that runs the canary, in the database of the new tables"
    )
    tables: Annotated[dict[Table, TablePair], Field(min_length=1)] = Field(
        ..., description='the tables, as [databases.NAME.transfers.NAME.tables."s.old"]'
    )
    window_s: Positive = Field(
        86_400, description="seconds; rows written within it are compared as recent writes"
    )
    settle_s: Positive = Field(
        2, description="seconds; within them a new row must reach the other table"
    )
    states: Text | None = Field(
        None,
        description="table-by-table: a query for each old table, in the order of the move, and its"
        " state: `waiting`, `copied`, `verified` or `switched`",
    )
    timeout_s: Positive = Field(300, description="seconds that one comparison may take")

    @model_validator(mode="after")
    def _require_states(self) -> Self:
        if self.strategy == "table-by-table" and not self.states:
            raise ValueError("table-by-table needs `states`, a query for the state of each table")
        return self


with warnings.catch_warnings():
    # pydantic keeps a class method `schema` of its first version, which nothing here uses.
    warnings.filterwarnings("ignore", message='Field name "schema"')

    class Database(tables.Database):
        """A PostgreSQL database, with its expected schema and the transfers of its data."""

        conditions: ClassVar[Mapping[str, str]] = {
            "schema.lists_objects": "`schema.objects`, `schema.manifest` or `schema.extensions`",
            "schema.protects_rows": "`schema.row_security` or a table under `schema.tenancy`",
        }

        schema: DatabaseSchema | None = Field(  # type: ignore[assignment]
            None, description="which objects, rows and rights it must have"
        )
        transfers: Annotated[dict[Name, Transfer], Field(min_length=1)] = Field(
            default={},
            description="data that is moved to new tables, as [databases.NAME.transfers.NAME]",
        )


class Config(tables.Config):
    """The tables of schema."""

    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )


@dataclass(frozen=True, slots=True)
class TransferOf:
    """One transfer of a database; named `database.transfer`."""

    name: str
    database: Database
    transfer: Transfer

    @property
    def is_live(self) -> bool:
        """Whether the old tables are written while the data is moved."""
        return self.transfer.strategy != "full-copy"


def _transfers(config: Config) -> list[TransferOf]:
    return [
        TransferOf(f"{database.name}.{transfer.name}", database, transfer)
        for database in config.databases.values()
        for transfer in database.transfers.values()
    ]


# kind -> (where it is declared, as the report names it, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "transfer": ("[databases.NAME.transfers.NAME]", _transfers),
    "live_transfer": (
        "[databases.NAME.transfers.NAME] strategy = dual-write or table-by-table",
        lambda config: [one for one in _transfers(config) if one.is_live],
    ),
}
