"""Whether TimescaleDB is in a database, which release, and whether the server has loaded it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import looking
from readiness.model.errors import CouldNotMeasure, NoData

Version = tuple[int, int, int]

OLDEST: Final[Version] = (2, 11, 0)
"""The first release whose views have every column that is asked for."""

_INSTALLED: Final = """
select e.extversion, n.nspname, coalesce(a.default_version, ''),
       coalesce(current_setting('timescaledb.license', true), '')
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
left join pg_available_extensions a on a.name = e.extname
where e.extname = 'timescaledb'"""
_AVAILABLE: Final = """
select default_version from pg_available_extensions where name = 'timescaledb'"""
# A dump brings this key along; releases that do not write it have no row.
_CATALOG: Final = """
select value from _timescaledb_catalog.metadata where key = 'timescaledb_version'"""


@dataclass(frozen=True, slots=True)
class Extension:
    """TimescaleDB, as a database has it.

    Attributes:
        version: of the extension in this database.
        schema: where its functions are.
        package: the version on the server's disk; empty if that is unknown.
        license: `timescale` or `apache`; empty if the server has not loaded the library.
    """

    version: str
    schema: str
    package: str
    license: str

    @property
    def release(self) -> Version:
        """The version as numbers."""
        return version_of(self.version)


def version_of(text: str) -> Version:
    """`2.19.3` or `2.20.0-dev` as numbers; what is left out is 0.

    Raises:
        ValueError: it does not begin with a number.
    """
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    if not found:
        raise ValueError(f"{text!r} is not a valid version")
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major, minor, patch


def installed(connection: Connection) -> Extension | None:
    """What this database has of TimescaleDB; None if nothing."""
    rows = postgres.fetch(connection, _INSTALLED)
    return Extension(*map(str, rows[0])) if rows else None


def on_disk(connection: Connection) -> str:
    """The version that the server could install; empty if it has none."""
    rows = postgres.fetch(connection, _AVAILABLE)
    return str(rows[0][0]) if rows else ""


def catalog_version(connection: Connection) -> str:
    """The version that wrote TimescaleDB's own tables; empty if that release does not say."""
    rows = postgres.fetch(connection, _CATALOG)
    return str(rows[0][0]) if rows else ""


@contextmanager
def connected(database: Database) -> Iterator[tuple[Connection, Extension]]:
    """A connection to a database with a supported TimescaleDB.

    Raises:
        NoData: the database has no TimescaleDB.
        CouldNotMeasure: its release is too old.
    """
    with looking(database) as connection:
        found = installed(connection)
        if found is None:
            raise NoData(
                "TimescaleDB is not installed in this database",
                where=database.dsn.address,
                remedy="create extension timescaledb; or correct `dsn`",
            )
        if found.release < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise CouldNotMeasure(
                f"TimescaleDB {found.version} is not supported; {oldest} or later is required",
                where=database.dsn.address,
                remedy="alter extension timescaledb update",
            )
        yield connection, found
