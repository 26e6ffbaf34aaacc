"""The tables of performance: tables that store rows, and queries with a promised latency."""

from typing import Annotated, Literal

from pydantic import Field

from readiness.config.base import Body, Count, Model, Name, Path_, Positive, Text, tables
from readiness.model.secrets import Dsn


class WritePath(Model):
    """How the application itself writes rows: one HTTP request that stores many."""

    service: Name = Field(..., description="the [services.NAME] that the request is sent to")
    path: Path_ = Field(..., description="path of the request")
    method: Literal["POST", "PUT"] = Field("POST", description="method of the request")
    body: Body = Field(..., description="the JSON body; `{n}` becomes a number never sent before")
    rows_per_request: Count = Field(..., description="rows that one request stores")
    count_sql: Text = Field(..., description="counts the rows that these requests stored")
    cleanup_sql: Text = Field(..., description="removes exactly those rows")
    dsn: Dsn = Field(..., description="a role that may run both statements")


class Ingest(Model):
    """A table that stores rows at a required rate."""

    name: Name = Field(..., description="its name in the report")
    table: Text = Field(..., description="schema.table; a copy of its shape is written to")
    dsn: Dsn = Field(..., description="a role that may create a schema and read the table")
    min_rows_per_s: Positive = Field(1000, description="fewest rows per second that it must store")
    rows: Count = Field(20_000, description="rows of one COPY")
    samples: Annotated[int, Field(ge=3)] = Field(5, description="number of COPYs that are measured")
    triggers: bool = Field(
        True, description="run the table's insert triggers too; what they write elsewhere stays"
    )
    write_path: WritePath | None = Field(None, description="how the application writes rows")


class Query(Model):
    """A query with a promised latency."""

    name: Name = Field(..., description="its name in the report")
    dsn: Dsn = Field(..., description="the role of the application, or one like it")
    sql: Text = Field(..., description="the statement, with `%s` for each parameter")
    params: Annotated[list[list[str | int | float | bool]], Field(min_length=1)] = Field(
        default=[[]], description="parameter sets, rotated; take them from real traffic"
    )
    max_p95_ms: Positive = Field(100, description="milliseconds; slowest p95 that is promised")
    max_stall_ms: Positive = Field(
        1000, description="milliseconds; slowest single execution, which a percentile hides"
    )
    samples: Annotated[int, Field(ge=59)] = Field(
        400, description="executions measured; 59 are the least that can bound a p95"
    )
    budget_s: Positive = Field(15, description="seconds; a slow query is measured less often")


class Performance(Model):
    """Performance baselines."""

    ingest: Annotated[list[Ingest], Field(min_length=1)] = Field(
        default=[], description="tables that store rows, as [[performance.ingest]]"
    )
    queries: Annotated[list[Query], Field(min_length=1)] = Field(
        default=[], description="queries with a promised latency, as [[performance.queries]]"
    )


class Config(tables.Config):
    """The tables of performance."""

    performance: Performance = Field(Performance(), description="performance baselines")
