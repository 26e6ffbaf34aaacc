"""Whether the application can write: each fault is mended by the statement that its message has."""

from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.database.probes import replication
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.advice import advised
from tests.support.database_health import database, execute, judged, missed, name_of, obey
from tests.support.processes import eventually
from tests.support.servers import Run

pytestmark = pytest.mark.contract

_SHOP = """
create role {app} login; create schema shop; grant usage on schema shop to {app};
create table shop.orders (id bigint primary key, note text);
insert into shop.orders select 1, 'x'; grant select, insert, update, delete on shop.orders to {app};
create table shop.outbox (id bigint not null, state text)"""
_ANALYST = "create role {app}_2 login; grant update on shop.orders to {app}_2"
_PERSON = "create role {app}_2 login; grant select on shop.orders to {app}_2"
_READ_ONLY = "default_transaction_read_only"
_UNIQUE = "create unique index outbox_id on shop.outbox (id)"
_IDENTITY = f"{_UNIQUE}; alter table shop.outbox replica identity using index outbox_id"
_CHANGED = "create publication p for table shop.outbox; grant update on shop.outbox to {app}"
_PARTS = """create table shop.log (at int not null, v text) partition by range (at);
create table shop.log_1 partition of shop.log for values from (0) to (9)"""

_FROZEN = "create rule frozen as on insert to shop.orders {} do {} nothing"
_REFUNDS = "create table shop.refunds (id serial); grant insert on shop.refunds to {app}"

Make = Callable[..., Database]


@pytest.fixture
def shop(dsn: Dsn, role: Dsn, run: Run) -> Iterator[Make]:
    """Makes a shop with an application's role, as the monitoring role sees it."""
    app = f"{name_of(role)}_app"
    run(f"grant pg_monitor to {name_of(role)}")

    def make(setup: str, **changes: object) -> Database:
        for part in (_SHOP, setup):
            filled = part.replace("{app}", app).replace("{db}", dsn.address.rpartition("/")[2])
            for statement in filled.split(";"):
                if statement.strip():
                    run(statement)
        return database(role, **changes)

    yield make
    for name in (app, f"{app}_2"):
        with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
            connection.execute("set default_transaction_read_only = off")
            if connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
                connection.execute(f"drop owned by {name}")
                connection.execute(f"drop role {name}")


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("alter role {app} set default_transaction_read_only = on", "read-only: 1 of 1 roles"),
        ("alter role {app} set default_transaction_read_only = 'tr'", "read-only: 1 of 1 roles"),
        (
            "alter database {db} set default_transaction_read_only = on",
            "by a setting of the database {db}: alter database {db} reset",
        ),
        (
            "alter role {app} in database {db} set default_transaction_read_only = on",
            "by a setting of the role {app} in {db}",
        ),
        (f"{_ANALYST}; alter role {{app}}_2 set default_transaction_read_only = on", "!read-only"),
        ("alter role {app} valid until '2026-01-02'", "password: 1 of 1 roles of the application"),
        ("alter role {app} set session_replication_role = replica", "triggers-skipped: 1 of 1"),
        (
            "alter database {db} set session_replication_role = replica",
            "triggers-skipped: 1 of 1 roles",
        ),
        (f"{_UNIQUE}; {_CHANGED}", "replica-identity: 1 of 2 published tables"),
        (
            "create publication p for all tables; grant delete on shop.outbox to {app}",
            "alter table shop.outbox replica identity full;",
        ),
        (
            "create publication p for table shop.outbox; grant insert on shop.outbox to {app}",
            "!replica-identity",
        ),
        (f"{_PARTS}; create publication p for table shop.log", "shop.log_1 (published by p)"),
        (f"{_IDENTITY}; {_CHANGED}; drop index shop.outbox_id", "replica-identity: 1 of 2"),
        (
            "create publication p for table shop.orders where (note <> 'x')",
            "(published by p): alter table shop.orders replica identity full;",
        ),
        (
            "create publication p for table shop.orders (note) where (id > 1)",
            "alter publication p add table shop.orders (id, note) where ((id > 1));",
        ),
        (_FROZEN.format("", "instead"), "discarded: 1 of 2 tables discard each row"),
        (_REFUNDS, "shop.refunds: grant usage on sequence shop.refunds_id_seq to {app};"),
        ("revoke usage on schema shop from {app}", "shop.orders: grant usage on schema shop to"),
        ("alter table shop.orders set unlogged", "unlogged: 1 of 2 tables unlogged"),
        ("alter table shop.outbox set unlogged", "!unlogged: 1 of 2 tables unlogged"),
    ],
)  # fmt: skip
def test_writes_that_fail_or_are_lost(
    shop: Make, run: Run, dsn: Dsn, role: Dsn, setup: str, expected: str
) -> None:
    subject = shop(setup)
    said = missed(judged("writable", subject))
    names = {"app": f"{name_of(role)}_app", "db": dsn.address.rpartition("/")[2]}
    assert expected.format(**names) in said
    obey(said, run)
    assert missed(judged("writable", subject)) == ""


@pytest.mark.parametrize(
    "setup",
    [
        # Rows are discarded by a condition, not at all, where nobody inserts, or not by INSERT.
        _FROZEN.format("where new.id < 0", "instead"),
        _FROZEN.format("", "also"),
        _FROZEN.format("", "instead").replace("orders", "outbox"),
        _FROZEN.format("", "instead").replace("on insert", "on delete"),
        "create temp table t (n int)",
        # A role of persons, and one that nothing uses any more.
        f"{_PERSON}; alter role {{app}}_2 set default_transaction_read_only = on",
        f"{_ANALYST}; alter role {{app}}_2 valid until '2026-01-02'",
        # A role that applies the changes of another database.
        f"{_ANALYST}; alter role {{app}}_2 set session_replication_role = replica",
        f"alter role {{app}} set {_READ_ONLY} = off; alter database {{db}} set {_READ_ONLY} = on",
        "alter role {app} valid until 'infinity'",
        "create publication p for all tables with (publish = 'insert')",
        f"{_IDENTITY}; create publication p for table shop.outbox",
        "create publication p for table shop.orders",
        "create publication p for table shop.orders (id) where (id > 1)",
        "create publication p for table shop.orders where (note <> 'x') with (publish = 'insert')",
    ],
)
def test_what_is_meant_so_passes(shop: Make, setup: str) -> None:
    assert missed(judged("writable", shop(setup))) == ""


def test_tables_may_be_declared_to_be_unlogged(shop: Make) -> None:
    subject = shop("alter table shop.orders set unlogged", unlogged=["shop.ord*"])
    assert missed(judged("writable", subject)) == ""


_LOCKS = """create unlogged table shop.modes (id int primary key);
    create unlogged table shop.locks (id int primary key references shop.modes);
    insert into shop.modes values (1); insert into shop.locks values (1)"""


def test_a_table_is_logged_after_those_that_it_references(shop: Make, run: Run) -> None:
    subject = shop(_LOCKS)
    *statements, accepted = judged("writable", subject).commands
    assert accepted.endswith('unlogged = ["shop.locks", "shop.modes"]')
    assert statements[0] == "alter table shop.modes set logged; alter table shop.locks set logged;"
    for statement in statements:
        run(statement)
    assert missed(judged("writable", subject)) == ""


def test_a_circle_of_unlogged_tables_can_only_be_accepted(shop: Make) -> None:
    circle = "alter table shop.modes add foreign key (id) references shop.locks"
    evidence = judged("writable", shop(f"{_LOCKS}; {circle}"))
    assert "shop.locks: its foreign keys form a circle of unlogged tables" in missed(evidence)
    (accepted,) = evidence.commands
    assert accepted.endswith('unlogged = ["shop.locks", "shop.modes"]')


def test_our_own_role_may_be_read_only(shop: Make, run: Run, role: Dsn) -> None:
    subject = shop("")
    run(f"alter role {name_of(role)} set default_transaction_read_only = on")
    assert missed(judged("writable", subject)) == ""


def test_password_that_ends_soon_is_a_warning(shop: Make, run: Run, role: Dsn) -> None:
    subject = shop("")
    run(f"do $$ begin execute format('alter role {name_of(role)}_app valid until %L',"
        " now() + interval '3 days'); end $$")  # fmt: skip
    said = missed(judged("writable", subject))
    assert said.startswith("!password: 1 of 1 passwords of the application end within 14 days")


def test_connections_of_a_role_with_a_limit(shop: Make, server: PrivatePostgres, dsn: Dsn) -> None:
    subject = shop("alter role {app} connection limit 2 password 'correct horse'")
    app = f"{name_of(subject.dsn)}_app"
    address = server.dsn(dsn.address.rpartition("/")[2], app, "correct horse")
    assert missed(judged("connections", subject)) == ""
    with psycopg.connect(address), psycopg.connect(address):
        said = missed(judged("connections", subject))
        execute(server.dsn(), advised("database.connections", "alter role", ROLE=app))
        assert missed(judged("connections", subject)) == ""
    assert f"Connections in use of 2 (the connection limit of the role {app}): 100 %" in said


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    with PrivatePostgres.start(tmp_path_factory.mktemp("postgres")) as server:
        yield server


def test_settings_of_the_whole_server(
    alone: PrivatePostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication, "_PATIENCE_S", 0.1)
    subject = database(Dsn(alone.dsn()))

    def run(text: str) -> None:
        execute(alone.dsn(), text)

    def said(check: str) -> str:
        return missed(judged(check, subject))

    for setting, value, check, expected in (
        ("default_transaction_read_only", "on", "writable", "read-only: 1 of 1"),
        ("session_replication_role", "replica", "writable", "triggers-skipped"),
        ("synchronous_standby_names", "FIRST 2 (a, b)", "writable", "0 of 2 synchronous standbys"),
        ("track_counts", "off", "settings-durability", "autovacuum: track_counts is off"),
        ("zero_damaged_pages", "on", "settings-durability", "damage-reported"),
    ):
        run(f"alter system set {setting} = '{value}'")
        run("select pg_reload_conf()")
        assert eventually(partial(lambda text, of: text in said(of), expected, check))
        obey(said(check), run)
        if "select pg_reload_conf()" not in said(check):
            run(advised("database.settings-durability", "alter system reset", SETTING=setting))
            run("select pg_reload_conf()")
        assert eventually(partial(lambda text, of: text not in said(of), expected, check))
