"""Which schemas are looked at: the two rules that statements over the catalogue share.

Each is a condition on `n`, a row of pg_namespace. Schemas named `readiness_…` are this tool's own,
hold synthetic data, and are gone in a moment.
"""

from typing import Final

NOT_OURS: Final = "n.nspname !~ '^readiness_'"
"""All but our own: what is to be counted wherever it lies, in chunks of TimescaleDB, too."""
OF_THE_APPLICATION: Final = "n.nspname !~ '^(pg_|information_schema$|readiness_|_timescaledb_)'"
"""Those that somebody designed. A chunk is one of thousands: what is to be said of it is said of
its hypertable. `schema_fingerprint.sql` has the same rule."""
