"""Drops a schema of ours, run as a module with its name: even after a kill."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg import sql

from readiness.lib.guardian import Guardian
from readiness.lib.postgres import Connection, connect, fetch
from readiness.model.errors import CouldNotMeasure, UsageError
from readiness.model.secrets import Dsn

_DSN: Final = "READINESS_SWEEP_DSN"
_OURS: Final = re.compile(r"readiness_[a-z0-9_]+")
_TIMEOUT_S: Final = 20.0


@contextmanager
def own_schema(connection: Connection, dsn: Dsn, name: str, guardian: Guardian) -> Iterator[None]:
    """A schema of ours in the target; dropped at the end, and also when we die.

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
    """Drop a schema of ours, over a connection of its own: another may be what broke.

    Raises:
        UsageError: it is not one of ours.
        CouldNotMeasure: it could not be dropped.
    """
    if not _OURS.fullmatch(name):
        raise UsageError("is not a schema of ours, and is left alone", where=name)
    try:
        with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
            fetch(
                connection, sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name))
            )
    except CouldNotMeasure as error:
        raise CouldNotMeasure(
            f"our schema could not be dropped: {error.message}",
            where=dsn.address,
            remedy=f"drop it by hand: drop schema if exists {name} cascade",
        ) from error


if __name__ == "__main__":
    drop(Dsn(os.environ[_DSN]), sys.argv[1])
