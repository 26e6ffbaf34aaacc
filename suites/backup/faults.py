"""What proves the checks of the dumps: each fault turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_LEVEL: Final = "backup.restore-level[shop]"
# What only a restored copy can tell.
_RESTORED: Final = {
    "backup.restore-succeeds[shop]",
    "backup.restore-row-parity[shop]",
    "backup.restored-schema[shop]",
    "backup.restored-sequences[shop]",
    "backup.restored-large-objects[shop]",
    "backup.restored-sound[shop]",
    "backup.restored-application[shop]",
    "backup.recovery-objectives[shop]",
    "backup.negative-controls[shop]",
    _LEVEL,
}


@fault(
    turns_red={"backup.backup-fresh[shop]", "backup.recovery-objectives[shop]", _LEVEL},
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
        "backup.size-sane[shop]",
        "backup.off-site[shop]",
        "backup.retention[shop]",
        *_RESTORED,
    },
    story="The folder of the backups was emptied.",
)
@contextmanager
def no_backup(system: ReferenceSystem) -> Iterator[None]:
    """There is none: that is a failure; what it would restore to cannot be told."""
    with system.levers.remove_backups():
        yield


@fault(
    turns_red={"backup.off-site[shop]", *_RESTORED},
    story="The disk was full: a part of the dump was written, and its list of contents is whole.",
)
@contextmanager
def truncated_backup(system: ReferenceSystem) -> Iterator[None]:
    """The restore fails; what was in the rest cannot be told. The copy has another size."""
    with system.levers.truncate_backup():
        yield


@fault(
    turns_red={"backup.size-sane[shop]"},
    story="The dump is a third of what it was yesterday.",
)
@contextmanager
def backup_shrank(system: ReferenceSystem) -> Iterator[None]:
    """It is fresh and whole, and equal to its own manifest."""
    with system.levers.backups.shrunk():
        yield


@fault(turns_red={"backup.layers[shop]"}, story="The roles are in no backup.")
@contextmanager
def roles_not_backed_up(system: ReferenceSystem) -> Iterator[None]:
    """Nobody ran pg_dumpall."""
    with system.levers.backups.layer_missing("globals.sql"):
        yield


@fault(turns_red={"backup.layers[shop]"}, story="The archive of the uploaded files broke off.")
@contextmanager
def volume_cut_off(system: ReferenceSystem) -> Iterator[None]:
    """It still lists what came first."""
    with system.levers.backups.layer_cut_off("uploads.tar.gz"):
        yield


@fault(turns_red={"backup.dump-complete[shop]"}, story="A plain SQL dump was cut off.")
@contextmanager
def plain_dump_cut_off(system: ReferenceSystem) -> Iterator[None]:
    """`psql -f` of it ends with 0."""
    with system.levers.backups.layer_cut_off("schema.sql"):
        yield


@fault(turns_red={"backup.off-site[shop]"}, story="The job that copies the dumps has stopped.")
@contextmanager
def copy_stopped(system: ReferenceSystem) -> Iterator[None]:
    """The second copy is a week behind."""
    with system.levers.backups.copy_stopped():
        yield


@fault(turns_red={"backup.off-site[shop]"}, story="The newest dump was copied in part.")
@contextmanager
def copy_cut_off(system: ReferenceSystem) -> Iterator[None]:
    """It is there by name."""
    with system.levers.backups.copy_cut_off():
        yield


@fault(
    turns_red={"backup.immutable[shop]"},
    story="The application's credentials may delete from the store of the backups.",
)
@contextmanager
def vault_opened(system: ReferenceSystem) -> Iterator[None]:
    """Somebody wanted to make room."""
    with system.levers.backups.vault_opened():
        yield


@fault(turns_red={"backup.retention[shop]"}, story="All dumps but the newest were removed.")
@contextmanager
def old_backups_removed(system: ReferenceSystem) -> Iterator[None]:
    """Somebody made room."""
    with system.levers.backups.without_old():
        yield


@fault(
    turns_red={"backup.not-filtered[shop]"},
    story="Policies apply to the role that makes the dumps.",
)
@contextmanager
def backup_role_sees_a_part(system: ReferenceSystem) -> Iterator[None]:
    """The next dump fails, or holds what the role may see."""
    with system.levers.sql(
        "alter role shop_backup nobypassrls", "alter role shop_backup bypassrls"
    ):
        yield
