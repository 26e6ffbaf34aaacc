"""As whom the application writes, and which settings hold for it.

Our own session says little of that: a monitoring role is often read-only by default, on purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.config import Database
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import OF_THE_APPLICATION
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure

# What may write through PUBLIC is no evidence: then every role could.
_ROLES: Final = sql.SQL("""
with tables as (
  select c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)) as acl
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and c.relpersistence <> 't' and {scope}
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                    and d.objid = c.oid and d.deptype = 'e')),
owners as (select distinct relowner as oid from tables),
writers as (
  select distinct a.grantee as oid from tables t cross join aclexplode(t.acl) a
  where a.privilege_type in ('INSERT', 'UPDATE', 'DELETE')
    and a.grantee not in (0, t.relowner))
select r.oid::bigint, quote_ident(r.rolname), r.rolname = any(%(declared)s::text[]),
       exists (select from owners o where pg_has_role(r.oid, o.oid, 'usage')),
       exists (select from writers w where pg_has_role(r.oid, w.oid, 'usage')),
       r.rolcanlogin or exists (select from pg_auth_members m where m.roleid = r.oid),
       r.rolconnlimit,
       case when isfinite(r.rolvaliduntil)
            then extract(epoch from r.rolvaliduntil - now())::float8 end,
       to_char(r.rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
       exists (select from pg_stat_activity a where a.usesysid = r.oid
               and a.datname = current_database()),
       exists (select from pg_stat_activity a where a.usesysid = r.oid
               and a.backend_start > r.rolvaliduntil),
       r.rolname = current_user
from pg_roles r
where r.rolname = any(%(declared)s::text[])
   or (%(declared)s::text[] = '{{}}' and r.rolcanlogin and not r.rolsuper
       and has_database_privilege(r.oid, current_database(), 'connect')
       and exists (select from (select oid from owners union select oid from writers) w
                   where pg_has_role(r.oid, w.oid, 'usage')))
order by 2""")
_STATISTICS: Final = """
select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'"""
# Without the texts, which are in a file.
_RAN: Final = """
select distinct userid::bigint from {}.pg_stat_statements(false)
where dbid = (select oid from pg_database where datname = current_database())"""
_OVERRIDES: Final = """
select split_part(e, '=', 1), s.setrole::bigint, s.setdatabase <> 0, substr(e, strpos(e, '=') + 1)
from pg_db_role_setting s cross join unnest(s.setconfig) e
where split_part(e, '=', 1) = any(%s)
  and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))"""
_OF_SERVER: Final = "select name, setting, source from pg_settings where name = any(%s)"
_SAFE: Final = {
    "default_transaction_read_only": "off",
    "session_replication_role": "origin",
    "synchronous_commit": "on",
}
# Whoever set it for a database, a role or a session hides what the server would give to others.
_HIDING: Final = frozenset({"database", "user", "database user", "client", "session"})
_MAY_READ_FILES: Final = """
select has_table_privilege('pg_file_settings', 'select')
       and has_function_privilege('pg_show_all_file_settings()', 'execute')"""
_IN_FILES: Final = """
select distinct on (s.name) s.name, coalesce(f.setting, s.boot_val)
from pg_settings s left join pg_file_settings f on f.name = s.name and f.error is null
where s.name = any(%s) order by s.name, f.seqno desc"""


@dataclass(frozen=True, slots=True)
class Role:
    """A role that the application may write as.

    Attributes:
        name: as SQL needs it.
        certain: whether it is the application's: it was declared, or no other one may write.
        writes: whether it may write; a declared one may be that of reports.
        usable: whether it may log in, or others may be it.
        limit: its connection limit; -1 if it has none.
        ends_in_s: seconds until its password ends; None if it does not.
        ends: when that is, in UTC.
        connected: whether it has a session in this database.
        ends_alone: whether it logged in after that time, so that no password is asked of it.
        ran: whether the server has counted statements of it in this database.
    """

    oid: int
    name: str
    certain: bool
    writes: bool
    usable: bool
    limit: int
    ends_in_s: float | None
    ends: str
    connected: bool
    ends_alone: bool
    ran: bool


@dataclass(frozen=True, slots=True)
class Effective:
    """The value of a setting that holds for a role, who set it, and what changes it.

    Attributes:
        value: None if it cannot be seen.
        of_role: whether it was set for this role and not for all.
        unset: the SQL that removes it.
    """

    value: str | None
    where: str
    of_role: bool
    unset: str


class Settings:
    """Settings of the server, of the database and of roles, the nearest of which holds."""

    def __init__(
        self,
        database: str,
        server: Mapping[str, str | None],
        overrides: Mapping[tuple[str, int, bool], str],
    ) -> None:
        self._database = database
        self._server = server
        self._overrides = overrides

    def of(self, name: str, role: Role | None) -> Effective:
        """The one that holds for a role; without one, for roles with no settings of their own."""
        base = self._database
        levels = [
            (0, True, f"the database {base}", f"alter database {base} reset {name};"),
            (0, False, "every role", f"alter role all reset {name};"),
        ]
        if role:
            alter = f"alter role {role.name}"
            here = f"{alter} in database {base} reset {name};"
            levels = [
                (role.oid, True, f"the role {role.name} in {base}", here),
                (role.oid, False, f"the role {role.name}", f"{alter} reset {name};"),
                *levels,
            ]
        for oid, is_here, where, unset in levels:
            value = self._overrides.get((name, oid, is_here))
            if value is not None:
                return Effective(value, where, oid != 0, unset)
        # A reset would leave the value of postgresql.conf.
        unset = f"alter system set {name} = {_SAFE[name]}; select pg_reload_conf();"
        return Effective(self._server[name], "the server", of_role=False, unset=unset)

    def hidden(self, name: str) -> bool:
        """Whether the value of the server cannot be seen, as our role has one of its own."""
        return self._server[name] is None


def roles(connection: Connection, database: Database) -> list[Role]:
    """The roles of `statements.roles`; if none is declared, those that may write.

    Those who own tables migrate them; they count where nobody else may write, and our own role
    where it is the only one.
    """
    rows = postgres.fetch(
        connection,
        _ROLES.format(scope=sql.SQL(OF_THE_APPLICATION)),
        {"declared": database.statements.roles},
    )
    others = [row for row in rows if row[2] or not row[11]] or rows
    found = [row for row in others if row[2] or not row[3]] or others
    ran = _ran(connection) if any(row[7] is not None for row in found) else set()
    return [
        Role(
            oid, clean(name), declared or len(found) == 1, owns or granted, usable, limit,
            ends_in, ends or "", connected, after, oid in ran,
        )
        for oid, name, declared, owns, granted, usable, limit, ends_in, ends, connected, after, _
        in found
    ]  # fmt: skip


def _ran(connection: Connection) -> set[int]:
    """The roles that the server has counted statements of here, where it counts them."""
    for (schema,) in postgres.fetch(connection, _STATISTICS):
        try:
            return {oid for (oid,) in postgres.fetch(connection, _RAN.format(schema))}
        except CouldNotMeasure:
            return set()  # it is installed, and not loaded
    return set()


def settings(connection: Connection) -> Settings:
    """What decides whether and how a role writes: for the server, the database, and each role."""
    wanted = [list(_SAFE)]
    overrides = {
        (name, role, is_here): value
        for name, role, is_here, value in postgres.fetch(connection, _OVERRIDES, wanted)
    }
    server: dict[str, str | None] = {}
    for name, value, source in postgres.fetch(connection, _OF_SERVER, wanted):
        server[name] = None if source in _HIDING else value
    hidden = [name for name, value in server.items() if value is None]
    if hidden and postgres.fetch_value(connection, _MAY_READ_FILES):
        server.update(postgres.fetch(connection, _IN_FILES, [hidden]))
    quoted = "select quote_ident(current_database())"
    return Settings(str(postgres.fetch_value(connection, quoted)), server, overrides)


def is_on(value: str | None) -> bool:
    """Whether the server takes a text for true; it takes the beginning of a word, too."""
    word = (value or "").strip().lower()
    return word in ("on", "1") or (
        bool(word) and ("true".startswith(word) or "yes".startswith(word))
    )
