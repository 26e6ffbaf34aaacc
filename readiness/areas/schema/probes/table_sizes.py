"""How large the tables are that a migration writes anew."""

from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, fetch_value
from readiness.model.measurement import Measurement

_MB: Final = 1024 * 1024
_SIZE: Final = "select coalesce(pg_table_size(to_regclass(%s)), 0)"


def size_of(connection: Connection, table: str, version: str) -> Measurement:
    """The size of a table that a migration rewrites, in MB; 0 where there is no such table.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    name = sql.Identifier(*table.split(".", 1)).as_string(connection)
    size = int(fetch_value(connection, _SIZE, [name])) / _MB
    return Measurement(f"size of {table}, which {version} rewrites", size, "MB", "pg_table_size")
