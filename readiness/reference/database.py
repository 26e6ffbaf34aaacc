"""The shop's database: its roles, its schema and its rows."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

import psycopg
from psycopg import sql

from readiness.reference.providers import Server
from readiness.secrets import register

NAME: Final = "shop"
_ROLES: Final = ("shop_owner", "shop_app", "shop_monitor", "shop_backup", "shop_drill")


@dataclass(frozen=True, slots=True)
class Shop:
    """How to reach the shop's database, as each of its roles.

    Attributes:
        superuser: in the shop's database.
        admin: the superuser in another database, for what cannot be done from inside.
        owner: owns the schema.
        app: what the service runs as.
        monitor: reads statistics and rows.
        backup: reads everything.
        drill: makes schemas of its own, restore points, and finishes WAL files.
        has_statistics: whether it counts the time of statements.
    """

    superuser: str
    admin: str
    owner: str
    app: str
    monitor: str
    backup: str
    drill: str
    has_statistics: bool


def create_shop(server: Server) -> Shop:
    """Make the roles and the empty database; `fill_shop` makes the rest."""
    passwords = {role: secrets.token_hex(16) for role in _ROLES}
    for password in passwords.values():
        register(password)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        _make_roles(connection, passwords)
        for statement in (
            f"create database {NAME} owner shop_owner",
            f"revoke all on database {NAME} from public",
            f"grant connect on database {NAME} to shop_app, shop_monitor, shop_backup, shop_drill",
            f"grant create on database {NAME} to shop_drill",
            "grant pg_monitor to shop_monitor",
            "grant pg_read_all_data to shop_backup",
            "alter role shop_backup bypassrls",
            "alter role shop_app set statement_timeout = '15s'",
        ):
            connection.execute(statement.encode())
    with psycopg.connect(server.dsn(NAME), autocommit=True) as connection:
        connection.execute("grant create on schema public to shop_owner")
        connection.execute(
            "grant execute on function pg_create_restore_point(text), pg_switch_wal() to shop_drill"
        )
        has_statistics = _add_statement_statistics(connection)
    dsns = {role: server.dsn(NAME, role, password) for role, password in passwords.items()}
    return Shop(
        superuser=server.dsn(NAME),
        admin=server.dsn(),
        owner=dsns["shop_owner"],
        app=dsns["shop_app"],
        monitor=dsns["shop_monitor"],
        backup=dsns["shop_backup"],
        drill=dsns["shop_drill"],
        has_statistics=has_statistics,
    )


def fill_shop(shop: Shop) -> None:
    """Make the schema and about 100,000 rows, and let the planner know them."""
    script = resources.files("readiness.reference").joinpath("schema.sql").read_bytes()
    with psycopg.connect(shop.owner) as connection:
        connection.execute(script)
    with psycopg.connect(shop.superuser, autocommit=True) as connection:
        # Vacuumed too, so that autovacuum has no reason to disturb a measurement.
        connection.execute("vacuum analyze")


def _make_roles(
    connection: psycopg.Connection[tuple[object, ...]], passwords: Mapping[str, str]
) -> None:
    for role, password in passwords.items():
        connection.execute(
            sql.SQL("create role {} login password {}").format(
                sql.Identifier(role), sql.Literal(password)
            )
        )


def _add_statement_statistics(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Let the server count the time of statements; False where it cannot."""
    available = connection.execute(
        "select 1 from pg_available_extensions where name = 'pg_stat_statements'"
    ).fetchone()
    loaded = connection.execute("show shared_preload_libraries").fetchone()
    can = bool(available and loaded and "pg_stat_statements" in str(loaded[0]))
    if can:
        connection.execute("create extension pg_stat_statements")
    return can
