"""The standby of the reference system's database, and levers on it."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg

from readiness.areas.database.reference.session_levers import await_true
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError
from readiness.servers.postgres import PrivatePostgres, PrivateStandby
from readiness.servers.programs import WITHOUT, refused
from readiness.servers.shop import Server, Shop

NAME: Final = "replica"
SLOT: Final = "readiness_replica"


def start_standby(
    server: Server, shop: Shop, folder: Path, guardian: Guardian
) -> tuple[PrivateStandby | None, str]:
    """Start a standby, where the provider can have one; else why there is none."""
    if not isinstance(server, PrivatePostgres):
        return None, "the reference system has a standby only of a server on this machine"
    if refused("pg_basebackup"):
        return None, f"pg_basebackup is not to be used: ${WITHOUT} names it"
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


_STREAMS = "select count(*) {} 1 from pg_stat_replication where application_name = '{}'"


@contextlib.contextmanager
def paused(standby: PrivateStandby) -> Iterator[None]:
    """It receives, and replays nothing."""
    execute_on(standby, "select pg_wal_replay_pause()")
    try:
        await_true(standby.dsn(), "select pg_is_wal_replay_paused()")
        yield
    finally:
        execute_on(standby, "select pg_wal_replay_resume()")


@contextlib.contextmanager
def renamed(standby: PrivateStandby, primary: str) -> Iterator[None]:
    """It streams under another name."""
    name = "replica_2"
    with _connects(standby, primary, "application_name=[^ ]*", f"application_name={name}"):
        await_true(primary, _STREAMS.format(">=", name))
        yield


@contextlib.contextmanager
def cut_off(standby: PrivateStandby, primary: str) -> Iterator[None]:
    """It looks for its primary at a port where nobody listens, and answers as before."""
    with _connects(standby, primary, r"\bport=\d+", "port=1"):
        await_true(primary, _STREAMS.format("<", NAME))
        yield


@contextlib.contextmanager
def _connects(standby: PrivateStandby, primary: str, old: str, new: str) -> Iterator[None]:
    """Let it connect to its primary in another way."""
    with psycopg.connect(standby.dsn(), connect_timeout=5) as connection:
        row = connection.execute("show primary_conninfo").fetchone()
        before = str(row[0]) if row else ""
    _set(standby, re.sub(old, new, before))
    try:
        yield
    finally:
        _set(standby, before)
        await_true(primary, _STREAMS.format(">=", NAME))


def _set(standby: PrivateStandby, conninfo: str) -> None:
    quoted = conninfo.replace("'", "''")
    execute_on(
        standby, f"alter system set primary_conninfo = '{quoted}'", "select pg_reload_conf()"
    )
