"""Runs statements that differ for each table, and takes little of the server for it.

pg_stat_statements keeps an entry for each text, 5,000 by default, and evicts others for it: to read
3,000 tables one by one would throw out what the application ran. A statement that a block of
PL/pgSQL executes is counted with the block, whose text is always the same; only with
`pg_stat_statements.track = 'all'` it is counted by itself.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, Row, fetch, is_at_least, source_of, translated
from readiness.model.errors import CouldNotMeasure, NotPermitted

SMALL: Final[Mapping[str, str]] = {
    # Who waits for a lock holds up everybody who wants one after that, while it has others.
    "lock_timeout": "2s",
    "max_parallel_workers_per_gather": "0",
}
"""Settings of a transaction that reads tables beside an application."""
ALL_ROWS: Final[Mapping[str, str]] = {
    **SMALL,
    "transaction_read_only": "on",
    "row_security": "off",
}
"""The same where a policy that hides rows is an error, as hidden rows would count as missing."""
_ENTRIES_SHARE: Final = 1 / 10
"""Of the free entries of pg_stat_statements: what a check may fill."""
# Each message is a transaction of its own, unless the session is in one.
_MESSAGE: Final = """select {settings}, set_config('readiness.statement', {statement}, true);
do $readiness$ declare found text; begin
    execute 'select coalesce(json_agg(r), ''[]'')::text from ('
        || current_setting('readiness.statement') || ') r' into found;
    perform set_config('readiness.found', found, true);
end $readiness$;
select current_setting('readiness.found')"""
_LOADED: Final = """
    select current_setting('pg_stat_statements.track', true) is not null,
        current_setting('is_superuser') = 'on'"""
_TRACK: Final = """
    select current_setting('pg_stat_statements.track', true),
        current_setting('pg_stat_statements.max', true)::bigint"""
_MAY_SET: Final = "select has_parameter_privilege('pg_stat_statements.track', 'set')"
_VIEW: Final = """
    select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'pg_stat_statements'"""
_COUNT: Final = "select count(*) from {}.pg_stat_statements(false)"


def rows_of(
    connection: Connection, statement: sql.Composed, settings: Mapping[str, str] = SMALL
) -> list[Row]:
    """All rows of a query whose columns have different names; errors name it.

    Args:
        connection: within a transaction, or the query has one of its own.
        statement: without a semicolon; its values are numbers and texts.
        settings: for the transaction; always the same ones, so that their texts are, too.
    """
    message = sql.SQL(_MESSAGE).format(
        settings=sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, true)").format(*pair) for pair in settings.items()
        ),
        statement=sql.Literal(statement.as_string(connection)),
    )
    with translated(source_of(statement, connection)):
        cursor = connection.execute(message, prepare=False)
        while cursor.nextset():
            pass
        (found,) = cursor.fetchone() or ("[]",)
    return [tuple(row.values()) for row in json.loads(found)]


def untracked(connection: Connection) -> dict[str, str]:
    """Settings with which pg_stat_statements counts nothing; none where the role may not set it.

    The role would need `grant set on parameter pg_stat_statements.track`, from PostgreSQL 15 on.
    """
    loaded, superuser = fetch(connection, _LOADED)[0]
    may = superuser or (is_at_least(connection, 15) and fetch(connection, _MAY_SET)[0][0])
    return {"pg_stat_statements.track": "none"} if loaded and may else {}


def need_entries(connection: Connection, statements: int) -> dict[str, str]:
    """Settings with which so many different statements evict nothing from pg_stat_statements.

    Raises:
        CouldNotMeasure: they would, as it counts nested statements by themselves.
    """
    settings = untracked(connection)
    track, most = fetch(connection, _TRACK)[0]
    if settings or track != "all":
        return settings
    view = fetch(connection, _VIEW)
    # Where it cannot be looked at, half of its entries are taken to be free.
    used = most // 2
    if view:
        used = fetch(connection, sql.SQL(_COUNT).format(sql.Identifier(view[0][0])))[0][0]
    may = int(max(0, most - used) * _ENTRIES_SHARE)
    if statements > may:
        role = connection.info.user
        raise CouldNotMeasure(
            f"{statements} statements, one for each table, would fill pg_stat_statements, which has"
            f" {used} of {most} entries; readiness may add at most {may}",
            where="pg_stat_statements.track = all",
            remedy=f"alter role \"{role}\" set pg_stat_statements.track = 'top'; or raise"
            " pg_stat_statements.max, and restart the server",
        )
    return settings


@contextmanager
def seeing_all_rows(connection: Connection) -> Iterator[None]:
    """Gives the refusal of row security its remedy."""
    try:
        yield
    except NotPermitted as error:
        if "row-level security" not in error.message:
            raise
        remedy = _bypass(connection)
        raise NotPermitted(error.message, where=error.where, remedy=remedy) from None


def rows_hidden(connection: Connection, what: str) -> NotPermitted:
    """The error of what cannot be compared, as row security hides rows from the role."""
    role = connection.info.user
    return NotPermitted(
        f"row security hides rows from {role}, so that {what} cannot be compared",
        where="row_security_active()",
        remedy=_bypass(connection),
    )


def _bypass(connection: Connection) -> str:
    role = connection.info.user
    return f"alter role {role} bypassrls; it then sees all rows of what it may select"
