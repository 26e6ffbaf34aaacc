"""The adapter for the tool that a backup names."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.tools.barman import Barman
from readiness.areas.backup.tools.basebackup import BaseBackups
from readiness.areas.backup.tools.known_commands import Commands
from readiness.areas.backup.tools.pgbackrest import PgBackRest
from readiness.areas.backup.tools.tool import Tool
from readiness.areas.backup.tools.walg import WalG
from readiness.model.errors import NoData

_TOOLS: Final[Mapping[str, Callable[[Backup], Tool]]] = {
    "pgbackrest": PgBackRest,
    "barman": Barman,
    "wal-g": WalG,
    "basebackup": BaseBackups,
    "command": Commands,
}


def tool_of(backup: Backup) -> Tool:
    """The adapter; nothing is run yet.

    Raises:
        NoData: it is a dump, which no tool of this kind made.
    """
    made = _TOOLS.get(backup.tool)
    if made is None:
        raise NoData("is no backup of a tool", where=f"[backup.{backup.name}]")
    return made(backup)
