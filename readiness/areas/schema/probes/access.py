"""What roles and tenants may see and do: rights, row level security, and attempts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.schema.config import Tenancy
from readiness.areas.schema.probes.rows import all_rows, named, text_of
from readiness.lib.postgres import Connection, connect, could_not, fetch
from readiness.lib.postgres.batches import need_room
from readiness.lib.postgres.session import OF_THE_APPLICATION
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.secrets import Dsn

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
# PostgreSQL checks row security before constraints: where a constraint fails, row security has let
# the row pass.
_REFUSED: Final = "42501"
_CONSTRAINTS: Final = "23"
_NO_PARTITION: Final = "no partition of relation"
_MOST: Final = 100_000
_WRITABLE: Final = """
    select attname from pg_attribute where attrelid = %s::regclass and attnum > 0
        and not attisdropped and attgenerated = '' and attidentity <> 'a' order by attnum"""


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
    """How each table's rows are protected, by `schema.table`."""
    return {name: Guard(*rest) for name, *rest in fetch(connection, _GUARDS)}


@dataclass(frozen=True, slots=True)
class Sight:
    """What one tenant sees of a table.

    Attributes:
        tenant: its name; empty for a session without a tenant.
        others: rows of others that it sees.
        expected: how many rows it has; None where the monitoring role may not see them all.
    """

    tenant: str
    own: int
    others: int
    expected: int | None = None


def sights(
    monitor: Dsn, app: Dsn | None, table: str, tenancy: Tenancy, *, timeout_s: float
) -> Iterator[Sight]:
    """What each tenant, and a session without one, sees; nothing is written."""
    with connect(monitor, timeout_s=timeout_s) as connection:
        need_room(connection, [text_of(connection, table)])
    expected = _expected(monitor, table, tenancy, timeout_s)
    if tenancy.setting and app:
        with connect(app, timeout_s=timeout_s) as connection, _acting(connection, tenancy, ""):
            yield Sight("", 0, _seen(connection, table, tenancy, "").others)
    for tenant in tenancy.tenants:
        with (
            connect(_login(app, tenancy, tenant), timeout_s=timeout_s) as connection,
            _acting(connection, tenancy, tenant),
        ):
            seen = _seen(connection, table, tenancy, tenant)
        yield replace(seen, expected=expected.get(tenant))


def writings(
    app: Dsn | None, table: str, tenancy: Tenancy, *, timeout_s: float
) -> Iterator[tuple[str, list[str]]]:
    """Each tenant, and in which ways it can write rows of another one; all is rolled back.

    Raises:
        NoData: a tenant sees no row of its own that could be written for another one.
    """
    others = [*tenancy.tenants[1:], tenancy.tenants[0]]
    for tenant, other in zip(tenancy.tenants, others, strict=True):
        with connect(_login(app, tenancy, tenant), timeout_s=timeout_s) as connection:
            need_room(connection, [text_of(connection, table)])
            with _acting(connection, tenancy, tenant):
                if not _seen(connection, table, tenancy, tenant).own:
                    raise NoData(
                        f"tenant {tenant} sees no row of its own to try it with",
                        where=table,
                        remedy="fix its policies first, see schema.row-security; or insert a row",
                    )
            ways = {
                "inserted for another tenant": _insert(connection, table, tenancy, other),
                "given to another tenant": _move(table, tenancy, other),
            }
            yield tenant, [n for n, way in ways.items() if _could(connection, way, tenancy, tenant)]


def _login(app: Dsn | None, tenancy: Tenancy, tenant: str) -> Dsn:
    login = (tenancy.logins or {}).get(tenant) or (app if tenancy.setting else None)
    if login is None:
        raise NoData(
            f"no login is configured for the tenant {tenant}",
            where=f"[{tenancy.place}]",
            remedy="set `setting` and `app_dsn`, or a login for each tenant in `logins`",
        )
    return login


@contextmanager
def _acting(connection: Connection, tenancy: Tenancy, tenant: str) -> Iterator[None]:
    """A transaction in which the session acts for the tenant, as the application does."""
    with connection.transaction(force_rollback=True):
        if tenancy.setting and tenant:
            fetch(connection, "select set_config(%s, %s, true)", [tenancy.setting, tenant])
        yield


def _seen(connection: Connection, table: str, tenancy: Tenancy, tenant: str) -> Sight:
    statement = sql.SQL(
        "select count(*) filter (where whose = %s), count(*) filter (where whose <> %s"
        " or whose is null) from (select {}::text as whose from {} limit {}) seen"
    ).format(sql.Identifier(tenancy.column), named(table), sql.Literal(_MOST))
    own, others = fetch(connection, statement, [tenant, tenant])[0]
    return Sight(tenant, int(own), int(others))


def _expected(monitor: Dsn, table: str, tenancy: Tenancy, timeout_s: float) -> dict[str, int]:
    """How many rows each tenant has; empty where the monitoring role may not see them all."""
    statement = sql.SQL(
        "select whose, count(*) from (select {}::text as whose from {} limit {}) seen group by 1"
    ).format(sql.Identifier(tenancy.column), named(table), sql.Literal(_MOST))
    try:
        with connect(monitor, timeout_s=timeout_s) as connection, all_rows(connection):
            counted = {str(whose): int(rows) for whose, rows in fetch(connection, statement)}
    except CouldNotMeasure:
        return {}
    # Of a larger table only a part was counted; each tenant sees another part of it.
    return counted if sum(counted.values()) < _MOST else {}


def _insert(connection: Connection, table: str, tenancy: Tenancy, other: str) -> sql.Composed:
    """Inserts a copy of one of the tenant's own rows for the other tenant."""
    columns = [str(name) for (name,) in fetch(connection, _WRITABLE, [text_of(connection, table)])]
    if tenancy.column not in columns:
        raise NoData(f"{table} has no writable column {tenancy.column!r}", where=table)
    values: list[sql.Composable] = [
        sql.Literal(other) if name == tenancy.column else sql.Identifier(name) for name in columns
    ]
    return sql.SQL("insert into {table} ({columns}) select {values} from {table} limit 1").format(
        table=named(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(values),
    )


def _move(table: str, tenancy: Tenancy, other: str) -> sql.Composed:
    """Gives one of the tenant's rows to the other tenant."""
    return sql.SQL(
        "update {table} set {column} = {other} where ctid = (select ctid from {table} limit 1)"
    ).format(table=named(table), column=sql.Identifier(tenancy.column), other=sql.Literal(other))


def _could(connection: Connection, statement: sql.Composed, tenancy: Tenancy, tenant: str) -> bool:
    """Whether the tenant could run the statement; always rolled back."""
    try:
        with _acting(connection, tenancy, tenant):
            return connection.execute(statement).rowcount > 0
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state == _REFUSED:
            return False
        if state.startswith(_CONSTRAINTS) and _NO_PARTITION not in str(error):
            return True
        raise could_not(error, statement.as_string(connection)) from error
