"""What proves the checks of the WAL archive: each is put back, with a new backup if need be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.areas.backup.reference.wal_archive import PART
from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_POINT: Final = "backup.point-in-time[shop-wal]"
_ARRIVES: Final = "backup.archive-end-to-end[shop-wal]"


@fault(
    turns_red={_ARRIVES, _POINT},
    needs=PART,
    story="archive_command is /bin/true: every view says that all is well.",
)
@contextmanager
def archived_to_nowhere(system: ReferenceSystem) -> Iterator[None]:
    """pg_stat_archiver counts successes; nothing is in the repository."""
    with system.levers.archive.to_nowhere():
        yield


@fault(
    turns_red={"backup.archiver[shop-wal]", _ARRIVES, _POINT},
    needs=PART,
    story="archive_command fails.",
)
@contextmanager
def archiver_fails(system: ReferenceSystem) -> Iterator[None]:
    """The files stay on the server's own disk."""
    with system.levers.archive.failing():
        yield


@fault(
    turns_red={"backup.wal-continuity[shop-wal]", _POINT},
    needs=PART,
    story="One WAL file is missing in the repository.",
)
@contextmanager
def wal_file_lost(system: ReferenceSystem) -> Iterator[None]:
    """A restore to the end of the archive ends there, without an error."""
    with system.levers.archive.file_lost():
        yield


@fault(
    turns_red={"backup.tool-verified[shop-wal]"},
    needs=PART,
    story="A file of an older backup lost three bytes to the disk.",
)
@contextmanager
def old_backup_damaged(system: ReferenceSystem) -> Iterator[None]:
    """`pgbackrest verify` says so, and ends with 0."""
    with system.levers.archive.old_backup_damaged():
        yield


@fault(
    turns_red={"backup.encrypted[shop-wal]"},
    needs=PART,
    story="The repository was made anew, and nobody thought of the encryption.",
)
@contextmanager
def repository_unencrypted(system: ReferenceSystem) -> Iterator[None]:
    """It works as before."""
    with system.levers.archive.unencrypted():
        yield


@fault(
    turns_red={"backup.restored-sound[shop-wal]"},
    needs=PART,
    story="An index of the restored copy is damaged; the server starts, and every row is there.",
)
@contextmanager
def restored_copy_rots(system: ReferenceSystem) -> Iterator[None]:
    """Only amcheck sees that its entries are not in their order."""
    with system.levers.archive.restore_rots(system.levers.replace_in_config):
        yield


@fault(
    turns_red={"backup.recovery-objectives[shop-wal]"},
    needs=PART,
    story="At most a second may be lost, says the contract; WAL is archived less often.",
)
@contextmanager
def more_is_lost_than_agreed(system: ReferenceSystem) -> Iterator[None]:
    """The backup is fresh, and the archive has every file: what it holds is too old."""
    with system.levers.replace_in_config(
        "encrypted = true\nrpo_s = 93600", "encrypted = true\nrpo_s = 1"
    ):
        yield
