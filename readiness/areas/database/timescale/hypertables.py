"""Hypertables: their chunks, and the policies that compress and drop them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import CouldNotMeasure

Kind = Literal["hypertable", "plain table", "no such table"]

# By the catalog and not by a cast to regclass, which needs USAGE on the schema.
_TABLE: Final = """
with asked as (select parse_ident(%s) as part)
select c.oid::bigint, n.nspname, c.relname, h.hypertable_name is not null,
       extract(epoch from d.time_interval)::float8 / 3600
from asked
join pg_namespace n on n.nspname = part[1]
join pg_class c on c.relnamespace = n.oid and c.relname = part[2]
left join timescaledb_information.hypertables h
    on h.hypertable_schema = n.nspname and h.hypertable_name = c.relname
left join timescaledb_information.dimensions d
    on d.hypertable_schema = n.nspname and d.hypertable_name = c.relname
    and d.dimension_number = 1
where cardinality(part) = 2 and c.relkind in ('r', 'p', 'v', 'm', 'f')"""
_CHUNKS: Final = """
select chunk_schema, chunk_name, is_compressed,
       extract(epoch from range_start)::float8, extract(epoch from range_end)::float8,
       extract(epoch from now())::float8
from timescaledb_information.chunks
where hypertable_schema = %s and hypertable_name = %s order by range_start"""
_RUNS: Final = 2
_POLICIES: Final = """
select job_id, scheduled, extract(epoch from schedule_interval)::float8,
       extract(epoch from (config ->> %s)::interval)::float8
from timescaledb_information.jobs
where proc_name = %s and hypertable_schema = %s and hypertable_name = %s order by job_id"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that may be a hypertable.

    Attributes:
        kind: what it is.
        oid: its number in the catalog; 0 if there is none.
        schema: its schema.
        table: its name.
        chunk_interval_h: hours that a new chunk holds; None where its time is a number or a UUID.
    """

    kind: Kind
    oid: int = 0
    schema: str = ""
    table: str = ""
    chunk_interval_h: float | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; times in seconds since 1970, `age_s` in seconds since its newest possible row."""

    schema: str
    name: str
    compressed: bool
    start: float
    end: float
    age_s: float


def look(connection: Connection, name: str) -> Table:
    """What the table `schema.table` is.

    Raises:
        CouldNotMeasure: the name cannot be read; and its kinds, see `postgres.connect`.
    """
    rows = postgres.fetch(connection, _TABLE, [name])
    if not rows:
        return Table("no such table")
    oid, schema, table, is_hypertable, hours = rows[0]
    kind: Kind = "hypertable" if is_hypertable else "plain table"
    return Table(kind, oid, schema, table, hours)


def chunks(connection: Connection, table: Table) -> Sequence[Chunk]:
    """All chunks of a hypertable, the oldest first.

    Raises:
        CouldNotMeasure: its time is a number, of which only the application knows the unit, or
            a UUID; and its kinds, see `postgres.connect`.
    """
    rows = postgres.fetch(connection, _CHUNKS, [table.schema, table.table])
    if any(start is None or end is None for *_, start, end, _ in rows):
        raise CouldNotMeasure(
            "its time is a number or a UUID, so the age of a chunk is not known",
            where=str(table),
            remedy="judge it by a check of your own; set `compressed = false` and no `keep_d`",
        )
    return [
        Chunk(schema, name, compressed, start, end, now - end)
        for schema, name, compressed, start, end, now in rows
    ]


class Policy(Enum):
    """A kind of policy: the procedure that it runs, and the key of the age in its settings."""

    COMPRESSION = ("policy_compression", "compress_after")
    RETENTION = ("policy_retention", "drop_after")


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A policy that is switched on.

    Attributes:
        job: the number of its job.
        every_s: seconds from one run to the next.
        after_s: seconds after which a chunk is due.
    """

    job: int
    every_s: float
    after_s: float

    @property
    def overdue_s(self) -> float:
        """The age of a chunk, in seconds, by which two runs have had the time to do it."""
        return self.after_s + _RUNS * self.every_s

    def is_overdue(self, chunk: Chunk) -> bool:
        """Whether it should have been done to a chunk by now."""
        return chunk.age_s > self.overdue_s


def scheduled(connection: Connection, table: Table, kind: Policy) -> Sequence[Scheduled]:
    """The policies of a kind that are switched on for a hypertable.

    Raises:
        CouldNotMeasure: one goes by when a chunk was made, and not by the age of its rows; and
            its kinds, see `postgres.connect`.
    """
    procedure, key = kind.value
    rows = postgres.fetch(connection, _POLICIES, [key, procedure, table.schema, table.table])
    for job, *_, after_s in rows:
        if after_s is None:
            raise CouldNotMeasure(
                f"the policy of job {job} has no {key}: it goes by when a chunk was made",
                where=str(table),
                remedy=f"give the policy {key}, so that the age of the rows decides",
            )
    return [Scheduled(job, every_s, after_s) for job, on, every_s, after_s in rows if on]
