"""Does in a restored copy what the application does: reads, and writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.backup.config_policy import Application
from readiness.lib.postgres import Connection, connect, fetch, source_of
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Measurement
from readiness.model.secrets import Dsn

_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Tried:
    """One statement of the application's.

    Attributes:
        rows: how many rows it gave, or changed.
        problem: why it failed; empty if it did not.
        source: the statement.
    """

    rows: Measurement
    problem: str


def try_application(dsn: Dsn, application: Application) -> list[Tried]:
    """Run every statement as the application's role; nothing of it stays.

    Raises:
        CouldNotMeasure: the copy does not answer, or has no such role.
    """
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        fetch(
            connection,
            sql.SQL("set session authorization {}").format(sql.Identifier(application.role)),
        )
        return [
            *(_tried(connection, text, "rows read") for text in application.reads),
            *(_tried(connection, text, "rows written") for text in application.writes),
        ]


def _tried(connection: Connection, statement: str, name: str) -> Tried:
    rows, problem = 0, ""
    try:
        with connection.transaction(force_rollback=True):
            rows = connection.execute(statement.encode()).rowcount
    except psycopg.OperationalError as error:
        raise CouldNotMeasure(
            f"the restored copy is gone: {error}", where=source_of(statement)
        ) from error
    except psycopg.Error as error:
        problem = " ".join((error.diag.message_primary or str(error)).split())
    return Tried(Measurement(name, rows, "count", source_of(statement)), problem)


def failed(tried: list[Tried]) -> Iterator[Tried]:
    """Those that ended with an error, or without a row."""
    return (one for one in tried if one.problem or int(one.rows.value) < 1)
