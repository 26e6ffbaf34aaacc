"""Which objects are the application's: not the server's, not TimescaleDB's chunks, not our own."""

from typing import Final

from psycopg import sql

from readiness.probes import postgres
from readiness.probes.postgres import Connection

# Our own synthetic schemas come and go while others look; a chunk is one of thousands, and what
# is to be said of it is said of its hypertable.
SCOPE: Final = sql.SQL("n.nspname !~ '^(pg_|information_schema$|readiness_|_timescaledb_)'")


def uncompiled(connection: Connection) -> None:
    """Let the server run queries of its catalogues as they are.

    It believes them to be large, and compiling them takes half a second, each time; running them
    takes some milliseconds.
    """
    postgres.fetch(connection, "set jit = off")
