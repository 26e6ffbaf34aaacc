"""How much of a database's time one role takes, by its own statistics of statements."""

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.config.base.tables import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.model.errors import NoData

_FROM_13: Final = 130000
_FROM_14: Final = 140000
_SCHEMA: Final = """
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'"""
_TIMES: Final = sql.SQL("""
select coalesce(sum(total_exec_time) filter (where userid = r.oid), 0) / 1000,
       coalesce(sum(total_exec_time), 0) / 1000
from {}.pg_stat_statements(false)
cross join (select oid from pg_roles where rolname = current_user) r
where dbid = (select oid from pg_database where datname = current_database())""")
_SINCE: Final = sql.SQL(
    "select extract(epoch from now() - stats_reset)::float8 from {}.pg_stat_statements_info"
)


@dataclass(frozen=True, slots=True)
class Times:
    """Time spent in statements since the statistics were reset.

    Attributes:
        role: whose statements `own_s` counts.
        own_s: seconds that the statements of this role took.
        all_s: seconds that those of all roles took.
        elapsed_s: seconds since the reset.
    """

    role: str
    own_s: float
    all_s: float
    elapsed_s: float

    @property
    def share(self) -> float:
        """Its part of the time of all statements; of the time that passed, if that is more.

        In a database where nothing else happens, monitoring is all that happens, however little.
        """
        return self.own_s / max(self.all_s, self.elapsed_s)


def times(database: Database) -> Times:
    """The time that the role of a database's `dsn` took there.

    Raises:
        NoData: pg_stat_statements is not there, has counted nothing, or the server is too old.
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        schema = _schema(connection, database)
        own, total = postgres.fetch(connection, _TIMES.format(schema))[0]
        if total <= 0:
            raise NoData(
                "pg_stat_statements has counted nothing",
                where=database.dsn.address,
                remedy="run the gate once the database has had some work",
            )
        return Times(
            role=str(postgres.fetch_value(connection, "select current_user")),
            own_s=float(own),
            all_s=float(total),
            elapsed_s=_elapsed_s(connection, schema),
        )


def _schema(connection: Connection, database: Database) -> sql.Identifier:
    found = postgres.fetch(connection, _SCHEMA)
    if not found or connection.info.server_version < _FROM_13:
        raise NoData(
            "the server has no statistics of its statements"
            if not found
            else "the server is older than PostgreSQL 13",
            where=database.dsn.address,
            remedy="set shared_preload_libraries = 'pg_stat_statements', restart, and run in that"
            " database: create extension pg_stat_statements",
        )
    return sql.Identifier(found[0][0])


def _elapsed_s(connection: Connection, schema: sql.Identifier) -> float:
    """Seconds since the reset; 0 where the server does not tell, as before PostgreSQL 14."""
    if connection.info.server_version < _FROM_14:
        return 0.0
    return float(postgres.fetch_value(connection, _SINCE.format(schema)))
