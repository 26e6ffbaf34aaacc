"""The models of [databases.NAME.transfers.NAME]: data that moves from old tables to new ones."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from readiness.config.base import Identifier, Named, Positive, Table, Text
from readiness.model.secrets import Dsn

Strategy = Literal["full-copy", "dual-write", "table-by-table"]


class TablePair(Named):
    """An old table, by whose name it stands here, and the new one that takes its place."""

    to: Table = Field(..., description="the new table")
    key: Annotated[dict[Identifier, Identifier], Field(min_length=1)] = Field(
        ..., description='the columns that tell the rows apart: `old = "new"`'
    )
    columns: Annotated[dict[Identifier, Identifier], Field(min_length=1)] = Field(
        ..., description='the columns that must be equal: `old = "new"`'
    )
    changed: Identifier | None = Field(
        None, description="the old table's column that tells when a row was written"
    )
    new_changed: Identifier | None = Field(None, description="the same of the new one")
    where: Text = Field("true", description="which rows of the old table are moved, as SQL")
    canary: Text | None = Field(
        None,
        description="writes one row to the new table, `returning` its key; run in a transaction"
        " that is rolled back. It tells whether new rows reach the old table",
    )


class Transfer(Named):
    """A move of data while the system runs, in one of the usual three ways."""

    strategy: Strategy = Field(..., description="how it is done")
    new_dsn: Dsn | None = Field(None, description="where the new tables are; default: with the old")
    write_dsn: Dsn | None = Field(
        None, description="the role that the canary writes as, where the new tables are"
    )
    tables: Annotated[dict[Table, TablePair], Field(min_length=1)] = Field(
        ..., description='the tables, as [databases.NAME.transfers.NAME.tables."s.old"]'
    )
    window_s: Positive = Field(
        86_400, description="seconds; rows written since are judged as being in step"
    )
    settle_s: Positive = Field(
        2, description="seconds in which a row that was just written must reach the other side"
    )
    states: Text | None = Field(
        None,
        description="table-by-table: gives each old table, in the order of the move, and its state:"
        " `waiting`, `copied`, `verified` or `switched`",
    )
    timeout_s: Positive = Field(300, description="seconds that one comparison may take")

    @model_validator(mode="after")
    def _tells_its_states(self) -> Self:
        if self.strategy == "table-by-table" and not self.states:
            raise ValueError("table-by-table needs `states`, which tells how far it has come")
        return self
