"""Makes a table a hypertable like another one: rows then go into chunks, as they do there."""

from collections.abc import Iterator
from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, fetch, timescale

# Of a table by its number; none where it is a plain one.
_DIMENSIONS: Final = """
select d.column_name, d.time_interval::text, d.integer_interval, d.num_partitions
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join timescaledb_information.dimensions d
    on d.hypertable_schema = n.nspname and d.hypertable_name = c.relname
where c.oid = %s order by d.dimension_number"""


def like(connection: Connection, source: int, table: sql.Identifier) -> Iterator[sql.Composed]:
    """The statements that make an empty table a hypertable as the table `source` is one.

    There are none where that is a plain table, or TimescaleDB is not there.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    found = timescale.installed(connection)
    if found is None:
        return
    name = sql.Literal(table.as_string(connection))
    dimensions = fetch(connection, _DIMENSIONS, [source])
    for number, (column, interval, length, partitions) in enumerate(dimensions):
        function = "add_dimension" if number else "create_hypertable"
        yield sql.SQL("select {}({}::regclass, {}, {})").format(
            sql.Identifier(found.schema, function),
            name,
            sql.Literal(column),
            sql.SQL(", ").join(_arguments(number == 0, interval, length, partitions)),
        )


def _arguments(
    first: bool, interval: str | None, length: int | None, partitions: int | None
) -> Iterator[sql.Composable]:
    if partitions is not None:
        yield sql.SQL("number_partitions => {}").format(sql.Literal(partitions))
    elif interval is not None:
        yield sql.SQL("chunk_time_interval => {}::interval").format(sql.Literal(interval))
    else:
        yield sql.SQL("chunk_time_interval => {}::bigint").format(sql.Literal(length))
    if first:
        yield sql.SQL("create_default_indexes => false")
