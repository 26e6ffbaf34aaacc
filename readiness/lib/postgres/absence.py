"""Shows that databases do not have something, so that nobody has to declare it."""

from collections.abc import Mapping
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib import postgres
from readiness.lib.postgres.session import OF_THE_APPLICATION, looking
from readiness.lib.text import listed

STANDBYS: Final = (
    "select count(*) from (select pid from pg_stat_replication union all"
    " select active_pid from pg_replication_slots where slot_type = 'physical' union all"
    " select 1 where pg_is_in_recovery()) standbys"
)
ARCHIVES: Final = (
    "select count(*) from pg_settings where name = 'archive_mode' and setting <> 'off'"
)
TIMESCALE: Final = "select count(*) from pg_extension where extname = 'timescaledb'"
ROW_SECURITY: Final = (
    "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relrowsecurity and @OWN@"
).replace("@OWN@", OF_THE_APPLICATION)


def nowhere(databases: Mapping[str, Database], what: str, *counts: str) -> str:
    """A sentence that none of the databases has it; empty if one has, or there is no database.

    Args:
        databases: where it is looked for.
        what: what it is, as "standby".
        counts: statements that each count it.

    Raises:
        CouldNotMeasure: see `readiness.lib.postgres.connect`.
    """
    for database in databases.values():
        with looking(database) as connection:
            if any(postgres.fetch_value(connection, count) for count in counts):
                return ""
    shown = "; ".join(counts)
    return f"{listed(sorted(databases))} has no {what}: 0 by {shown}" if databases else ""
