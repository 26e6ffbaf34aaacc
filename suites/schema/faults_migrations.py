"""Faults of migrations: what is in their folder, and in the table of what was applied."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from readiness.areas.schema.reference.levers import sql_fault
from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_LIMITS: Final = "set lock_timeout = '1s';\nset statement_timeout = '30s';\n"
_NEWEST: Final = "0005_accounts_in_step.up.sql"
_DRIFT: Final = "schema.migrations-drift[shop]"
_REVERSIBLE: Final = "schema.migrations-reversible[shop]"
_LOCKS: Final = "schema.migrations-locks[shop]"


@fault(
    misses={_DRIFT: {"pending"}},
    story="The release came with a migration that nobody applied.",
)
@contextmanager
def migration_pending(system: ReferenceSystem) -> Iterator[None]:
    """It is a good one, and can be rolled back."""
    up = f"{_LIMITS}create table shop.returns (return_id bigint primary key);\n"
    with (
        system.levers.add_migration("0006_returns.up.sql", up),
        system.levers.add_migration(
            "0006_returns.down.sql", f"{_LIMITS}drop table shop.returns;\n"
        ),
    ):
        yield


migration_unknown = sql_fault(
    "migration_unknown",
    "A migration was applied from a branch that was never merged.",
    {_DRIFT: {"unknown"}},
    do="insert into public.schema_migrations values ('0099')",
    undo="delete from public.schema_migrations where version = '0099'",
)
# The column is that of golang-migrate; what is half done counts as not applied, too.
migration_half_done = sql_fault(
    "migration_half_done",
    "The newest migration stopped halfway, and its version is marked dirty.",
    {
        _DRIFT: {"half-done", "pending", "objects-differ"},
        "schema.fingerprint[shop]": {"objects-differ"},
    },
    do="alter table public.schema_migrations add column dirty boolean not null default false;"
    "update public.schema_migrations set dirty = true where version = '0005'",
    undo="alter table public.schema_migrations drop column dirty",
)


@fault(
    misses={_DRIFT: {"altered"}},
    story="The file of a flyway migration was edited after it had been applied.",
)
def migration_altered(system: ReferenceSystem) -> AbstractContextManager[None]:
    """Only flyway keeps checksums."""
    return system.levers.flyway_with_an_altered_file()


@fault(
    misses={_DRIFT: {"heads"}},
    story="Two branches each brought an alembic migration, and were never merged into one head.",
)
def heads_not_merged(system: ReferenceSystem) -> AbstractContextManager[None]:
    """Both were applied."""
    return system.levers.alembic_with_two_heads()


@fault(
    misses={_DRIFT: {"objects-differ"}},
    story="A migration was edited after it had been applied: the database has another schema.",
)
def migration_edited(system: ReferenceSystem) -> AbstractContextManager[None]:
    """The table of versions claims that all is well."""
    return system.levers.edit_migration(
        "0002_keys.up.sql",
        "create index orders_created_at_idx on shop.orders (created_at);",
        "create index orders_created_at_idx on shop.orders (created_at, status);",
    )


@fault(
    misses={_REVERSIBLE: {"rolls-back"}},
    story="Rolling back the newest migration leaves a function behind.",
)
def rollback_leaves_a_function(system: ReferenceSystem) -> AbstractContextManager[None]:
    """Applying the migration again then fails."""
    return system.levers.edit_migration(
        "0005_accounts_in_step.down.sql", "drop function shop.account_to_customer();", ""
    )


@fault(
    misses={_REVERSIBLE: {"rolls-back"}},
    story="Rolling back a migration deletes data that existed before it; the schema is as it was.",
)
def rollback_loses_data(system: ReferenceSystem) -> AbstractContextManager[None]:
    """Only the seeded rows show it."""
    return system.levers.edit_migration(
        "0004_accounts.down.sql",
        "drop table shop.accounts;",
        "drop table shop.accounts; update shop.orders set note = null;",
    )


@fault(
    misses={_LOCKS: {"lint"}},
    story="A migration drops a column that the previous release still reads.",
    needs="squawk",
)
def column_dropped(system: ReferenceSystem) -> AbstractContextManager[None]:
    """It is added and dropped again, so that the schema stays the same."""
    return system.levers.edit_migration(
        "0004_accounts.up.sql",
        "grant select, insert",
        "alter table shop.accounts add column nick text;\n"
        "alter table shop.accounts drop column nick;\ngrant select, insert",
    )


@fault(
    misses={_LOCKS: {"wait", "lint"}},
    story="The newest migration has no lock timeout, and everybody waits behind it.",
    needs="squawk",
)
def no_lock_timeout(system: ReferenceSystem) -> AbstractContextManager[None]:
    """Squawk sees it too; the drill shows the effect."""
    return system.levers.edit_migration(_NEWEST, "set lock_timeout = '1s';\n", "")


@fault(
    misses={_LOCKS: {"wait"}},
    story="A migration has a lock timeout longer than others may wait; squawk accepts it.",
    needs="squawk",
)
def long_lock_timeout(system: ReferenceSystem) -> AbstractContextManager[None]:
    """It is four times as long as others may wait."""
    return system.levers.edit_migration(
        _NEWEST, "set lock_timeout = '1s'", "set lock_timeout = '20s'"
    )


@fault(
    misses={_LOCKS: {"leftovers"}},
    story="A migration without a transaction gives up its lock and leaves half of its objects.",
    needs="squawk",
)
def migration_gives_up_halfway(system: ReferenceSystem) -> AbstractContextManager[None]:
    """The trigger needs a lock; the function is left."""
    return system.levers.edit_migration(
        _NEWEST,
        "create function shop.customer_to_account()",
        "drop index concurrently if exists shop.customers_old_idx;\n\n"
        "create function shop.customer_to_account()",
    )


@fault(
    misses={_LOCKS: {"rewrite", "lint"}},
    story="A migration rewrites the table of orders under a lock that blocks everybody.",
    needs="squawk",
)
def orders_rewritten(system: ReferenceSystem) -> AbstractContextManager[None]:
    """The values stay the same, but the table gets a new file."""
    return system.levers.edit_migration(
        _NEWEST,
        "create trigger customer_to_account",
        "alter table shop.orders alter column note type text using note || '';\n\n"
        "create trigger customer_to_account",
    )
