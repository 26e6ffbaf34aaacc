"""Faults of objects, rows and access, of migrations, and of transfers."""

from typing import Final

from readiness.areas.schema.reference import sql_fault
from readiness.model.fault import broken_by

_NOTES: Final = "shop.delivery_notes"
_OWN: Final = "depot = current_setting('shop.depot', true)"
_RESTORE_POLICY: Final = (
    f"drop policy if exists own_depot on {_NOTES};"
    f"create policy own_depot on {_NOTES} to shop_app using ({_OWN})"
)
_DIFFERS: Final = {"schema.fingerprint[shop]": {"objects-differ"}}
_CHANGED: Final = {
    **_DIFFERS,
    "schema.migrations-drift[shop]": {"objects-differ"},
}
_SECURITY: Final = "schema.row-security[shop]"
_WRITES: Final = "schema.row-security-writes[shop]"
_INTEGRITY: Final = "schema.integrity[shop]"

view_dropped = sql_fault(
    "view_dropped",
    "A clean-up script ran in the wrong database and dropped a view.",
    _CHANGED | {"schema.fingerprint[shop]": {"objects-missing", "objects-differ"}},
    do="create schema readiness_away; alter view shop.recent_orders set schema readiness_away",
    undo="alter view readiness_away.recent_orders set schema shop; drop schema readiness_away",
)
column_by_hand = sql_fault(
    "column_by_hand",
    "Somebody added a column by hand; it is in no migration.",
    _CHANGED,
    do="alter table shop.products add column colour text",
    undo="alter table shop.products drop column colour",
)
# Migrations are compared without roles, which another server does not have.
grant_by_hand = sql_fault(
    "grant_by_hand",
    "Somebody granted a role rights on a table by hand.",
    _DIFFERS,
    do="grant select on shop.products to pg_monitor",
    undo="revoke select on shop.products from pg_monitor",
)
default_privileges_by_hand = sql_fault(
    "default_privileges_by_hand",
    "Somebody granted everybody rights on each table that is yet to be created.",
    _DIFFERS,
    do="alter default privileges for role shop_owner in schema shop grant select on tables to"
    " public",
    undo="alter default privileges for role shop_owner in schema shop revoke select on tables from"
    " public",
)


extension_missing = broken_by(
    "extension_missing",
    "The release needs an extension that was not installed on this server.",
    {"schema.fingerprint[shop]": {"extensions"}},
    lambda levers: levers.replace_in_config(
        'extensions = { plpgsql = "*" }', 'extensions = { plpgsql = "*", postgis = "*" }'
    ),
)


rows_erased = sql_fault(
    "rows_erased",
    "A clean-up job deleted half of the delivery notes.",
    {"schema.row-floors[shop]": {"rows"}},
    do="create schema readiness_away;"
    "create table readiness_away.notes as"
    " select * from shop.delivery_notes where delivery_note_id > 20;"
    "delete from shop.delivery_notes where delivery_note_id > 20",
    undo="insert into shop.delivery_notes select * from readiness_away.notes;"
    "drop schema readiness_away cascade",
)
no_new_orders = sql_fault(
    "no_new_orders",
    "No order was written for four days, although the shop answers.",
    {"schema.row-floors[shop]": {"newest"}},
    do="update shop.orders set created_at = created_at - interval '4 days'",
    undo="update shop.orders set created_at = created_at + interval '4 days'",
)
row_security_off = sql_fault(
    "row_security_off",
    "Row level security was switched off for an import and never switched on again.",
    _CHANGED
    | {
        _SECURITY: {"enabled", "policies-off", "others-seen", "no-tenant"},
        _WRITES: {"refused", "reach"},
    },
    do=f"alter table {_NOTES} disable row level security",
    undo=f"alter table {_NOTES} enable row level security",
)
policy_dropped = sql_fault(
    "policy_dropped",
    "The only policy of a table was dropped: no depot sees its own rows.",
    _CHANGED | {_SECURITY: {"enabled", "own-seen"}, _WRITES: ()},
    do=f"drop policy own_depot on {_NOTES}",
    undo=_RESTORE_POLICY,
)
policy_lets_all_in = sql_fault(
    "policy_lets_all_in",
    "A policy lets every depot see all rows; its name and all flags are unchanged.",
    _CHANGED | {_SECURITY: {"others-seen", "no-tenant"}, _WRITES: {"reach"}},
    do=f"alter policy own_depot on {_NOTES} using (true) with check ({_OWN})",
    undo=_RESTORE_POLICY,
)
policy_hides_own_rows = sql_fault(
    "policy_hides_own_rows",
    "A policy hides the oldest delivery notes from the depot that they belong to.",
    _CHANGED | {_SECURITY: {"own-seen"}},
    do=f"alter policy own_depot on {_NOTES} using ({_OWN} and delivery_note_id > 4)"
    f" with check ({_OWN})",
    undo=_RESTORE_POLICY,
)
policy_accepts_all_writes = sql_fault(
    "policy_accepts_all_writes",
    "A policy hides the rows of other depots, but accepts new ones for them.",
    _CHANGED | {_WRITES: {"refused"}},
    do=f"alter policy own_depot on {_NOTES} with check (true)",
    undo=_RESTORE_POLICY,
)
policy_deletes_all = sql_fault(
    "policy_deletes_all",
    "A policy hides the rows of other depots, but a DELETE without WHERE deletes them.",
    _CHANGED | {_WRITES: {"reach"}},
    do=f"create policy clean_up on {_NOTES} for delete to shop_app using (true)",
    undo=f"drop policy clean_up on {_NOTES}",
)
view_reaches_around = sql_fault(
    "view_reaches_around",
    "A view reads a protected table as its owner: each depot sees the notes of all.",
    _CHANGED | {_SECURITY: {"bypassed"}},
    do="create view shop.note_texts as select delivery_note_id, body from shop.delivery_notes;"
    "alter view shop.note_texts owner to shop_owner; grant select on shop.note_texts to shop_app",
    undo="drop view shop.note_texts",
)
table_without_row_security = sql_fault(
    "table_without_row_security",
    "A migration added a table with the depot's column and forgot its row security.",
    _CHANGED | {_SECURITY: {"forgotten"}},
    do="create table shop.pallets (pallet_id bigint primary key,"
    " depot text not null); alter table shop.pallets owner to shop_owner;"
    " grant select on shop.pallets to shop_app, shop_monitor",
    undo="drop table shop.pallets",
)
function_led_astray = sql_fault(
    "function_led_astray",
    "A SECURITY DEFINER function finds its tables by the search_path of its caller.",
    _CHANGED | {"schema.application-role[shop]": {"search-path"}},
    do="create function shop.has_notes() returns boolean language sql security definer"
    " as 'select exists (select from shop.delivery_notes)';"
    "alter function shop.has_notes() owner to shop_owner",
    undo="drop function shop.has_notes()",
)
powerful_application = sql_fault(
    "powerful_application",
    "The application's role was allowed to create roles, which it does not need.",
    _DIFFERS | {"schema.application-role[shop]": {"powers"}},
    do="alter role shop_app createrole",
    undo="alter role shop_app nocreaterole",
)
constraint_not_validated = sql_fault(
    "constraint_not_validated",
    "A constraint was added NOT VALID and never validated.",
    _CHANGED | {_INTEGRITY: {"not-validated"}},
    do="alter table shop.products add constraint price_below check (price_cents < 1000000)"
    " not valid",
    undo="alter table shop.products drop constraint price_below",
)
orphans_restored = sql_fault(
    "orphans_restored",
    "Rows were restored with --disable-triggers, and their parent does not exist.",
    {_INTEGRITY: {"orphans"}},
    do="set session_replication_role = replica;"
    "insert into shop.order_items (order_id, product_id, quantity, price_cents)"
    " values (999999999, 1, 1, 1); reset session_replication_role",
    undo="delete from shop.order_items where order_id = 999999999",
)
sequence_behind = sql_fault(
    "sequence_behind",
    "Products were copied with their ids, and the sequence was left behind.",
    {_INTEGRITY: {"sequences"}},
    do="select setval('shop.products_product_id_seq', 100)",
    undo="select setval('shop.products_product_id_seq', max(product_id)) from shop.products",
)


_LIMITS: Final = "set lock_timeout = '1s';\nset statement_timeout = '30s';\n"
_NEWEST: Final = "0005_accounts_in_step.up.sql"
_DRIFT: Final = "schema.migrations-drift[shop]"
_REVERSIBLE: Final = "schema.migrations-reversible[shop]"
_LOCKS: Final = "schema.migrations-locks[shop]"


# A good migration, which can be rolled back.
migration_pending = broken_by(
    "migration_pending",
    "The release came with a migration that nobody applied.",
    {_DRIFT: {"pending"}},
    lambda levers: (
        levers.add_migration(
            "0006_returns.up.sql",
            f"{_LIMITS}create table shop.returns (return_id bigint primary key);\n",
        ),
        levers.add_migration("0006_returns.down.sql", f"{_LIMITS}drop table shop.returns;\n"),
    ),
)
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


# Without triggers: as if another program had written one of the two tables alone.
_ALONE: Final = "set session_replication_role = replica; {}; reset session_replication_role"
_AGAIN: Final = _ALONE.format(
    "insert into shop.accounts select customer_id, email, name, country, created_at"
    " from shop.customers where customer_id = {}"
)
_RENAME: Final = _ALONE.format("update shop.accounts set full_name = '{}' where account_id = {}")
_COPIED: Final = "schema.transfer-complete[shop.accounts]"
_BACK_WRITTEN: Final = "schema.transfer-reversible[shop.accounts]"

_ORDERS: Final = """\
[databases.shop.transfers.accounts.tables."shop.orders"]
to = "readiness_away.orders"
key = { order_id = "order_id" }
columns = { status = "status" }
changed = "created_at"
new_changed = "created_at"

[databases.shop.transfers.accounts]
strategy = "table-by-table"
states = "select old, state from readiness_away.moves order by place"
"""

row_not_copied = sql_fault(
    "row_not_copied",
    "The copy skipped a row, months ago.",
    {_COPIED: {"missing"}},
    do=_ALONE.format("delete from shop.accounts where account_id = 3000"),
    undo=_AGAIN.format(3000),
)
value_cut_off = sql_fault(
    "value_cut_off",
    "The copy cut off a name; the row counts are equal.",
    {_COPIED: {"differing"}},
    do=_RENAME.format("Cust", 3000),
    undo=_RENAME.format("Customer 3000", 3000),
)
second_write_forgotten = sql_fault(
    "second_write_forgotten",
    "A code path of the application writes only the old table.",
    {_COPIED: {"recent-missing"}},
    do=_ALONE.format("delete from shop.accounts where account_id = 1"),
    undo=_AGAIN.format(1),
)
name_changed_in_one_table = sql_fault(
    "name_changed_in_one_table",
    "A recent customer's name was changed in the new table only.",
    {_COPIED: {"recent-differing"}, _BACK_WRITTEN: {"differing"}},
    do=_RENAME.format("Renamed", 1),
    undo=_RENAME.format("Customer 1", 1),
)
account_without_customer = sql_fault(
    "account_without_customer",
    "A new account was written to the new table only; rolling back would lose it.",
    {_BACK_WRITTEN: {"missing"}},
    do=_ALONE.format(
        "insert into shop.accounts values"
        " (900000, 'new@example.com', 'New', 'DE', now() - interval '1 minute')"
    ),
    undo=_ALONE.format("delete from shop.accounts where account_id = 900000"),
)
# Nothing was written since: only the canary shows it.
trigger_back_off = sql_fault(
    "trigger_back_off",
    "The trigger that writes back to the old table was switched off.",
    {
        _BACK_WRITTEN: {"canary"},
        "schema.integrity[shop]": {"triggers-off"},
        "schema.fingerprint[shop]": {"objects-differ"},
        "schema.migrations-drift[shop]": {"objects-differ"},
    },
    do="alter table shop.accounts disable trigger account_to_customer",
    undo="alter table shop.accounts enable trigger account_to_customer",
)


# All rows are there, so that only the order is wrong.
tables_out_of_order = broken_by(
    "tables_out_of_order",
    "The second table was copied before the first one was verified.",
    {_COPIED: {"order"}},
    lambda levers: (
        levers.sql(
            "create schema readiness_away; grant usage on schema readiness_away to shop_monitor;"
            "create table readiness_away.orders as select order_id, status, created_at"
            " from shop.orders; alter table readiness_away.orders add primary key (order_id);"
            "create table readiness_away.moves (old text, state text, place integer);"
            "insert into readiness_away.moves values"
            " ('shop.customers', 'copied', 1), ('shop.orders', 'copied', 2);"
            "grant select on all tables in schema readiness_away to shop_monitor",
            "drop schema readiness_away cascade",
        ),
        levers.replace_in_config(
            '[databases.shop.transfers.accounts]\nstrategy = "dual-write"\n', _ORDERS
        ),
    ),
)
