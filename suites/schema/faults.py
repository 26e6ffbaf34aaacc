"""Faults of objects, rows and access."""

from typing import Final

from readiness.areas.schema.reference.levers import sql_fault
from readiness.model.fault import broken_by

_NOTES: Final = "shop.delivery_notes"
_OWN: Final = "depot = current_setting('shop.depot', true)"
_RESTORE_POLICY: Final = (
    f"drop policy if exists own_depot on {_NOTES};"
    f"create policy own_depot on {_NOTES} to shop_app using ({_OWN})"
)
_CHANGED: Final = {
    "schema.fingerprint[shop]": {"objects-differ"},
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
    {"schema.fingerprint[shop]": {"objects-differ"}},
    do="grant select on shop.products to pg_monitor",
    undo="revoke select on shop.products from pg_monitor",
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
        _WRITES: {"refused"},
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
    _CHANGED | {_SECURITY: {"others-seen", "no-tenant"}},
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
powerful_application = sql_fault(
    "powerful_application",
    "The application's role was allowed to create roles, which it does not need.",
    {"schema.application-role[shop]": {"powers"}},
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
