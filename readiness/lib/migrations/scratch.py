"""Throw-away databases on a scratch server, which is never the database that is judged."""

import secrets
from collections.abc import Iterator
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
_ROLES: Final = "select rolname from pg_roles where rolname !~ '^pg_'"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch server, in use by one at a time.

    Attributes:
        server: one of its databases, as a superuser.
    """

    server: Dsn

    @contextmanager
    def database(self, template: Dsn | None = None) -> Iterator[Dsn]:
        """A new database, empty or a copy of another one; dropped at the end.

        Raises:
            CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
        """
        name = f"readiness_migrations_{secrets.token_hex(6)}"
        source = template.words["dbname"] if template else "template0"
        with connect(self.server, timeout_s=_TIMEOUT_S) as connection:
            statement = sql.SQL("create database {} template {}")
            fetch(connection, statement.format(sql.Identifier(name), sql.Identifier(str(source))))
        try:
            yield Dsn(make_conninfo(self.server.reveal(), dbname=name))
        finally:
            with connect(self.server, timeout_s=_TIMEOUT_S) as connection:
                gone = sql.SQL("drop database if exists {} with (force)")
                fetch(connection, gone.format(sql.Identifier(name)))


@contextmanager
def scratch(server: Dsn, source: Dsn) -> Iterator[Scratch]:
    """Use a scratch server: it gets the roles that the source has, without any right.

    Raises:
        SafetyRefusal: it is the server of the database that is judged.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(source, timeout_s=_TIMEOUT_S) as connection:
        judged, wanted = fetch(connection, _SERVER), {n for (n,) in fetch(connection, _ROLES)}
    with connect(server, timeout_s=_TIMEOUT_S, total_s=_LONGEST_S) as here:
        if same_place(source, server) or judged == fetch(here, _SERVER):
            raise SafetyRefusal(
                "the scratch server is the server of the database that is judged",
                where="[databases.NAME.migrations] scratch_dsn",
                remedy="name another server, or remove `scratch_dsn`: a private one is started",
            )
        # One at a time: two would make the same roles, and each drop the other's.
        fetch(here, "set statement_timeout = 0; select pg_advisory_lock(hashtext('readiness'))")
        made = sorted(wanted - {name for (name,) in fetch(here, _ROLES)})
        _for_each(here, "create role {} nologin", made)
        try:
            yield Scratch(server)
        finally:
            _for_each(here, "drop role if exists {}", made)


def same_place(source: Dsn, server: Dsn) -> bool:
    """Whether two connection strings name the same database of the same host and port."""
    same_name = source.words.get("dbname", "") == server.words.get("dbname", "")
    return same_name and not {*source.places}.isdisjoint(server.places)


def _for_each(connection: Connection, statement: str, names: list[str]) -> None:
    for name in names:
        fetch(connection, sql.SQL(statement).format(sql.Identifier(name)))
