"""What tenants see, write and reach of each other, by trying; nothing is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import psycopg
from psycopg import IsolationLevel, sql

from readiness.areas.schema.config import Tenancy
from readiness.areas.schema.probes.rows import all_rows, named, text_of
from readiness.lib.postgres import Connection, connect, could_not, fetch, fetch_value
from readiness.lib.postgres.batches import need_room
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.secrets import Dsn

# PostgreSQL checks row security before constraints: where a constraint fails, row security has let
# the row pass.
_REFUSED: Final = "42501"
# Views that cannot be written, materialized ones, and those that check the row (`check option`).
_UNWRITABLE: Final = (_REFUSED, "55000", "42809", "44000")
_CONSTRAINTS: Final = "23"
# A view without a column that its table needs: nobody can insert by it.
_LACKS_A_VALUE: Final = "23502"
_NO_PARTITION: Final = "no partition of relation"
_MOST: Final = 100_000
_WRITABLE: Final = """
    select attname from pg_attribute where attrelid = %s::regclass and attnum > 0
        and not attisdropped and attgenerated = '' and attidentity <> 'a' order by attnum"""
_KIND: Final = "select relkind from pg_class where oid = %s::regclass"
# The option of a view is looked at after constraints, so that a copy of a row never reaches it.
_CHECKS_ROWS: Final = """
    select exists (select from pg_class c cross join unnest(c.reloptions) o
        where c.oid = %s::regclass and c.relkind = 'v' and o like 'check_option=%%')"""
_CHANGEABLE: Final = """
    select attname from pg_attribute where attrelid = %s::regclass and attnum > 0
        and not attisdropped and has_column_privilege(attrelid, attnum, 'UPDATE')
    order by attnum limit 1"""
# How many rows passed the policies before it. The function is not leakproof, so that it is asked
# after them; it reads no column, so that policies for SELECT do not apply.
_PASSED: Final = sql.SQL(
    "set_config('readiness.passed', (1 + coalesce(nullif(current_setting('readiness.passed', true),"
    " ''), '0')::integer)::text, true)::integer"
)
# Counts and takes no row; a division by zero ends the statement once there are too many.
_COUNTS: Final = sql.SQL("1 / greatest({} - {}, 0) < 0").format(sql.Literal(_MOST), _PASSED)
_COUNTED: Final = "select coalesce(nullif(current_setting('readiness.passed', true), ''), '0')"
_TOO_MANY: Final = "22012"
# What a policy raises that cannot do without a tenant: an unknown setting, or text for a number.
_NEEDS_A_TENANT: Final = ("22", "42")
_UNKNOWN_SETTING: Final = "42704"
_NOT_A_VALUE: Final = "22"
_TYPE: Final = """
    select format_type(atttypid, null) from pg_attribute
    where attrelid = %s::regclass and attname = %s"""
_WAYS: Final = ("update", "delete")
# A tenant that does not exist, by the type of the column.
_NOBODY: Final = {
    "smallint": "-32767",
    "integer": "-2147483647",
    "bigint": "-9223372036854775807",
    "uuid": "0bada55e-0000-4000-8000-000000000000",
    "text": "readiness-nobody",
    "character varying": "readiness-nobody",
}


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
            yield Sight("", 0, _seen_by_nobody(connection, table, tenancy))
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
            ways = {"given to another tenant": _move(connection, table, tenancy, tenant, other)}
            if not fetch_value(connection, _CHECKS_ROWS, [text_of(connection, table)]):
                insert = _insert(connection, table, tenancy, other)
                ways = {"inserted for another tenant": insert, **ways}
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


def _seen_by_nobody(connection: Connection, table: str, tenancy: Tenancy) -> int:
    """How many rows a session without a tenant sees; none where a policy needs one to be read."""
    try:
        return _seen(connection, table, tenancy, "").others
    except CouldNotMeasure as error:
        cause = error.__cause__
        state = (cause.sqlstate if isinstance(cause, psycopg.Error) else "") or ""
        if state == _UNKNOWN_SETTING or state.startswith(_NOT_A_VALUE):
            return 0
        raise


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


def _move(
    connection: Connection, table: str, tenancy: Tenancy, tenant: str, other: str
) -> sql.Composed:
    """Gives the first row that the tenant may change to the other tenant.

    Reads no column of a table, so that the policies for SELECT do not keep the new row away.
    """
    column = sql.Identifier(tenancy.column)
    first = sql.SQL("case when {} then false else {} = '1' end").format(
        _COUNTS, sql.SQL("current_setting('readiness.passed', true)")
    )
    if fetch_value(connection, _KIND, [text_of(connection, table)]) == "v":  # has no ctid
        first = sql.SQL("case when {}::text = {} then {} = 1 else false end").format(
            column, sql.Literal(tenant), _PASSED
        )
    return sql.SQL("update {} set {} = {} where {}").format(
        named(table), column, sql.Literal(other), first
    )


def _could(connection: Connection, statement: sql.Composed, tenancy: Tenancy, tenant: str) -> bool:
    """Whether the tenant could run the statement; always rolled back."""
    try:
        with _acting(connection, tenancy, tenant):
            return connection.execute(statement).rowcount > 0
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state in _UNWRITABLE:
            return False
        if state == _TOO_MANY:
            return True  # the first row was changed, and too many came after it
        if state == _LACKS_A_VALUE:
            return False
        if state.startswith(_CONSTRAINTS) and _NO_PARTITION not in str(error):
            return True
        raise could_not(error, statement.as_string(connection)) from error


@dataclass(frozen=True, slots=True)
class Reach:
    """How many rows an UPDATE or DELETE without WHERE would change.

    Attributes:
        tenant: its name; empty for a session without a tenant, or with one that does not exist.
        way: the statement.
        rows: how many pass the policies, counted up to a limit.
        own: how many rows it may change.
    """

    tenant: str
    way: str
    rows: int
    own: int = 0

    @property
    def others(self) -> int:
        """How many rows of others it would change."""
        return max(0, self.rows - self.own)


def reaches(
    monitor: Dsn, app: Dsn | None, table: str, tenancy: Tenancy, *, timeout_s: float
) -> Iterator[Reach]:
    """What each tenant would change; first a session without one, and a tenant that has no rows.

    `delete from t` reads no column, so that only the policies for DELETE protect the rows of
    others. Here it has a condition that counts the rows which pass them, and is never true: no row
    is locked or changed, and no trigger of a row is fired.

    Raises:
        NoData: a tenant reaches rows that it does not see, and whose they are cannot be told.
    """
    expected = _expected(monitor, table, tenancy, timeout_s)
    nobody: list[str] = []
    if tenancy.setting and app:
        with connect(app, timeout_s=timeout_s) as connection:
            nobody = _nobody(connection, table, tenancy)
            for stranger in ("", *nobody):
                for way in _WAYS:
                    yield Reach("", way, _passing(connection, table, tenancy, stranger, way))
    for tenant in tenancy.tenants:
        with connect(_login(app, tenancy, tenant), timeout_s=timeout_s) as connection:
            # One snapshot: rows that others write meanwhile must not count.
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            with _acting(connection, tenancy, tenant):
                own = max(_seen(connection, table, tenancy, tenant).own, expected.get(tenant, 0))
                for way in _WAYS:
                    rows = _passing(connection, table, tenancy, tenant, way)
                    if rows > own and not expected:
                        # What it does not see may be its own, such as rows marked as deleted.
                        _need_strangers(nobody, table, tenant)
                        own = rows
                    yield Reach(tenant, way, rows, own)


def _need_strangers(nobody: list[str], table: str, tenant: str) -> None:
    """A tenant that does not exist has shown whether the policies keep rows of others away."""
    if not nobody:
        raise NoData(
            f"tenant {tenant} reaches rows that it does not see, and whose they are is unknown",
            where=table,
            remedy="let the monitoring role see all rows: alter role MONITOR bypassrls",
        )


def _nobody(connection: Connection, table: str, tenancy: Tenancy) -> list[str]:
    """A tenant that does not exist; none where the type of the column is another one."""
    rows = fetch(connection, _TYPE, [text_of(connection, table), tenancy.column])
    return [_NOBODY[kind] for (kind,) in rows if kind in _NOBODY]


def _passing(connection: Connection, table: str, tenancy: Tenancy, tenant: str, way: str) -> int:
    """How many rows pass the policies for a statement that reads no column."""
    statement = sql.SQL("delete from {} where {}").format(named(table), _COUNTS)
    if way == "update":
        columns = fetch(connection, _CHANGEABLE, [text_of(connection, table)])
        if not columns:
            return 0
        statement = sql.SQL("update {} set {} = default where {}").format(
            named(table), sql.Identifier(columns[0][0]), _COUNTS
        )
    try:
        with _acting(connection, tenancy, tenant):
            connection.execute(statement)
            return int(fetch_value(connection, _COUNTED))
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state == _TOO_MANY:
            return _MOST
        if state in _UNWRITABLE:
            return 0
        if tenant not in tenancy.tenants and state.startswith(_NEEDS_A_TENANT):
            return 0
        raise could_not(error, statement.as_string(connection)) from error
