"""Throw-away databases and roles on a scratch server, never on the server that is judged."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from psycopg import sql
from psycopg.conninfo import make_conninfo

from readiness.lib.postgres import Connection, connect, fetch
from readiness.model.errors import SafetyRefusal
from readiness.model.secrets import Dsn

_TIMEOUT_S: Final = 30.0
_LONGEST_S: Final = 1800.0
# A clone of a server has its identifier, and was started at another time.
_SERVER: Final = "select (pg_control_system()).system_identifier, pg_postmaster_start_time()"
_ROLES: Final = "select rolname from pg_roles"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch server, in use by one at a time."""

    server: Dsn

    @contextmanager
    def database(self, template: Dsn | None = None) -> Iterator[Dsn]:
        """A new database, empty or a copy of another one; dropped at the end."""
        source = str(template.words["dbname"]) if template else "template0"
        with temporary_database(self.server, "readiness_migrations", source) as dsn:
            yield dsn


@contextmanager
def scratch(server: Dsn, source: Dsn) -> Iterator[Scratch]:
    """Use a scratch server: it gets the roles that the source has, without any right.

    Raises:
        SafetyRefusal: it is the server of the database that is judged.
    """
    with connect(source, timeout_s=_TIMEOUT_S) as connection:
        judged, wanted = fetch(connection, _SERVER), [n for (n,) in fetch(connection, _ROLES)]
    with connect(server, timeout_s=_TIMEOUT_S, total_s=_LONGEST_S) as here:
        if same_place(source, server) or judged == fetch(here, _SERVER):
            raise SafetyRefusal(
                "the scratch server is the server of the database that is judged",
                where="[databases.NAME.migrations] scratch_dsn",
                remedy="name another server, or remove `scratch_dsn`: a private one is started",
            )
        # One at a time: two would make the same roles, and each drop the other's.
        fetch(here, "set statement_timeout = 0; select pg_advisory_lock(hashtext('readiness'))")
        with temporary_roles(server, wanted):
            yield Scratch(server)


def same_place(source: Dsn, server: Dsn) -> bool:
    """Whether two connection strings name the same database of the same host and port."""
    same_name = source.words.get("dbname", "") == server.words.get("dbname", "")
    return same_name and not {*source.places}.isdisjoint(server.places)


@contextmanager
def temporary_roles(server: Dsn, wanted: Iterable[str]) -> Iterator[None]:
    """Create the roles that the server lacks, without any right; they are dropped at the end."""
    with connect(server, timeout_s=_TIMEOUT_S) as connection:
        there = {name for (name,) in fetch(connection, _ROLES)}
        # Names that begin with pg_ are reserved for PostgreSQL.
        made = [name for name in wanted if name not in there and not name.startswith("pg_")]
        _for_each(connection, "create role {} nologin", made)
    try:
        yield
    finally:
        with connect(server, timeout_s=_TIMEOUT_S) as connection:
            _for_each(connection, "drop role if exists {}", made)


@contextmanager
def temporary_database(server: Dsn, prefix: str, template: str = "template0") -> Iterator[Dsn]:
    """A new database with this prefix of its name; dropped at the end."""
    name = f"{prefix}_{secrets.token_hex(6)}"
    create = sql.SQL("create database {} template {}")
    with connect(server, timeout_s=_TIMEOUT_S) as connection:
        fetch(connection, create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield Dsn(make_conninfo(server.reveal(), dbname=name))
    finally:
        with connect(server, timeout_s=_TIMEOUT_S) as connection:
            _for_each(connection, "drop database if exists {} with (force)", [name])


def _for_each(connection: Connection, statement: str, names: Sequence[str]) -> None:
    for name in names:
        fetch(connection, sql.SQL(statement).format(sql.Identifier(name)))
