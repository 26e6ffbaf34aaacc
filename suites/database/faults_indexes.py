"""What must turn each check of the indexes red."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem


@fault(
    # Nobody wrote a migration for it, either.
    turns_red={
        "database.duplicate-indexes[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A migration made an index that was there already, under another name",
)
@contextmanager
def index_made_twice(system: "ReferenceSystem") -> Iterator[None]:
    """What `create index` without a name does when it runs a second time."""
    with system.levers.sql(
        "create index readiness_twice on shop.orders (created_at)",
        "drop index shop.readiness_twice",
    ):
        yield


@fault(
    # Nobody wrote a migration for it, either.
    turns_red={
        "database.invalid-indexes[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A unique index was to be made of values that are not unique",
)
@contextmanager
def index_left_invalid(system: "ReferenceSystem") -> Iterator[None]:
    """What `create index concurrently` leaves when it fails: by a real failure of a real one."""
    with psycopg.connect(system.levers.superuser, autocommit=True) as connection:
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute(
                "create unique index concurrently readiness_unfinished on shop.orders (status)"
            )
        try:
            yield
        finally:
            connection.execute("drop index shop.readiness_unfinished")


@fault(
    # Nobody wrote a migration for it, either.
    turns_red={
        "database.foreign-keys-indexed[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="The index of a foreign key was dropped, as nobody had seen a query use it",
)
@contextmanager
def foreign_key_without_index(system: "ReferenceSystem") -> Iterator[None]:
    """60,000 rows are read for each order that is deleted."""
    with system.levers.drop_index("shop.order_items_order_id_idx"):
        yield
