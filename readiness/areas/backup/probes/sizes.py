"""How large a database's tables are: what its backups are held against."""

from typing import Final

from readiness.config.base.tables import Database
from readiness.lib.postgres import connect, fetch_value
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

# Without indexes, which a dump does not hold; one statement over the catalogue, no rows read.
_TABLES: Final = """
    select coalesce(sum(pg_table_size(c.oid)), 0)::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname !~ '^readiness_'
        and n.nspname <> 'information_schema'"""


def size_of_tables(database: Database) -> Measurement:
    """The size on disk of all tables of a database, without indexes.

    Raises:
        NoData: it has no table with anything in it.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        size = int(fetch_value(connection, _TABLES))
    source = f"pg_table_size of all tables of {database.dsn.address}"
    if not size:
        raise NoData(
            "the database has no table with anything in it",
            where=database.dsn.address,
            remedy="is it the right database? see `database` in [backup.NAME]",
        )
    return Measurement("size of the tables", size, "bytes", source)
