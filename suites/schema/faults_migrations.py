"""Faults of migrations: what is in their folder, and in the table of what was applied."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.areas.schema.reference.levers import sql_fault
from readiness.model.fault import broken_by, fault

if TYPE_CHECKING:
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
def migration_pending(system: "ReferenceSystem") -> Iterator[None]:
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
migration_altered = broken_by(
    "migration_altered",
    "The file of a flyway migration was edited after it had been applied.",
    {_DRIFT: {"altered"}},
    lambda levers: levers.flyway_with_an_altered_file(),
)
heads_not_merged = broken_by(
    "heads_not_merged",
    "Two branches each brought an alembic migration, and were never merged into one head.",
    {_DRIFT: {"heads"}},
    lambda levers: levers.alembic_with_two_heads(),
)
migration_edited = broken_by(
    "migration_edited",
    "A migration was edited after it had been applied: the database has another schema.",
    {_DRIFT: {"objects-differ"}},
    lambda levers: levers.edit_migration(
        "0002_keys.up.sql",
        "create index orders_created_at_idx on shop.orders (created_at);",
        "create index orders_created_at_idx on shop.orders (created_at, status);",
    ),
)
rollback_leaves_a_function = broken_by(
    "rollback_leaves_a_function",
    "Rolling back the newest migration leaves a function behind.",
    {_REVERSIBLE: {"rolls-back"}},
    lambda levers: levers.edit_migration(
        "0005_accounts_in_step.down.sql", "drop function shop.account_to_customer();", ""
    ),
)
rollback_loses_data = broken_by(
    "rollback_loses_data",
    "Rolling back a migration deletes data that existed before it; the schema is as it was.",
    {_REVERSIBLE: {"rolls-back"}},
    lambda levers: levers.edit_migration(
        "0004_accounts.down.sql",
        "drop table shop.accounts;",
        "drop table shop.accounts; update shop.orders set note = null;",
    ),
)
column_dropped = broken_by(
    "column_dropped",
    "A migration drops a column that the previous release still reads.",
    {_LOCKS: {"lint"}},
    lambda levers: levers.edit_migration(
        "0004_accounts.up.sql",
        "grant select, insert",
        "alter table shop.accounts add column nick text;\n"
        "alter table shop.accounts drop column nick;\ngrant select, insert",
    ),
    needs="squawk",
)
no_lock_timeout = broken_by(
    "no_lock_timeout",
    "The newest migration has no lock timeout, and everybody waits behind it.",
    {_LOCKS: {"wait", "lint"}},
    lambda levers: levers.edit_migration(_NEWEST, "set lock_timeout = '1s';\n", ""),
    needs="squawk",
)
long_lock_timeout = broken_by(
    "long_lock_timeout",
    "A migration has a lock timeout longer than others may wait; squawk accepts it.",
    {_LOCKS: {"wait"}},
    lambda levers: levers.edit_migration(
        _NEWEST, "set lock_timeout = '1s'", "set lock_timeout = '20s'"
    ),
)
migration_gives_up_halfway = broken_by(
    "migration_gives_up_halfway",
    "A migration without a transaction gives up its lock and leaves half of its objects.",
    {_LOCKS: {"leftovers"}},
    lambda levers: levers.edit_migration(
        _NEWEST,
        "create function shop.customer_to_account()",
        "drop index concurrently if exists shop.customers_old_idx;\n\n"
        "create function shop.customer_to_account()",
    ),
)
orders_rewritten = broken_by(
    "orders_rewritten",
    "A migration rewrites the table of orders under a lock that blocks everybody.",
    {_LOCKS: {"rewrite", "lint"}},
    lambda levers: levers.edit_migration(
        _NEWEST,
        "create trigger customer_to_account",
        "alter table shop.orders alter column note type text using note || '';\n\n"
        "create trigger customer_to_account",
    ),
    needs="squawk",
)
