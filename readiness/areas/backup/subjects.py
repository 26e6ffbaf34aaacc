"""The kind of subject that [backup.NAME] declares."""

from collections.abc import Mapping
from typing import Final

from readiness.config.subject import Find, of

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "backup": ("[backup.NAME]", lambda config: of(config.backup)),
}
