"""Which objects are the application's: not the server's, not TimescaleDB's chunks, not our own."""

from typing import Final

from psycopg import sql

from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.schemas import OF_THE_APPLICATION

SCOPE: Final = sql.SQL(OF_THE_APPLICATION)


def uncompiled(connection: Connection) -> None:
    """Let the server run queries of its catalogues as they are.

    It believes them to be large, and compiling them takes half a second, each time; running them
    takes some milliseconds.
    """
    postgres.fetch(connection, "set jit = off")
