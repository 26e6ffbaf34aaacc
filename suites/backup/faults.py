"""What proves the checks of backup: each fault turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.faults import fault
from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"backup.backup-fresh[shop]"},
    story="The backup job has not run for three days, and nobody was told.",
)
@contextmanager
def backup_job_stopped(system: ReferenceSystem) -> Iterator[None]:
    """The newest backup is 72 hours old, and good."""
    with system.levers.age_backup(hours=72):
        yield


@fault(
    turns_red={
        "backup.backup-fresh[shop]",
        "backup.restore-succeeds[shop]",
        "backup.restore-row-parity[shop]",
    },
    story="The folder of the backups was emptied.",
)
@contextmanager
def no_backup(system: ReferenceSystem) -> Iterator[None]:
    """There is none: that is a failure; what it would restore to cannot be told."""
    with system.levers.remove_backups():
        yield


@fault(
    turns_red={"backup.restore-succeeds[shop]", "backup.restore-row-parity[shop]"},
    story="The disk was full: half of the dump was written, and its list of contents is whole.",
)
@contextmanager
def truncated_backup(system: ReferenceSystem) -> Iterator[None]:
    """The restore fails; what was in the other half cannot be told."""
    with system.levers.truncate_backup():
        yield


@fault(
    turns_red={"backup.restore-row-parity[shop]"},
    story="The dump lacks rows that the database had, and restores without an error.",
)
@contextmanager
def backup_lacks_rows(system: ReferenceSystem) -> Iterator[None]:
    """Only comparing the contents shows it."""
    with system.levers.drop_rows_from_backup():
        yield


@fault(
    turns_red={"backup.restore-succeeds[shop]"},
    story="A role that the dump grants rights to is in no backup.",
)
@contextmanager
def backup_without_role(system: ReferenceSystem) -> Iterator[None]:
    """All rows come back, and the application may not read them."""
    with system.levers.dump_without_role():
        yield
