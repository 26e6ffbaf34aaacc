"""What proves the checks of objects, access and data: each turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_NOTES = "shop.delivery_notes"


@fault(
    turns_red={
        "schema.expected-objects[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A clean-up script ran in the wrong database, and dropped a view.",
)
@contextmanager
def view_dropped(system: ReferenceSystem) -> Iterator[None]:
    """The view went out of the way: everything else works."""
    with system.levers.sql(
        "create schema readiness_away; alter view shop.recent_orders set schema readiness_away",
        "alter view readiness_away.recent_orders set schema shop; drop schema readiness_away",
    ):
        yield


@fault(
    turns_red={"schema.row-floors[shop]"},
    story="Nothing has written an order for four days, and the shop answers.",
)
@contextmanager
def no_new_orders(system: ReferenceSystem) -> Iterator[None]:
    """All orders are older, as if their writer had stopped."""
    shift = "update shop.orders set created_at = created_at {} interval '4 days'"
    with system.levers.sql(shift.format("-"), shift.format("+")):
        yield


@fault(
    turns_red={"schema.fingerprint[shop]", "schema.migrations-drift[shop]"},
    story="Somebody added a column by hand, at night.",
)
@contextmanager
def column_by_hand(system: ReferenceSystem) -> Iterator[None]:
    """No migration tells of it."""
    with system.levers.sql(
        "alter table shop.products add column colour text",
        "alter table shop.products drop column colour",
    ):
        yield


@fault(
    turns_red={"schema.fingerprint[shop]"},
    story="Somebody gave a role rights on a table, and told nobody.",
)
@contextmanager
def grant_by_hand(system: ReferenceSystem) -> Iterator[None]:
    """Migrations are compared without the roles, which another server does not have."""
    with system.levers.sql(
        "grant select on shop.products to pg_monitor",
        "revoke select on shop.products from pg_monitor",
    ):
        yield


@fault(
    turns_red={"schema.extensions[shop]"},
    story="The target needs an extension that this server does not have.",
)
@contextmanager
def extension_missing(system: ReferenceSystem) -> Iterator[None]:
    """It was forgotten when the server was made."""
    with system.levers.replace_in_config(
        'extensions = { plpgsql = "*" }', 'extensions = { plpgsql = "*", postgis = "*" }'
    ):
        yield


@fault(
    turns_red={
        "schema.row-security[shop]",
        "schema.row-security-behaviour[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="Row level security was switched off for an import, and stayed off.",
)
@contextmanager
def row_security_off(system: ReferenceSystem) -> Iterator[None]:
    """The policies are all there, and guard nothing."""
    with system.levers.sql(
        f"alter table {_NOTES} disable row level security",
        f"alter table {_NOTES} enable row level security",
    ):
        yield


@fault(
    turns_red={
        "schema.row-security-behaviour[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A policy lets every depot see all rows; its name and all flags are as before.",
)
@contextmanager
def policy_lets_all_in(system: ReferenceSystem) -> Iterator[None]:
    """Only trying it shows what it means."""
    own = "depot = current_setting('shop.depot', true)"
    with system.levers.sql(
        f"alter policy own_depot on {_NOTES} using (true) with check ({own})",
        f"drop policy own_depot on {_NOTES};"
        f"create policy own_depot on {_NOTES} to shop_app using ({own})",
    ):
        yield


@fault(
    turns_red={"schema.application-role[shop]"},
    story="The application's role may create roles, from the day when somebody was in a hurry.",
)
@contextmanager
def powerful_application(system: ReferenceSystem) -> Iterator[None]:
    """It needs none of it."""
    with system.levers.sql("alter role shop_app createrole", "alter role shop_app nocreaterole"):
        yield


@fault(
    turns_red={
        "schema.constraints-validated[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A constraint was added NOT VALID, and nobody validated it.",
)
@contextmanager
def constraint_not_validated(system: ReferenceSystem) -> Iterator[None]:
    """It says nothing of the rows that were there before."""
    with system.levers.sql(
        "alter table shop.products add constraint price_below check (price_cents < 1000000)"
        " not valid",
        "alter table shop.products drop constraint price_below",
    ):
        yield


@fault(
    turns_red={"schema.foreign-key-orphans[shop]"},
    story="Rows were restored with --disable-triggers: their parent is not there.",
)
@contextmanager
def orphans_restored(system: ReferenceSystem) -> Iterator[None]:
    """The constraint says that it is valid."""
    with system.levers.sql(
        "set session_replication_role = replica;"
        "insert into shop.order_items (order_id, product_id, quantity, price_cents)"
        " values (999999999, 1, 1, 1); reset session_replication_role",
        "delete from shop.order_items where order_id = 999999999",
    ):
        yield


@fault(
    turns_red={"schema.sequences-ahead[shop]"},
    story="Products were copied with their numbers, and the sequence was left behind.",
)
@contextmanager
def sequence_behind(system: ReferenceSystem) -> Iterator[None]:
    """The next INSERT fails with a duplicate key."""
    with system.levers.sql(
        "select setval('shop.products_product_id_seq', 100)",
        "select setval('shop.products_product_id_seq', max(product_id)) from shop.products",
    ):
        yield
