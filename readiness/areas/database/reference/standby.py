"""The standby of the reference system's database: it follows, and can be read."""

from pathlib import Path
from typing import Final

import psycopg

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.provider import Server
from readiness.servers.shop import Shop
from readiness.servers.standby import PrivateStandby
from readiness.servers.without import VARIABLE, refused

NAME: Final = "replica"
SLOT: Final = "readiness_replica"


def start_standby(
    server: Server, shop: Shop, folder: Path, guardian: Guardian
) -> tuple[PrivateStandby | None, str]:
    """Start a standby, where the provider can have one; else why there is none."""
    if not isinstance(server, PrivatePostgres):
        return None, "the reference system has a standby only of a server on this machine"
    if refused("pg_basebackup"):
        return None, f"pg_basebackup is not to be used: ${VARIABLE} names it"
    try:
        server.binaries.program("pg_basebackup")
        dsn = f"{shop.replica}?application_name={NAME}"
        return (
            PrivateStandby.follow(server, folder, dsn=dsn, slot=SLOT, guardian=guardian),
            "",
        )
    except ReadinessError as problem:
        return None, problem.sentence


def execute_on(standby: PrivateStandby, *statements: str) -> None:
    """Run statements on the standby, as superuser."""
    with psycopg.connect(standby.dsn(), autocommit=True, connect_timeout=5) as connection:
        for statement in statements:
            connection.execute(statement.encode())
