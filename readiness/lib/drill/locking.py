"""Excludes other drills of the same target: by a locked file and by a lock in the database."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import psycopg

from readiness.lib.drill.notes import Place
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn

_DAY_S: Final = 86_400.0


class Reached(Protocol):
    """A database, as a configuration names it."""

    @property
    def dsn(self) -> Dsn:
        """How to reach it."""
        ...

    @property
    def timeout_s(self) -> float:
        """How long one statement may take."""
        ...


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the lock on this machine; the kernel releases it however the process ends.

    Raises:
        CouldNotMeasure: another process holds it; there is no waiting.
    """
    try:
        place.folder.mkdir(mode=0o700, exist_ok=True)
        file = place.lock.open("a")
    except OSError as error:
        raise CouldNotMeasure(
            f"cannot be written: {error.strerror}",
            where=str(place.lock),
            remedy="give the user who runs readiness write access",
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _held(str(place.lock)) from None
        yield


@contextmanager
def locked_in(database: Reached | None, place: Place) -> Iterator[None]:
    """Hold a lock in a database of the target, which excludes drills from other machines.

    Raises:
        CouldNotMeasure: another session holds it, or the database does not answer.
    """
    if database is None:
        yield
        return
    key = int(place.fingerprint, 16)
    with connect(
        database.dsn,
        timeout_s=database.timeout_s,
        total_s=_DAY_S,
        application_name="readiness drill",
    ) as connection:
        [(taken,)] = fetch(connection, "select pg_try_advisory_lock(%s)", [key])
        if not taken:
            raise _held(f"pg_try_advisory_lock({key}) in {database.dsn.address}")
        try:
            yield
        finally:
            # The server may notice the closed connection late, after the next drill of this run
            # has begun.
            with suppress(psycopg.Error, CouldNotMeasure):
                fetch(connection, "select pg_advisory_unlock(%s)", [key])


def _held(where: str) -> CouldNotMeasure:
    return CouldNotMeasure(
        "another drill of this target is running",
        where=where,
        remedy="wait for it, or stop it and run: readiness recover",
    )
