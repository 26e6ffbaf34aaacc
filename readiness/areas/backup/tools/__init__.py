"""The tools that copy a server's files, one adapter each, and the one that a backup names."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.tools.base_backups import Barman, BaseBackups
from readiness.areas.backup.tools.commands import Commands, WalG
from readiness.areas.backup.tools.pgbackrest import PgBackRest
from readiness.areas.backup.tools.tool import Tool
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
        NoData: its backups are dumps.
    """
    made = _TOOLS.get(backup.tool)
    if made is None:
        raise NoData("its backups are dumps, not those of a tool", where=f"[backup.{backup.name}]")
    return made(backup)
