"""How large chunks are on disk, and what compression made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.timescale.hypertables import Table
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.timescale import Extension, Version
from readiness.model.errors import NoData

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
    """The function that tells how large chunks were before and after compression.

    Since 2.18 compression is called the columnstore; the old name still works, until it does not.
    """
    return "chunk_columnstore_stats" if version >= _COLUMNSTORE else "chunk_compression_stats"
