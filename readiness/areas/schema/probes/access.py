"""What a role may do that an application should not, and which tables protect their rows."""

from dataclasses import dataclass
from typing import Final

from readiness.lib.postgres import Connection, fetch
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
_OWNED: Final = """
    select n.nspname || '.' || c.relname from pg_class c join pg_namespace n
        on n.oid = c.relnamespace
    where @OWN@ and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
        and pg_has_role(current_user, c.relowner, 'USAGE')
        -- Forced row level security binds the owner too; such a table may be its own.
        and not (c.relrowsecurity and c.relforcerowsecurity)
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
        on: the objects.
        revoke: the statement that revokes it for the first of them.
    """

    what: str
    on: tuple[str, ...]
    revoke: str


@dataclass(frozen=True, slots=True)
class Guard:
    """How a table's rows are protected.

    Attributes:
        enabled: whether row level security is on.
        forced: whether it applies to the table's owner too.
        owner: of the table.
        policies: how many there are.
    """

    enabled: bool
    forced: bool
    owner: str
    policies: int


def powers(connection: Connection) -> tuple[str, list[Power]]:
    """The role that is connected, and what it may do beyond reading and writing rows.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
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
    for what, query, revoke in (
        ("is a member of", _STANDS_FOR, f"revoke {{}} from {role}"),
        ("owns, and may drop,", _OWNED, "alter table {} owner to another_role"),
        ("may truncate", _TRUNCATES, f"revoke truncate on {{}} from {role}"),
        ("may create objects in", _CREATES, f"revoke create on schema {{}} from {role}, public"),
    ):
        on = tuple(str(name) for (name,) in fetch(connection, query))
        if on:
            found.append(Power(what, on, revoke.format(on[0])))
    return str(role), found


def guards(connection: Connection) -> dict[str, Guard]:
    """How each table's rows are protected, by `schema.table`.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    return {name: Guard(*rest) for name, *rest in fetch(connection, _GUARDS)}
