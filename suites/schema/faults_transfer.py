"""What proves the checks of transfers: each turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

# Without triggers: as if another program had written one of the two tables alone.
_ALONE = "set session_replication_role = replica; {}; reset session_replication_role"
_AGAIN = _ALONE.format(
    "insert into shop.accounts select customer_id, email, name, country, created_at"
    " from shop.customers where customer_id = {}"
)


@fault(
    turns_red={"schema.transfer-complete[shop.accounts]"},
    story="The copy skipped a row, months ago.",
)
@contextmanager
def row_not_copied(system: ReferenceSystem) -> Iterator[None]:
    """One of five thousand."""
    with system.levers.sql(
        _ALONE.format("delete from shop.accounts where account_id = 3000"), _AGAIN.format(3000)
    ):
        yield


@fault(
    turns_red={"schema.transfer-complete[shop.accounts]"},
    story="The copy cut off a name: the counts agree.",
)
@contextmanager
def value_cut_off(system: ReferenceSystem) -> Iterator[None]:
    """Only the contents tell."""
    with system.levers.sql(
        _ALONE.format("update shop.accounts set full_name = 'Cust' where account_id = 3000"),
        _ALONE.format(
            "update shop.accounts set full_name = 'Customer 3000' where account_id = 3000"
        ),
    ):
        yield


@fault(
    turns_red={"schema.transfer-in-step[shop.accounts]"},
    story="One path of the application was forgotten: it writes the old table alone.",
)
@contextmanager
def second_write_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """The newest customer has no account."""
    with system.levers.sql(
        _ALONE.format("delete from shop.accounts where account_id = 1"), _AGAIN.format(1)
    ):
        yield


@fault(
    turns_red={"schema.transfer-reversible[shop.accounts]"},
    story="A new account was written to the new table alone: going back would lose it.",
)
@contextmanager
def account_without_customer(system: ReferenceSystem) -> Iterator[None]:
    """All that is in the old table is in the new one."""
    with system.levers.sql(
        _ALONE.format(
            "insert into shop.accounts values"
            " (900000, 'new@example.com', 'New', 'DE', now() - interval '1 minute')"
        ),
        _ALONE.format("delete from shop.accounts where account_id = 900000"),
    ):
        yield


@fault(
    turns_red={
        "schema.transfer-reversible[shop.accounts]",
        "schema.constraints-validated[shop]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="The trigger that writes back to the old table was switched off.",
)
@contextmanager
def way_back_off(system: ReferenceSystem) -> Iterator[None]:
    """Nothing has been written since: only a row of our own shows it."""
    with system.levers.sql(
        "alter table shop.accounts disable trigger account_to_customer",
        "alter table shop.accounts enable trigger account_to_customer",
    ):
        yield
