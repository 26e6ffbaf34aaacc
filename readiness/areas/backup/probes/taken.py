"""The backups that were taken, whatever tool took them: when, how large, and where."""

from collections.abc import Sequence

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.files import backups
from readiness.areas.backup.tools.known import tool_of
from readiness.lib.files import Dated


def taken(backup: Backup) -> Sequence[Dated]:
    """All backups that did not fail, the newest first.

    Raises:
        CouldNotMeasure: the folder or the tool cannot be asked; and its kinds.
    """
    if backup.tool == "dump":
        return backups(backup)
    return [one for one in tool_of(backup).backups() if not one.failed]


def whole(backup: Backup) -> Sequence[Dated]:
    """Those of them that need no backup before them, the newest first: alike in size.

    Raises:
        CouldNotMeasure: as for `taken`.
    """
    if backup.tool == "dump":
        return backups(backup)
    return [one for one in tool_of(backup).backups() if one.whole and not one.failed]


def newest_taken(backup: Backup) -> Dated | None:
    """The newest one, or None where there is none.

    Raises:
        CouldNotMeasure: as for `taken`.
    """
    return next(iter(taken(backup)), None)
