"""Which objects are the application's: not the server's, not TimescaleDB's chunks, not our own."""

from typing import Final

from psycopg import sql

# Our own synthetic schemas come and go while others look; a chunk is one of thousands, and what
# is to be said of it is said of its hypertable.
SCOPE: Final = sql.SQL("n.nspname !~ '^(pg_|information_schema$|readiness_|_timescaledb_)'")
