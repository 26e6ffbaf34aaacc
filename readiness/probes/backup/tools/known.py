"""The adapter for the tool that a backup names."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.config.backup import Backup
from readiness.errors import NoData
from readiness.probes.backup.tools.barman import Barman
from readiness.probes.backup.tools.basebackup import BaseBackups
from readiness.probes.backup.tools.known_commands import Commands
from readiness.probes.backup.tools.pgbackrest import PgBackRest
from readiness.probes.backup.tools.tool import Tool
from readiness.probes.backup.tools.walg import WalG

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
