"""How many rows tables have, how old they are and how much room they take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, fetch, fetch_value, source_of
from readiness.lib.postgres.batches import fix_settings, need_room
from readiness.lib.postgres.unrecorded import ALL_ROWS, seeing_all_rows
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_HOUR_S: Final = 3600.0
_MB: Final = 1024 * 1024
_EXISTS: Final = "select to_regclass(%s) is not null"
_SIZE: Final = "select coalesce(pg_table_size(to_regclass(%s)), 0)"


@contextmanager
def all_rows(connection: Connection) -> Iterator[None]:
    """A read-only transaction in which a policy that hides rows is an error.

    Rows hidden by row level security would otherwise count as missing.
    """
    with seeing_all_rows(connection), connection.transaction(force_rollback=True):
        fix_settings(connection, ALL_ROWS)
        yield


def named(table: str) -> sql.Identifier:
    """The identifier of `schema.table`."""
    return sql.Identifier(*table.split(".", 1))


def text_of(connection: Connection, table: str) -> str:
    """The same as text, such as for `to_regclass`."""
    return named(table).as_string(connection)


def rows_up_to(connection: Connection, table: str, most: int) -> Measurement:
    """How many rows a table has, counted up to `most`; 0 where the table does not exist."""
    name = f"rows of {table}, counted up to {most}"
    if not fetch_value(connection, _EXISTS, [text_of(connection, table)]):
        return Measurement(name, 0, "count", f"to_regclass('{table}')")
    statement = sql.SQL("select count(*) from (select from {} limit {}) counted").format(
        named(table), sql.Literal(most)
    )
    need_room(connection, [text_of(connection, table)])
    with all_rows(connection):
        rows = int(fetch_value(connection, statement))
    return Measurement(name, rows, "count", source_of(statement, connection))


def age_of_newest(connection: Connection, table: str, column: str) -> Measurement:
    """Hours since the newest row was written, by one of its columns."""
    statement = sql.SQL(
        "select (extract(epoch from now() - max({column})) / {hour})::float8 from {table}"
    ).format(column=sql.Identifier(column), hour=sql.Literal(_HOUR_S), table=named(table))
    need_room(connection, [text_of(connection, table)])
    with all_rows(connection):
        found = fetch(connection, statement)
    source = source_of(statement, connection)
    if not found or found[0][0] is None:
        raise NoData(f"{column} of {table} is empty in all rows", where=source)
    return Measurement(f"age of the newest row of {table}", float(found[0][0]), "h", source)


def size_of(connection: Connection, table: str, version: str) -> Measurement:
    """MB of a table that a migration rewrites; 0 where the table does not exist."""
    size = int(fetch_value(connection, _SIZE, [text_of(connection, table)])) / _MB
    return Measurement(f"size of {table}, rewritten by {version}", size, "MB", "pg_table_size")
