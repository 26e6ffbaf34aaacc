"""A restored copy: checked by amcheck, and used by the application."""

from collections.abc import Callable

import pytest

from readiness.areas.backup.config import Application
from readiness.areas.backup.probes.restored_copy import amcheck, try_application
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import NotPermitted
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


@pytest.mark.clients
def test_amcheck_sees_an_index_in_another_order_and_leaves_nothing(shop: Dsn, run: Run) -> None:
    """No checksum sees it: every page is as it was written."""
    found = amcheck(shop, find_binaries(), timeout_s=60)
    assert found.corrupt == ()
    assert found.relations > 50
    run(
        """
        create function backwards(int, int) returns int language sql immutable as
            'select btint4cmp($1, $2)';
        create operator class backwards for type int using btree as
            operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
            function 1 backwards(int, int);
        create index odd on shop.orders (customer_id backwards);
        create or replace function backwards(int, int) returns int language sql immutable as
            'select btint4cmp($2, $1)';
        """
    )
    assert "invariant violated" in amcheck(shop, find_binaries(), timeout_s=60).corrupt[0]
    with connect(shop, timeout_s=5) as connection:
        assert fetch(connection, "select 1 from pg_extension where extname = 'amcheck'") == []


@pytest.mark.clients
def test_amcheck_without_the_right_is_not_a_corruption(shop: Dsn, role: Dsn, run: Run) -> None:
    run("create extension amcheck")
    name = role.reveal().partition("//")[2].partition("@")[0]
    database = shop.address.rpartition("/")[2]
    poor = Dsn(f"postgresql://{name}@{shop.address.partition('/')[0]}/{database}")
    with pytest.raises(NotPermitted, match="permission denied"):
        amcheck(poor, find_binaries(), timeout_s=60)


def test_the_application_writes_and_leaves_nothing(shop: Dsn, run: Run) -> None:
    run("create role shopper; grant usage on schema shop to shopper")
    run("grant select, insert on shop.orders to shopper; grant usage on all sequences in schema"
        " shop to shopper")  # fmt: skip
    try:
        application = Application(
            role="shopper",
            reads=["select 1 from shop.orders limit 1", "select 1 from shop.customers limit 1"],
            writes=["insert into shop.orders (customer_id, amount) values (1, 1)"],
        )
        tried = try_application(shop, application)
        assert [(one.writes, one.rows.value, one.problem) for one in tried] == [
            (False, 1, ""),
            (False, 0, "permission denied for table customers"),
            (True, 1, ""),
        ]
        with connect(shop, timeout_s=5) as connection:
            assert fetch(connection, "select count(*)::int from shop.orders") == [(500,)]
    finally:
        run("drop owned by shopper; drop role shopper")
