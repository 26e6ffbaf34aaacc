"""What roles may do: rights, row level security, and what reaches around it."""

from dataclasses import dataclass
from typing import Final

from readiness.lib.postgres import Connection, fetch, is_at_least
from readiness.lib.postgres.session import OF_THE_APPLICATION
from readiness.model.errors import NoData

# has_…_privilege and pg_has_role also count what comes through a membership.
_ROLE: Final = """
    select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolname
    from pg_roles where rolname = current_user"""
_STANDS_FOR: Final = """
    select rolname from pg_roles r where rolname <> current_user
        and pg_has_role(current_user, r.oid, 'MEMBER')
        and (rolsuper or rolbypassrls or rolcreaterole or rolreplication
            or rolname in ('pg_write_server_files', 'pg_read_server_files',
                'pg_execute_server_program', 'pg_write_all_data', 'pg_read_all_data',
                'pg_signal_backend', 'pg_database_owner', 'pg_maintain'))
    order by 1"""
# Who may `set role` to the owner has the owner's rights, too. Forced row level security binds the
# owner, who may lift it.
_OWNED: Final = """
    select n.nspname || '.' || c.relname from pg_class c join pg_namespace n
        on n.oid = c.relnamespace
    where @OWN@ and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
        and (pg_has_role(current_user, c.relowner, 'USAGE')
            or pg_has_role(current_user, c.relowner, %s))
        and c.relrowsecurity = %s
    order by 1""".replace("@OWN@", OF_THE_APPLICATION)
_TRUNCATES: Final = """
    select n.nspname || '.' || c.relname from pg_class c join pg_namespace n
        on n.oid = c.relnamespace
    where @OWN@ and c.relkind in ('r', 'p') and c.relpersistence <> 't'
        and has_table_privilege(c.oid, 'TRUNCATE') and not pg_has_role(current_user, c.relowner,
            'USAGE')
    order by 1""".replace("@OWN@", OF_THE_APPLICATION)
_CREATES: Final = """
    select n.nspname from pg_namespace n
    where @OWN@ and has_schema_privilege(n.oid, 'CREATE') order by 1""".replace(
    "@OWN@", OF_THE_APPLICATION
)
# They find tables by the search_path of their caller, in which temporary tables come first:
# https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
# A body of standard SQL and C have no names to look up when they run.
_LED_ASTRAY: Final = """
    select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        join pg_language l on l.oid = p.prolang
    where @OWN@ and p.prosecdef and l.lanname not in ('c', 'internal') and p.prosrc <> ''
        and not exists (select from unnest(p.proconfig) s where s like 'search_path=%%')
        and has_function_privilege(p.oid, 'EXECUTE') and has_schema_privilege(n.oid, 'USAGE')
        and not pg_has_role(current_user, p.proowner, 'USAGE')
        and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
            and d.objid = p.oid and d.deptype = 'e')
    order by 1""".replace("@OWN@", OF_THE_APPLICATION)
_GUARDS: Final = """
    select n.nspname || '.' || c.relname, c.relrowsecurity, c.relforcerowsecurity,
        pg_get_userbyid(c.relowner), count(p.oid)::integer
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
        left join pg_policy p on p.polrelid = c.oid
    where @OWN@ and c.relkind in ('r', 'p')
    group by 1, 2, 3, 4""".replace("@OWN@", OF_THE_APPLICATION)


@dataclass(frozen=True, slots=True)
class Power:
    """Something that a role may do.

    Attributes:
        what: in words, as `may create tables in`.
        revoke: the statement that revokes it for the first of them.
    """

    what: str
    on: tuple[str, ...]
    revoke: str


@dataclass(frozen=True, slots=True)
class Guard:
    """How a table's rows are protected.

    Attributes:
        forced: whether it applies to the table's owner too.
    """

    enabled: bool
    forced: bool
    owner: str
    policies: int


def powers(connection: Connection) -> tuple[str, list[Power]]:
    """The role that is connected, and what it may do beyond reading and writing rows."""
    rows = fetch(connection, _ROLE)
    if not rows:
        raise NoData("the connected role is not in pg_roles", where="pg_roles")
    *flags, role = rows[0]
    attributes = ("superuser", "bypassrls", "createrole", "createdb", "replication")
    found = [
        Power(f"has {attribute.upper()}", (), f"alter role {role} no{attribute}")
        for attribute, has in zip(attributes, flags, strict=True)
        if has
    ]
    if flags[0]:
        return str(role), found  # a superuser may do everything below
    may = "SET" if is_at_least(connection, 16) else "MEMBER"
    moved = "alter table {} owner to another_role"
    for what, query, params, revoke in (
        ("is a member of", _STANDS_FOR, [], f"revoke {{}} from {role}"),
        ("owns, and may drop,", _OWNED, [may, False], moved),
        ("owns, and may switch off the row security of,", _OWNED, [may, True], moved),
        ("may truncate", _TRUNCATES, [], f"revoke truncate on {{}} from {role}"),
        (
            "may create objects in",
            _CREATES,
            [],
            f"revoke create on schema {{}} from {role}, public",
        ),
    ):
        on = tuple(str(name) for (name,) in fetch(connection, query, params))
        if on:
            found.append(Power(what, on, revoke.format(on[0])))
    return str(role), found


def led_astray(connection: Connection) -> list[str]:
    """Functions that run as another role, and look up names where their caller says."""
    return [str(name) for (name,) in fetch(connection, _LED_ASTRAY)]


def guards(connection: Connection) -> dict[str, Guard]:
    """How each table's rows are protected, by `schema.table`."""
    return {name: Guard(*rest) for name, *rest in fetch(connection, _GUARDS)}
