"""Faults of transfers: one of the two tables is written alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.areas.schema.reference.levers import sql_fault
from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

# Without triggers: as if another program had written one of the two tables alone.
_ALONE: Final = "set session_replication_role = replica; {}; reset session_replication_role"
_AGAIN: Final = _ALONE.format(
    "insert into shop.accounts select customer_id, email, name, country, created_at"
    " from shop.customers where customer_id = {}"
)
_RENAME: Final = _ALONE.format("update shop.accounts set full_name = '{}' where account_id = {}")
_COMPLETE: Final = "schema.transfer-complete[shop.accounts]"
_REVERSIBLE: Final = "schema.transfer-reversible[shop.accounts]"

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
    {_COMPLETE: {"missing"}},
    do=_ALONE.format("delete from shop.accounts where account_id = 3000"),
    undo=_AGAIN.format(3000),
)
value_cut_off = sql_fault(
    "value_cut_off",
    "The copy cut off a name; the row counts are equal.",
    {_COMPLETE: {"differing"}},
    do=_RENAME.format("Cust", 3000),
    undo=_RENAME.format("Customer 3000", 3000),
)
second_write_forgotten = sql_fault(
    "second_write_forgotten",
    "A code path of the application writes only the old table.",
    {_COMPLETE: {"recent-missing"}},
    do=_ALONE.format("delete from shop.accounts where account_id = 1"),
    undo=_AGAIN.format(1),
)
name_changed_in_one_table = sql_fault(
    "name_changed_in_one_table",
    "A recent customer's name was changed in the new table only.",
    {_COMPLETE: {"recent-differing"}, _REVERSIBLE: {"differing"}},
    do=_RENAME.format("Renamed", 1),
    undo=_RENAME.format("Customer 1", 1),
)
account_without_customer = sql_fault(
    "account_without_customer",
    "A new account was written to the new table only; rolling back would lose it.",
    {_REVERSIBLE: {"missing"}},
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
        _REVERSIBLE: {"canary"},
        "schema.integrity[shop]": {"triggers-off"},
        "schema.fingerprint[shop]": {"objects-differ"},
        "schema.migrations-drift[shop]": {"objects-differ"},
    },
    do="alter table shop.accounts disable trigger account_to_customer",
    undo="alter table shop.accounts enable trigger account_to_customer",
)


@fault(
    misses={_COMPLETE: {"order"}},
    story="The second table was copied before the first one was verified.",
)
@contextmanager
def tables_out_of_order(system: "ReferenceSystem") -> Iterator[None]:
    """All rows are there, so that only the order is wrong."""
    with (
        system.levers.sql(
            "create schema readiness_away; grant usage on schema readiness_away to shop_monitor;"
            "create table readiness_away.orders as select order_id, status, created_at"
            " from shop.orders; alter table readiness_away.orders add primary key (order_id);"
            "create table readiness_away.moves (old text, state text, place integer);"
            "insert into readiness_away.moves values"
            " ('shop.customers', 'copied', 1), ('shop.orders', 'copied', 2);"
            "grant select on all tables in schema readiness_away to shop_monitor",
            "drop schema readiness_away cascade",
        ),
        system.levers.replace_in_config(
            '[databases.shop.transfers.accounts]\nstrategy = "dual-write"\n', _ORDERS
        ),
    ):
        yield
