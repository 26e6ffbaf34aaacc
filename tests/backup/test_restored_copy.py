"""Restored copies: amcheck, the application, and damaged copies that must be rejected."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from readiness.areas.backup.config import Application, Backup
from readiness.areas.backup.manifest import Manifest, SequenceState, lagging
from readiness.areas.backup.probes.restored_copy import (
    Control,
    DumpFacts,
    Kind,
    amcheck,
    objections,
    try_application,
)
from readiness.lib.postgres import connect, fetch
from readiness.lib.postgres.contents import TableContent
from readiness.model.errors import NotPermitted
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries

Run = Callable[[str], None]


@pytest.mark.contract
@pytest.mark.clients
def test_amcheck_reports_a_damaged_index_and_is_removed(shop: Dsn, run: Run) -> None:
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


@pytest.mark.contract
@pytest.mark.clients
def test_amcheck_without_the_right_is_not_a_corruption(shop: Dsn, role: Dsn, run: Run) -> None:
    run("create extension amcheck")
    name = role.reveal().partition("//")[2].partition("@")[0]
    database = shop.address.rpartition("/")[2]
    poor = Dsn(f"postgresql://{name}@{shop.address.partition('/')[0]}/{database}")
    with pytest.raises(NotPermitted, match="permission denied"):
        amcheck(poor, find_binaries(), timeout_s=60)


@pytest.mark.contract
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


NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
ROWS = {"public.t": TableContent(2, "7")}
BACKUP = Backup(name="shop", database="shop", path="/backups")


def manifest() -> Manifest:
    return Manifest(
        database="shop", server_version="15.1", dump="a.dump", started_at=NOW, finished_at=NOW,
        sha256="0" * 64, bytes=5000, roles=[], tables=ROWS,
    )  # fmt: skip


def facts(**changes: object) -> DumpFacts:
    plain = {"taken_at": NOW, "size": 5000, "readable": True, "sha256": "0" * 64, "contents": ROWS}
    return DumpFacts(**(plain | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"taken_at": NOW - timedelta(hours=27)}, {Kind.STALE}),
        ({"size": 10}, {Kind.SMALL}),
        ({"readable": False}, {Kind.UNREADABLE}),
        ({"sha256": "1" * 64}, {Kind.ALTERED}),
        ({"contents": {"public.t": TableContent(1, "3")}}, {Kind.CONTENTS}),
        ({"contents": None}, set()),
    ],
)
def test_each_damage_has_its_objection(changes: dict[str, object], expected: set[Kind]) -> None:
    assert objections(facts(**changes), manifest(), BACKUP, NOW) == expected


def test_damaged_copy_must_be_rejected_for_a_fitting_reason() -> None:
    fits = Control("cut off", {Kind.UNREADABLE}, {Kind.UNREADABLE})
    other = Control("old", {Kind.STALE}, {Kind.ALTERED})
    assert (fits.rejected, other.rejected) == (True, False)


@pytest.mark.parametrize(
    ("before", "after", "lags"),
    [
        (SequenceState(5), SequenceState(5), False),
        (SequenceState(5), SequenceState(9), False),
        (SequenceState(5), SequenceState(4), True),
        (SequenceState(5), SequenceState(None), True),
        (SequenceState(None), SequenceState(None), False),
        (SequenceState(-5, rising=False), SequenceState(-4, rising=False), True),
        (SequenceState(-5, rising=False), SequenceState(-6, rising=False), False),
        (SequenceState(5, cycles=True), SequenceState(1, cycles=True), False),
    ],
)
def test_sequence_lags_when_it_would_issue_a_value_again(
    before: SequenceState, after: SequenceState, lags: bool
) -> None:
    assert bool(lagging({"s": before}, {"s": after})) is lags


def test_a_missing_sequence_is_named() -> None:
    assert lagging({"shop.s": SequenceState(1)}, {}) == ["shop.s is missing"]
