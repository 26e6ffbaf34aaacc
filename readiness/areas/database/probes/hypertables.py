"""Hypertables: their chunks, the policies that compress and drop them, and what they take on disk.

By the views of TimescaleDB 2.11 to 2.29. A month is measured by complete chunks, and never
extrapolated from a table's size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from psycopg import sql

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.timescale import Extension, Version
from readiness.model.errors import CouldNotMeasure, NoData

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
        oid: 0 if there is no such table.
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
    """What the table `schema.table` is."""
    rows = postgres.fetch(connection, _TABLE, [name])
    if not rows:
        return Table("no such table")
    oid, schema, table, is_hypertable, hours = rows[0]
    kind: Kind = "hypertable" if is_hypertable else "plain table"
    return Table(kind, oid, schema, table, hours)


def chunks(connection: Connection, table: Table) -> Sequence[Chunk]:
    """All chunks of a hypertable, the oldest first.

    Raises:
        CouldNotMeasure: its time is a number, whose unit only the application knows, or
            a UUID.
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
        CouldNotMeasure: one goes by when a chunk was made, and not by the age of its rows.
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


_DAY_S: Final = 86_400.0
MONTH_S: Final = 30 * _DAY_S
_FEWEST: Final = 2
_COLUMNSTORE: Final[Version] = (2, 18, 0)
_SAVED: Final = sql.SQL("""
select count(*) filter (where compression_status = 'Compressed'),
       count(*) filter (where compression_status = 'Compressed'
                        and before_compression_total_bytes > 0),
       coalesce(sum(before_compression_total_bytes)
                filter (where compression_status = 'Compressed'
                        and before_compression_total_bytes > 0), 0)::bigint,
       coalesce(sum(after_compression_total_bytes)
                filter (where compression_status = 'Compressed'
                        and before_compression_total_bytes > 0), 0)::bigint
from {}(%s::bigint::oid::regclass)""")
_ON_DISK: Final = sql.SQL("""
select chunk_schema, chunk_name, total_bytes from {}(%s::bigint::oid::regclass)""")


@dataclass(frozen=True, slots=True)
class Saved:
    """What compression made of the chunks that are compressed now.

    Attributes:
        chunks: how many are compressed.
        known: for how many the size before is known.
        before: bytes of those before, with indexes and TOAST.
        after: bytes of those after.
    """

    chunks: int
    known: int
    before: int
    after: int

    @property
    def ratio(self) -> float:
        """The share of the bytes that were saved.

        Raises:
            NoData: the size before compression is not known for any chunk.
        """
        if not self.before:
            raise NoData(
                f"the size before compression is not known for any of {self.chunks} chunks",
                remedy="rows that were written compressed have no size before: compare by hand",
            )
        return 1 - self.after / self.before


def saved(connection: Connection, extension: Extension, table: Table) -> Saved:
    """What compression saved, as TimescaleDB noted it when it compressed each chunk."""
    function = sql.Identifier(extension.schema, chunk_sizes_function(extension.release))
    row = postgres.fetch(connection, _SAVED.format(function), [table.oid])[0]
    return Saved(*map(int, row))


def on_disk(
    connection: Connection, extension: Extension, table: Table
) -> Mapping[tuple[str, str], int]:
    """Bytes of each chunk by schema and name: rows, indexes, TOAST and what is compressed."""
    function = sql.Identifier(extension.schema, "chunks_detailed_size")
    rows = postgres.fetch(connection, _ON_DISK.format(function), [table.oid])
    return {(schema, name): int(size) for schema, name, size in rows if size is not None}


def chunk_sizes_function(version: Version) -> str:
    """The function that returns the sizes of chunks before and after compression.

    Since 2.18 compression is called columnstore, and the old name is deprecated.
    """
    return "chunk_columnstore_stats" if version >= _COLUMNSTORE else "chunk_compression_stats"


@dataclass(frozen=True, slots=True)
class Growth:
    """What the rows of 30 days take on disk, by chunks that cover `span_s`, gaps included."""

    bytes_per_month: float
    chunks: int
    span_s: float


def settled(chunks: Sequence[Chunk], after_s: float) -> list[Chunk]:
    """The chunks that take no more rows and have their final size.

    That is at the age of `after_s`, when they are compressed; 0 where they are not. The oldest is
    left out: the table may have begun in the middle of it.
    """
    oldest = min((chunk.start for chunk in chunks), default=0.0)
    return [chunk for chunk in chunks if chunk.age_s > after_s and chunk.start > oldest]


def growth(chunks: Sequence[Chunk], sizes: Mapping[tuple[str, str], int], where: str) -> Growth:
    """What a month of rows takes, by the newest month of settled chunks.

    Raises:
        NoData: they cover fewer than two chunk intervals, or less than a day; or a size is unknown.
    """
    newest = max((chunk.end for chunk in chunks), default=0.0)
    counted = [chunk for chunk in chunks if chunk.end > newest - MONTH_S]
    span_s = newest - min((chunk.start for chunk in counted), default=newest)
    if len({chunk.start for chunk in counted}) < _FEWEST or span_s < _DAY_S:
        raise NoData(
            f"only {len(counted)} complete chunks, of {span_s / 3600:.3g} h; two of a day together"
            " required to judge a month",
            where=where,
            remedy="wait until there are more; the oldest chunk and those still to be compressed"
            " do not count",
        )
    missing = [chunk.name for chunk in counted if (chunk.schema, chunk.name) not in sizes]
    if missing:
        raise NoData(f"the size of {missing[0]} is not known", where=where, remedy="run it again")
    total = sum(sizes[chunk.schema, chunk.name] for chunk in counted)
    return Growth(total / span_s * MONTH_S, len(counted), span_s)
