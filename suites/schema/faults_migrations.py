"""What proves the checks of migrations: each turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_LIMITS = "set lock_timeout = '1s';\nset statement_timeout = '30s';\n"


@fault(
    turns_red={"schema.migrations-at-head[shop]"},
    story="The release came with a migration, and nobody ran it.",
)
@contextmanager
def migration_pending(system: ReferenceSystem) -> Iterator[None]:
    """It is a good one, with its way back."""
    up = f"{_LIMITS}create table shop.returns (return_id bigint primary key);\n"
    with (
        system.levers.add_migration("0006_returns.up.sql", up),
        system.levers.add_migration(
            "0006_returns.down.sql", f"{_LIMITS}drop table shop.returns;\n"
        ),
    ):
        yield


@fault(
    turns_red={"schema.migrations-drift[shop]"},
    story="A migration was edited after it had been applied: the database has another schema.",
)
@contextmanager
def migration_edited(system: ReferenceSystem) -> Iterator[None]:
    """The table of versions says that all is well."""
    with system.levers.edit_migration(
        "0002_keys.up.sql",
        "create index orders_created_at_idx on shop.orders (created_at);",
        "create index orders_created_at_idx on shop.orders (created_at, status);",
    ):
        yield


@fault(
    turns_red={"schema.migrations-reversible[shop]"},
    story="The way back of the newest migration leaves a function behind.",
)
@contextmanager
def way_back_forgets(system: ReferenceSystem) -> Iterator[None]:
    """Nobody has run it."""
    with system.levers.edit_migration(
        "0005_accounts_in_step.down.sql", "drop function shop.account_to_customer();", ""
    ):
        yield


@fault(
    turns_red={"schema.migrations-reversible[shop]"},
    story="The way back of a migration takes rows with it that were there before.",
)
@contextmanager
def way_back_loses_rows(system: ReferenceSystem) -> Iterator[None]:
    """The schema is as it was; an order is not."""
    with system.levers.edit_migration(
        "0004_accounts.down.sql",
        "drop table shop.accounts;",
        "drop table shop.accounts; update shop.orders set note = null;",
    ):
        yield


@fault(
    turns_red={"schema.migrations-lint[shop]"},
    story="A migration drops a column that the release before still reads.",
)
@contextmanager
def dangerous_migration(system: ReferenceSystem) -> Iterator[None]:
    """It is added and dropped again: the schema stays the same, and squawk still warns."""
    with system.levers.edit_migration(
        "0004_accounts.up.sql",
        "grant select, insert",
        "alter table shop.accounts add column nick text;\n"
        "alter table shop.accounts drop column nick;\ngrant select, insert",
    ):
        yield


@fault(
    turns_red={"schema.migrations-locks[shop]", "schema.migrations-lint[shop]"},
    story="The newest migration waits for its lock for ever, and everybody waits behind it.",
)
@contextmanager
def no_lock_timeout(system: ReferenceSystem) -> Iterator[None]:
    """Squawk sees it, too; the drill shows what it leads to."""
    with system.levers.edit_migration(
        "0005_accounts_in_step.up.sql", "set lock_timeout = '1s';\n", ""
    ):
        yield


@fault(
    turns_red={"schema.migrations-locks[shop]"},
    story="A migration has a lock timeout that is longer than others may be made to wait.",
)
@contextmanager
def long_lock_timeout(system: ReferenceSystem) -> Iterator[None]:
    """No linter sees it."""
    with system.levers.edit_migration(
        "0005_accounts_in_step.up.sql", "set lock_timeout = '1s'", "set lock_timeout = '20s'"
    ):
        yield
