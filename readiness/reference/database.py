"""The shop's database: its roles, its schema and its rows."""

import secrets
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql

from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import register
from readiness.reference.migrate import migrate
from readiness.servers.programs import refused
from readiness.servers.shop import NAME, Server, Shop

_ROLES: Final = (
    "shop_owner",
    "shop_app",
    "shop_monitor",
    "shop_backup",
    "shop_replica",
    "shop_drill",
)
_ORDERS: Final = 30_000
_NEWEST: Final = 100
# A copied shop is as old as what it was copied from: its last orders come in again, as in rows.sql.
_FRESH: Final = """
update shop.orders set created_at = now() - (%s - order_id) * interval '10 minutes'
where order_id > %s"""
_WHOLE: Final = """
select (select count(total_cents) from shop.orders),
       (select count(distinct order_id) from shop.order_items where quantity > 0),
       (select count(email) > 0 from shop.customers)"""
_LOOKED_UP: Final = 500
_TIMES: Final = 4
_LOOK_UP: Final = """
select sum(i.quantity * p.price_cents) from shop.orders o
join shop.order_items i using (order_id)
join shop.products p using (product_id)
join shop.customers c using (customer_id)
where o.order_id between %s and %s"""


def create_shop(server: Server) -> Shop:
    """Make the roles and the empty database, if they are not there; `fill_shop` makes the rest."""
    passwords = {role: secrets.token_hex(16) for role in _ROLES}
    for password in passwords.values():
        register(password)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if not _is_there(connection):
            _make_database(connection)
        _set_passwords(connection, passwords)
    with psycopg.connect(server.dsn(NAME), autocommit=True) as connection:
        connection.execute("grant create on schema public to shop_owner")
        connection.execute(
            "grant execute on function pg_create_restore_point(text), pg_switch_wal() to shop_drill"
        )
        has_statistics = _add_statement_statistics(connection)
        has_amcheck = _add_amcheck(connection)
        release = str(connection.info.parameter_status("server_version")).partition(" ")[0]
        measures_bloat = _add(connection, "pgstattuple")
    dsns = {role: server.dsn(NAME, role, password) for role, password in passwords.items()}
    return Shop(
        superuser=server.dsn(NAME),
        admin=server.dsn(),
        owner=dsns["shop_owner"],
        app=dsns["shop_app"],
        monitor=dsns["shop_monitor"],
        backup=dsns["shop_backup"],
        replica=dsns["shop_replica"],
        release=release,
        drill=dsns["shop_drill"],
        has_statistics=has_statistics,
        has_amcheck=has_amcheck,
        measures_bloat=measures_bloat,
    )


def _is_there(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    found = connection.execute("select 1 from pg_database where datname = %s", [NAME])
    return found.fetchone() is not None


def _make_database(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for role in _ROLES:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    for statement in (
        f"create database {NAME} owner shop_owner",
        f"revoke all on database {NAME} from public",
        f"grant connect on database {NAME} to shop_app, shop_monitor, shop_backup, shop_drill",
        f"grant create on database {NAME} to shop_drill",
        "grant pg_monitor to shop_monitor",
        "grant pg_read_all_data to shop_backup",
        "alter role shop_replica replication",
        # A backup holds the rows of all depots, and what counts rows counts all of them.
        "alter role shop_backup bypassrls",
        "alter role shop_monitor bypassrls",
        "alter role shop_app set statement_timeout = '15s'",
    ):
        connection.execute(statement.encode())


def fill_shop(shop: Shop) -> None:
    """Make the schema and about 100,000 rows, if they are not there; let the planner know them."""
    with psycopg.connect(shop.owner) as connection:
        if _is_filled(connection):
            connection.execute(_FRESH.encode(), [_ORDERS, _ORDERS - _NEWEST])
        else:
            migrate(connection)
    with psycopg.connect(shop.superuser, autocommit=True) as connection:
        # Vacuumed too, so that autovacuum has no reason to disturb a measurement.
        connection.execute("vacuum analyze")


def _is_filled(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the schema and its rows are there, as in a server that was copied."""
    found = connection.execute("select to_regclass('public.schema_migrations') is not null")
    return found.fetchone() == (True,)


def must_be_whole(server: Server) -> None:
    """Read all rows of the shop's large tables.

    Raises:
        ReferenceSystemError: they are not all there.
        psycopg.Error: they cannot be read.
    """
    with psycopg.connect(server.dsn(NAME), connect_timeout=5) as connection:
        found = connection.execute(_WHOLE.encode()).fetchone()
    if found != (_ORDERS, _ORDERS, True):
        raise ReferenceSystemError(f"rows of the shop are missing: {found}", where=NAME)


def read_shop(shop: Shop) -> None:
    """Look orders up for a while, as on any day: a cache that was never used tells nothing."""
    with psycopg.connect(shop.app, autocommit=True) as connection:
        connection.execute("set enable_hashjoin = off; set enable_mergejoin = off")
        for first in _TIMES * tuple(range(1, _ORDERS, _LOOKED_UP)):
            connection.execute(_LOOK_UP, [first, first + _LOOKED_UP - 1])


def _set_passwords(
    connection: psycopg.Connection[tuple[object, ...]], passwords: Mapping[str, str]
) -> None:
    for role, password in passwords.items():
        connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(password))
        )


def _add_statement_statistics(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Let the server count the time of statements; False where it cannot."""
    loaded = connection.execute("show shared_preload_libraries").fetchone()
    can = bool(loaded and "pg_stat_statements" in str(loaded[0]))
    return can and _add(connection, "pg_stat_statements")


def _add_amcheck(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Let the monitoring role look for damage; False where the server has no amcheck."""
    if not _add(connection, "amcheck"):
        return False
    functions = connection.execute(
        "select oid::regprocedure::text from pg_proc"
        " where proname in ('bt_index_check', 'verify_heapam')"
    ).fetchall()
    for (function,) in functions:
        connection.execute(f"grant execute on function {function} to shop_monitor".encode())
    return True


def _add(connection: psycopg.Connection[tuple[object, ...]], extension: str) -> bool:
    """Make an extension; False where the server has none of that name."""
    available = (
        not refused(extension)
        and connection.execute(
            "select 1 from pg_available_extensions where name = %s", [extension]
        ).fetchone()
    )
    if available:
        connection.execute(
            sql.SQL("create extension if not exists {}").format(sql.Identifier(extension))
        )
    return bool(available)
