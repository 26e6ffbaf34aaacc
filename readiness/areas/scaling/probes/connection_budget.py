"""How many connections the server, the database and the role allow, and what others use."""

from dataclasses import dataclass
from typing import Final

from readiness.config.base.tables import Database
from readiness.lib import postgres
from readiness.lib.postgres.session import seeing_all_sessions
from readiness.lib.text import clean
from readiness.model.errors import NoData

_LIMITS: Final = """
select current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int
       + coalesce(current_setting('reserved_connections', true)::int, 0),
       (select datconnlimit from pg_database where datname = current_database()),
       (select rolconnlimit from pg_roles where rolname = %(role)s)"""
# This run's sessions end with it; walsenders and workers have slots of their own.
_OTHERS: Final = """
select count(*) filter (where usename is distinct from %(role)s),
       count(*) filter (where usename is distinct from %(role)s
                          and datname = current_database()),
       count(*)
from pg_stat_activity
where backend_type = 'client backend' and application_name not like 'readiness%%'"""
_USERS: Final = """
select coalesce(usename, '?'), count(*) from pg_stat_activity
where backend_type = 'client backend' and application_name not like 'readiness%%'
  and usename is distinct from %(role)s
group by 1 order by 2 desc, 1 limit 3"""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit on new connections of the role.

    Attributes:
        of: what it limits: the `server`, the `database` or the `role`.
        name: what sets it.
        places: connections that ordinary roles may have.
        others: connections of other roles that count against it now.
    """

    of: str
    name: str
    places: int
    others: int

    @property
    def left(self) -> int:
        """How many the role may have."""
        return self.places - self.others


@dataclass(frozen=True, slots=True)
class Budget:
    """All limits, and the connections of other roles.

    Attributes:
        limits: those that are set; the server's always is.
        users: the other roles with the most connections, as `ROLE COUNT, ...`.
        looked_at: client connections that were counted.
    """

    limits: tuple[Limit, ...]
    users: str
    looked_at: int

    @property
    def nearest(self) -> Limit:
        """The limit that is reached first."""
        return min(self.limits, key=lambda limit: limit.left)


def budget(database: Database, role: str) -> Budget:
    """Read the limits and the connections now.

    Raises:
        NoData: the role does not exist.
        NotPermitted: the monitoring role does not see other roles' sessions.
        CouldNotMeasure: and its other kinds, see `postgres.connect`.
    """
    with seeing_all_sessions(database) as connection:
        [limits_now] = postgres.fetch(connection, _LIMITS, {"role": role})
        most, reserved, of_database, of_role = limits_now
        if of_role is None:
            raise NoData(
                f"the server has no role {role!r}",
                where="database_role",
                remedy="name the role that the replicas connect as",
            )
        [(others, others_here, all_of)] = postgres.fetch(connection, _OTHERS, {"role": role})
        users = postgres.fetch(connection, _USERS, {"role": role})
    limits = [Limit("server", "max_connections without the reserved ones", most - reserved, others)]
    if of_database >= 0:
        limits.append(
            Limit("database", "the connection limit of the database", of_database, others_here)
        )
    if of_role >= 0:
        limits.append(Limit("role", "the connection limit of the role", of_role, 0))
    found = ", ".join(f"{clean(user)} {count}" for user, count in users)
    return Budget(tuple(limits), found, all_of)
