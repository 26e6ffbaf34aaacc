"""What proves the checks of the restored copy: dumps that restore without an error, and lack."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_LEVEL: Final = "backup.restore-level[shop]"


@fault(
    turns_red={"backup.restore-row-parity[shop]", _LEVEL},
    story="The dump lacks rows that the database had, and restores without an error.",
)
@contextmanager
def backup_lacks_rows(system: ReferenceSystem) -> Iterator[None]:
    """Only comparing the contents shows it."""
    with system.levers.drop_rows_from_backup():
        yield


@fault(
    turns_red={
        "backup.restore-succeeds[shop]",
        "backup.restored-schema[shop]",
        "backup.restored-application[shop]",
        _LEVEL,
    },
    story="A role that the dump grants rights to is in no backup.",
)
@contextmanager
def backup_without_role(system: ReferenceSystem) -> Iterator[None]:
    """All rows come back; with the one right, every other one on that table is lost."""
    with system.levers.dump_without_role():
        yield


@fault(
    turns_red={"backup.restored-schema[shop]", _LEVEL},
    story="The dump lacks an index that the database had.",
)
@contextmanager
def backup_lacks_an_index(system: ReferenceSystem) -> Iterator[None]:
    """Every row is there, and everything is slow."""
    with system.levers.backups.replaced("drop index shop.orders_note_idx"):
        yield


@fault(
    turns_red={"backup.restored-sequences[shop]", _LEVEL},
    story="A sequence begins again in the restored copy.",
)
@contextmanager
def backup_lacks_a_sequence(system: ReferenceSystem) -> Iterator[None]:
    """The first new customer gets the number of the first one."""
    with system.levers.backups.replaced(
        "select setval(pg_get_serial_sequence('shop.customers', 'customer_id'), 1)"
    ):
        yield


@fault(
    turns_red={"backup.restored-large-objects[shop]", _LEVEL},
    story="The dump was made without large objects.",
)
@contextmanager
def backup_lacks_large_objects(system: ReferenceSystem) -> Iterator[None]:
    """Every table is equal; the receipts are gone."""
    with system.levers.backups.replaced(options=["--no-blobs"]):
        yield


@fault(
    turns_red={"backup.restored-application[shop]", _LEVEL},
    story="The application cannot write in what the backup is a true copy of.",
)
@contextmanager
def backup_cannot_be_written(system: ReferenceSystem) -> Iterator[None]:
    """The sequence of the orders was behind when the backup was made, and its manifest with it."""
    with system.levers.backups.made_of(
        "select setval(pg_get_serial_sequence('shop.orders', 'order_id'), 1)"
    ):
        yield


@fault(
    turns_red={"backup.negative-controls[shop]", _LEVEL},
    story="The limit on the age of a backup is so wide that one of last year would pass.",
)
@contextmanager
def age_limit_too_wide(system: ReferenceSystem) -> Iterator[None]:
    """The newest one is fresh: nothing but the damaged copies shows it."""
    with system.levers.replace_in_config(
        'role = "shop_backup"\n', 'role = "shop_backup"\nmax_age_h = 100000\n'
    ):
        yield


@fault(
    turns_red={"backup.restored-application", _LEVEL},
    story="Nobody tries any more whether the application works in the restored copy.",
)
@contextmanager
def application_not_tried(system: ReferenceSystem) -> Iterator[None]:
    """The table was taken out of readiness.toml, so that there is no subject any more."""

    def without(text: str) -> str:
        before, _, rest = text.partition("[backup.shop.application]")
        return (
            before + "[backup.shop.layers.roles]" + rest.partition("[backup.shop.layers.roles]")[2]
        )

    with system.levers.edit_config(without):
        yield


@fault(
    turns_red={_LEVEL},
    story="Nobody agreed on how much may be lost, and the proof of restore is called complete.",
)
@contextmanager
def objectives_are_not_agreed(system: ReferenceSystem) -> Iterator[None]:
    """The dump has no `rpo_s` any more: its proof ends a level below."""
    with system.levers.replace_in_config("rpo_s = 93600\nrestore_level", "restore_level"):
        yield
