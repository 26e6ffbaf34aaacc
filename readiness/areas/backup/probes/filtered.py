"""Asks the database whether policies hide rows from the role that makes the backups."""

from dataclasses import dataclass
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import NoData

_ROLE: Final = """
    select rolsuper or rolbypassrls
    from pg_roles where rolname = %s"""
# Its owner sees all of a table, unless row security is forced.
_HIDDEN: Final = """
    select format('%%s.%%s', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relrowsecurity
        and (c.relforcerowsecurity or not pg_has_role(%s, c.relowner, 'usage'))
    order by 1"""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a role sees.

    Attributes:
        bypasses: whether no policy applies to it.
        tables: the tables that have policies which would apply to it.
        source: the statement and server that told it.
    """

    bypasses: bool
    tables: tuple[str, ...]
    source: str


def sight_of(role: str, database: Database) -> Sight:
    """What a role sees of a database, as the monitoring role is told it.

    Raises:
        NoData: there is no such role.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        rows = fetch(connection, _ROLE, [role])
        if not rows:
            raise NoData(
                f"there is no role {role!r}", where=database.dsn.address, remedy="see `role`"
            )
        tables = tuple(str(name) for (name,) in fetch(connection, _HIDDEN, [role]))
    return Sight(bool(rows[0][0]), tables, f"pg_roles, pg_class of {database.dsn.address}")
