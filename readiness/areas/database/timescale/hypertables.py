"""Whether a table is a hypertable, and the chunks it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from readiness.lib import postgres
from readiness.lib.postgres import Connection
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


def hypertable(connection: Connection, name: str) -> Table:
    """The hypertable `schema.table`.

    Raises:
        NoData: it is none.
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    found = look(connection, name)
    if found.kind != "hypertable":
        raise NoData(
            f"{found.kind}: TimescaleDB keeps nothing of it",
            where=name,
            remedy="see database.timescale-hypertables",
        )
    return found


def chunks(connection: Connection, table: Table) -> Sequence[Chunk]:
    """All chunks of a hypertable, the oldest first.

    Raises:
        CouldNotMeasure: its time is a number, of which only the application knows the unit, or
            a UUID; and its kinds, see `postgres.connect`.
    """
    rows = postgres.fetch(connection, _CHUNKS, [table.schema, table.table])
    if any(start is None or end is None for *_, start, end, _ in rows):
        raise CouldNotMeasure(
            "its time is a number or a UUID: how old a chunk is cannot be told",
            where=str(table),
            remedy="judge it by a check of your own; set `compressed = false` and no `keep_d`",
        )
    return [
        Chunk(schema, name, compressed, start, end, now - end)
        for schema, name, compressed, start, end, now in rows
    ]
