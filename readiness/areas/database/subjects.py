"""The kinds of subject that [databases.NAME] declares."""

from collections.abc import Mapping
from typing import Final

from readiness.areas.database import subjects_timescale
from readiness.config.base.subject import Find

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "database": ("[databases.NAME]", lambda c: list(c.databases.values())),
    "replicated_database": (
        "[databases.NAME.standbys.NAME]",
        lambda c: [database for database in c.databases.values() if database.standbys],
    ),
    "pooled_database": (
        "[databases.NAME.pooler]",
        lambda c: [database for database in c.databases.values() if database.pooler],
    ),
    **subjects_timescale.KINDS,
    "remembered_database": (
        "[databases.NAME.history]",
        lambda c: [d for d in c.databases.values() if d.history],
    ),
    "timed_database": (
        "[databases.NAME.statements.p95]",
        lambda c: [d for d in c.databases.values() if d.statements.p95],
    ),
}
