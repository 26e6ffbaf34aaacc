"""The kinds of subject that [backup.NAME] declares."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.areas.backup.config import Backup, Config
from readiness.config.base.subject import Find, Subject

_ARCHIVES: Final = ("pgbackrest", "barman", "wal-g", "command")


def is_restorable(backup: Backup) -> bool:
    """Whether a check can restore it: wal-g needs its own place, which `command` describes."""
    physical = backup.physical
    if physical is None or backup.tool in {"pgbackrest", "barman", "basebackup"}:
        return True
    return bool(physical.commands and physical.commands.restore)


def _which(holds: Callable[[Backup], bool]) -> Find:
    def find(config: Config) -> list[Subject]:
        return [backup for backup in config.backup.values() if holds(backup)]

    return find


def _drilled(backup: Backup) -> bool:
    return bool(backup.tool in _ARCHIVES and backup.physical and backup.physical.dsn)


def _promised(backup: Backup) -> bool:
    """With an RPO, and something that tells how much was lost."""
    physical = backup.physical
    told = physical is None or physical.heartbeat_sql is not None
    return backup.rpo_s is not None and told and is_restorable(backup)


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "backup": ("[backup.NAME]", lambda c: list(c.backup.values())),
    "dump_backup": ("[backup.NAME] with tool = 'dump'", _which(lambda b: b.tool == "dump")),
    "restorable_backup": ("[backup.NAME] that can be restored here", _which(is_restorable)),
    "layered_backup": ("[backup.NAME.layers.NAME]", _which(lambda b: bool(b.layers))),
    "encrypted_backup": ("[backup.NAME] encrypted = true", _which(lambda b: b.encrypted)),
    "copied_backup": ("[backup.NAME.copies.NAME]", _which(lambda b: bool(b.copies))),
    "immutable_backup": ("[backup.NAME.immutable]", _which(lambda b: b.immutable is not None)),
    "kept_backup": (
        "[backup.NAME] retention_days",
        _which(lambda b: b.retention_days is not None),
    ),
    "owned_backup": (
        "[backup.NAME] role",
        _which(lambda b: b.role is not None and b.tool == "dump"),
    ),
    "tried_backup": (
        "[backup.NAME.application]",
        _which(lambda b: b.application is not None and is_restorable(b)),
    ),
    "promised_backup": ("[backup.NAME] rpo_s", _which(_promised)),
    "controlled_backup": (
        "[backup.NAME] with tool = 'dump', or of a tool that archives WAL",
        _which(lambda b: b.tool == "dump" or b.tool in _ARCHIVES),
    ),
    "physical_backup": (
        "[backup.NAME.physical]",
        _which(lambda b: b.physical is not None),
    ),
    "archived_backup": (
        "[backup.NAME.physical] of a tool that archives WAL",
        _which(lambda b: b.tool in _ARCHIVES),
    ),
    "drilled_backup": (
        "[backup.NAME.physical] dsn",
        _which(_drilled),
    ),
    "drilled_restorable_backup": (
        "[backup.NAME.physical] dsn of a tool that can restore here",
        _which(lambda b: _drilled(b) and is_restorable(b)),
    ),
}
