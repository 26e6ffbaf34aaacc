"""What all probes of a database's objects share; alone, as no single one of them owns it.

Which objects are the application's: not the server's, not TimescaleDB's chunks, not our own. And
which database this is, by the clock of its server.
"""

from typing import Final

from psycopg import sql

from readiness.areas.database.history.snapshot import Server
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.schemas import OF_THE_APPLICATION
from readiness.lib.postgres.session import system_of

SCOPE: Final = sql.SQL(OF_THE_APPLICATION)
# A crash empties the counters, and since PostgreSQL 15 leaves the database's own stats_reset NULL:
# that of the background writer shows it, in all versions.
_SERVER: Final = """
select extract(epoch from clock_timestamp())::float8, current_database(),
       extract(epoch from pg_postmaster_start_time())::float8,
       extract(epoch from greatest(coalesce(d.stats_reset, b.stats_reset), b.stats_reset))::float8
from pg_stat_database d, pg_stat_bgwriter b where d.datname = current_database()"""


def uncompiled(connection: Connection) -> None:
    """Let the server run queries of its catalogues as they are.

    It believes them to be large, and compiling them takes half a second, each time; running them
    takes some milliseconds.
    """
    postgres.fetch(connection, "set jit = off")


def server_of(connection: Connection) -> tuple[float, Server]:
    """The time of the server's clock, and which database it is.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    at, database, started, since = postgres.fetch(connection, _SERVER)[0]
    system = system_of(connection)
    version = connection.info.server_version
    return at, Server(
        system=system, database=database, version=version, started=started, counters_since=since
    )
