"""The shop's database: its roles, its migrations and its rows."""

import secrets
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.schema.manifest import save
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import Dsn, register
from readiness.servers.programs import refused
from readiness.servers.shop import NAME, Server, Shop

_UP: Final = ".up.sql"
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
# A copied database is as old as its template: the newest orders get new times, as in rows.sql.
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
    """Create the roles and the empty database if they do not exist; `fill_shop` does the rest."""
    passwords = {role: secrets.token_hex(16) for role in _ROLES}
    for password in passwords.values():
        register(password)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if not _exists(connection):
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


def _exists(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
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
        # A backup contains the rows of all depots, and row counts include all of them.
        "alter role shop_backup bypassrls",
        "alter role shop_monitor bypassrls",
        "alter role shop_app set statement_timeout = '15s'",
    ):
        connection.execute(statement.encode())


def fill_shop(shop: Shop) -> None:
    """Create the schema and about 100,000 rows if they do not exist, and update statistics."""
    with psycopg.connect(shop.owner) as connection:
        if _is_filled(connection):
            connection.execute(_FRESH.encode(), [_ORDERS, _ORDERS - _NEWEST])
        else:
            migrate(connection)
    with psycopg.connect(shop.superuser, autocommit=True) as connection:
        # Vacuumed too, so that autovacuum does not disturb a measurement.
        connection.execute("vacuum analyze")


def _is_filled(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the schema and its rows exist, as in a copied server."""
    found = connection.execute("select to_regclass('public.schema_migrations') is not null")
    return found.fetchone() == (True,)


def must_be_whole(server: Server) -> None:
    """Read all rows of the shop's large tables.

    Raises:
        ReferenceSystemError: rows are missing.
        psycopg.Error: they cannot be read.
    """
    with psycopg.connect(server.dsn(NAME), connect_timeout=5) as connection:
        found = connection.execute(_WHOLE.encode()).fetchone()
    if found != (_ORDERS, _ORDERS, True):
        raise ReferenceSystemError(f"rows of the shop are missing: {found}", where=NAME)


def read_shop(shop: Shop) -> None:
    """Look up orders for a while: the hit ratio of an unused cache means nothing."""
    with psycopg.connect(shop.app, autocommit=True) as connection:
        connection.execute("set enable_hashjoin = off; set enable_mergejoin = off")
        for first in _TIMES * tuple(range(1, _ORDERS, _LOOKED_UP)):
            connection.execute(_LOOK_UP, [first, first + _LOOKED_UP - 1])


def migrate(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Apply all migrations in one transaction; rows come after the first, before the keys."""
    connection.execute(
        b"create table public.schema_migrations (version text primary key,"
        b" applied_at timestamptz not null default now());"
        b" grant select on public.schema_migrations to shop_monitor"
    )
    for number, file in enumerate(_files(_UP)):
        connection.execute(file.read_bytes())
        # Each migration sets its own timeouts and search_path.
        connection.execute(b"reset all")
        version = file.name.partition("_")[0]
        connection.execute(b"insert into public.schema_migrations values (%s)", [version])
        if number == 0:
            rows = resources.files("readiness.reference").joinpath("rows.sql")
            connection.execute(rows.read_bytes())
            connection.execute(b"reset all")


def copy_files(folder: Path) -> Path:
    """Copy the migrations into a folder, as in the shop's repository; returns it."""
    target = folder / "migrations"
    target.mkdir()
    for file in _files(".sql"):
        (target / file.name).write_bytes(file.read_bytes())
    return target


def save_manifest(monitor: str, folder: Path) -> Path:
    """Save the current schema as `readiness schema save` does; returns the file."""
    path = folder / "schema.json"
    save(Dsn(monitor), path, timeout_s=10)
    return path


def _files(suffix: str) -> list[Traversable]:
    folder = resources.files("readiness.reference").joinpath("migrations")
    found = [file for file in folder.iterdir() if file.name.endswith(suffix)]
    return sorted(found, key=lambda file: file.name)


def _set_passwords(
    connection: psycopg.Connection[tuple[object, ...]], passwords: Mapping[str, str]
) -> None:
    for role, password in passwords.items():
        connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(password))
        )


def _add_statement_statistics(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Enable pg_stat_statements; False where it is not loaded or not available."""
    loaded = connection.execute("show shared_preload_libraries").fetchone()
    can = bool(loaded and "pg_stat_statements" in str(loaded[0]))
    return can and _add(connection, "pg_stat_statements")


def _add_amcheck(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Let the monitoring role check for corruption; False where amcheck is not available."""
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
    """Create an extension; False where it is not available."""
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
