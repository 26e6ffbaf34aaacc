"""The kinds of subject that [databases.NAME] declares."""

from collections.abc import Mapping
from typing import Final

from readiness.areas.database import subjects_timescale
from readiness.config.base.subject import Find

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "database": ("[databases.NAME]", lambda c: list(c.databases.values())),
    **subjects_timescale.KINDS,
}
