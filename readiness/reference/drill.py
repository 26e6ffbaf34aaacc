"""Closes and reopens the shop database: `python -m readiness.reference.drill away|back`.

Needs REFERENCE_ADMIN_DSN in the environment: a superuser, in another database than the shop's.
"""

import os
import sys
from typing import Final

import psycopg
from psycopg import sql

DATABASE: Final = "shop"
ADMIN_DSN: Final = "REFERENCE_ADMIN_DSN"


def away(admin_dsn: str, database: str = DATABASE) -> None:
    """Refuse new connections to the database, and end those there are."""
    _allow(admin_dsn, database, allowed=False)


def back(admin_dsn: str, database: str = DATABASE) -> None:
    """Accept connections again."""
    _allow(admin_dsn, database, allowed=True)


def _allow(admin_dsn: str, database: str, *, allowed: bool) -> None:
    with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=5) as connection:
        connection.execute(
            sql.SQL("alter database {} allow_connections {}").format(
                sql.Identifier(database), sql.Literal(allowed)
            )
        )
        if not allowed:
            connection.execute(
                "select pg_terminate_backend(pid, 2000) from pg_stat_activity where datname = %s",
                [database],
            )


def main(arguments: list[str]) -> int:
    """Exit status 0, or 2 for wrong arguments."""
    dsn = os.environ.get(ADMIN_DSN, "")
    if arguments not in (["away"], ["back"]) or not dsn:
        print(f"usage: {ADMIN_DSN}=... python -m {__spec__.name} away|back", file=sys.stderr)  # noqa: T201
        return 2
    (away if arguments == ["away"] else back)(dsn)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
