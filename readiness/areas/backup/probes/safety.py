"""Protects the target: a restore never goes to the source, and our own schema is dropped.

Run as a module with the name of a schema, it drops that schema: the guardian does so after a kill.
"""

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from psycopg import sql

from readiness.lib.guardian import Guardian
from readiness.lib.postgres import Connection, connect, fetch
from readiness.model.errors import (
    CouldNotMeasure,
    SafetyRefusal,
    TookTooLong,
    Unreachable,
    UsageError,
)
from readiness.model.secrets import Dsn

_TIMEOUT_S: Final = 10.0
_SWEEP_TIMEOUT_S: Final = 20.0
_DSN: Final = "READINESS_SWEEP_DSN"
_OURS: Final = re.compile(r"readiness_[a-z0-9_]+")
_ROOM: Final = 1.2
# A restored copy has the same system identifier as its source: only the moment in which the
# running instance was started tells the two apart.
_INSTANCE: Final = """
    select system_identifier::text, pg_postmaster_start_time()::text from pg_control_system()"""


def refuse_source(scratch: Dsn, source: Dsn) -> None:
    """Refuse a scratch server that is the source itself.

    By host and port, and, where both answer, by the running instance.

    Raises:
        SafetyRefusal: it is the source.
        CouldNotMeasure: the scratch server does not answer, or the source cannot be identified.
    """
    if _addresses(scratch) & _addresses(source):
        raise _is_source("has the host and port of the database itself", scratch)
    mine = _instance(scratch)
    try:
        theirs = _instance(source)
    except (Unreachable, TookTooLong):
        return  # the source is down, and so is not what answers
    if mine == theirs:
        raise _is_source("is the server of the database, under another address", scratch)


def check_space(folder: Path, needed: float, what: str) -> None:
    """Make sure that what is restored fits."""
    free = shutil.disk_usage(folder).free
    if free < _ROOM * needed:
        raise CouldNotMeasure(
            f"{what} needs {_ROOM * needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free",
            where=str(folder),
            remedy="set TMPDIR to a folder on a larger disk, or set `scratch_dsn`",
        )


def _is_source(how: str, scratch: Dsn) -> SafetyRefusal:
    return SafetyRefusal(
        f"the scratch server {how}; nothing was restored",
        where=scratch.address,
        remedy="set `scratch_dsn` to another server, or remove it",
    )


def _instance(dsn: Dsn) -> tuple[object, ...]:
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        return tuple(fetch(connection, _INSTANCE)[0])


def _addresses(dsn: Dsn) -> set[tuple[str, str]]:
    """Every address that it resolves to, with the port."""
    return {(name, port) for host, port in dsn.places for name in {host, *_resolved(host)}}


def _resolved(host: str) -> set[str]:
    if host.startswith(("/", "@")):  # the folder of a socket, or an abstract one
        return set()
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


@contextmanager
def own_schema(connection: Connection, dsn: Dsn, name: str, guardian: Guardian) -> Iterator[None]:
    """A temporary schema in the target; dropped at the end, and also when this process dies.

    Raises:
        NotPermitted: the role may not create a schema.
        CouldNotMeasure: it could not be dropped; the error has the statement that does.
    """
    token = guardian.run([sys.executable, "-m", __name__, name], {_DSN: dsn.reveal()})
    try:
        fetch(connection, sql.SQL("create schema {}").format(sql.Identifier(name)))
        yield
    finally:
        drop(dsn, name)
        guardian.forget(token)


def drop(dsn: Dsn, name: str) -> None:
    """Drop a temporary schema over a new connection: the other one may be broken."""
    if not _OURS.fullmatch(name):
        raise UsageError("not created by readiness, so it is not dropped", where=name)
    try:
        with connect(dsn, timeout_s=_SWEEP_TIMEOUT_S) as connection:
            fetch(
                connection, sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name))
            )
    except CouldNotMeasure as error:
        raise CouldNotMeasure(
            f"the temporary schema could not be dropped: {error.message}",
            where=dsn.address,
            remedy=f"drop it by hand: drop schema if exists {name} cascade",
        ) from error


if __name__ == "__main__":
    drop(Dsn(os.environ[_DSN]), sys.argv[1])
