"""How large chunks are: what compression saved, and what a month of rows takes.

A month is measured by complete chunks, and never extrapolated from a table's size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.timescale.hypertables import Chunk, Table
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.timescale import Extension, Version
from readiness.model.errors import NoData

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
        known: of how many it is known how large they were before.
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
            NoData: of no compressed chunk is it known how large it was.
        """
        if not self.before:
            raise NoData(
                f"of none of {self.chunks} compressed chunks is it known how large it was before",
                remedy="rows that were written compressed have no size before: compare by hand",
            )
        return 1 - self.after / self.before


def saved(connection: Connection, extension: Extension, table: Table) -> Saved:
    """What compression saved, as TimescaleDB noted it when it compressed each chunk.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    function = sql.Identifier(extension.schema, chunk_sizes_function(extension.release))
    row = postgres.fetch(connection, _SAVED.format(function), [table.oid])[0]
    return Saved(*map(int, row))


def on_disk(
    connection: Connection, extension: Extension, table: Table
) -> Mapping[tuple[str, str], int]:
    """Bytes of each chunk by schema and name: rows, indexes, TOAST and what is compressed.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    function = sql.Identifier(extension.schema, "chunks_detailed_size")
    rows = postgres.fetch(connection, _ON_DISK.format(function), [table.oid])
    return {(schema, name): int(size) for schema, name, size in rows if size is not None}


def chunk_sizes_function(version: Version) -> str:
    """The function that returns the sizes of chunks before and after compression.

    Since 2.18 compression is called the columnstore; the old name still works, until it does not.
    """
    return "chunk_columnstore_stats" if version >= _COLUMNSTORE else "chunk_compression_stats"


@dataclass(frozen=True, slots=True)
class Growth:
    """What rows take on disk.

    Attributes:
        bytes_per_month: bytes that the rows of 30 days take.
        chunks: how many chunks it is of.
        span_s: seconds that they cover, with the gaps between them.
    """

    bytes_per_month: float
    chunks: int
    span_s: float


def settled(chunks: Sequence[Chunk], after_s: float) -> list[Chunk]:
    """The chunks that no row comes to, and that have the size they are to keep.

    The oldest is left out: the table may have begun in the middle of it.

    Args:
        chunks: all there are.
        after_s: the least age, in seconds: when they are compressed, or 0 where they are not.
    """
    oldest = min((chunk.start for chunk in chunks), default=0.0)
    return [chunk for chunk in chunks if chunk.age_s > after_s and chunk.start > oldest]


def growth(chunks: Sequence[Chunk], sizes: Mapping[tuple[str, str], int], where: str) -> Growth:
    """What a month of rows takes, by the newest month of settled chunks.

    Args:
        chunks: those that are settled.
        sizes: bytes of each chunk, by schema and name.
        where: the hypertable, for an error.

    Raises:
        NoData: fewer than two times are covered, less than a day, or a size is not known.
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
