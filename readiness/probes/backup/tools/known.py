"""The adapter for the tool that a backup names."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.config.backup import Backup
from readiness.probes.backup.tools.pgbackrest import PgBackRest
from readiness.probes.backup.tools.tool import Tool

_TOOLS: Final[Mapping[str, Callable[[Backup], Tool]]] = {
    "pgbackrest": PgBackRest,
}


def tool_of(backup: Backup) -> Tool:
    """The adapter; nothing is run yet."""
    return _TOOLS[backup.tool](backup)
