"""Finds the queries of a database that are worth a baseline, in pg_stat_statements."""

import re
from collections.abc import Iterator
from typing import Final

from psycopg import sql

from readiness.config.base import tables
from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.lib import postgres
from readiness.lib.postgres.session import looking
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure

_MOST: Final = 3
_SHOWN: Final = 70
_LONGEST: Final = 2000
_EXTENSION: Final = """
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'"""
# By the time that they took together. Of the system's own tables nobody waits.
_QUERIES: Final = """
select s.query, s.calls, s.mean_exec_time
from {}.pg_stat_statements s join pg_database d on d.oid = s.dbid and d.datname = current_database()
where s.calls >= 5
  and (s.query = '<insufficient privilege>' or s.query ~* '^\\s*(select|with)\\s.*\\sfrom\\s')
  and s.query !~* '\\m(pg_|information_schema|readiness_|for (update|share|no key|key))'
  and s.query !~* '\\m(insert|update|delete|merge)\\M'
  and s.userid <> (select oid from pg_roles where rolname = current_user)
order by s.total_exec_time desc limit 20"""
_HIDDEN: Final = "<insufficient privilege>"
_PARAMETER: Final = re.compile(r"\$\d+")


def queries(sources: Sources) -> Iterator[Finding]:
    """The queries that take most of the database's time, as far as its role may run them."""
    if sources.dsn is None:
        return
    asked = tables.Database(name=sources.database, dsn=sources.dsn, timeout_s=sources.timeout_s)
    with looking(asked) as connection:
        schema = postgres.fetch(connection, _EXTENSION)
        if not schema:
            yield Gap("queries worth a baseline", "create extension pg_stat_statements")
            return
        found = postgres.fetch(connection, sql.SQL(_QUERIES).format(sql.Identifier(schema[0][0])))
        texts = {clean(text, _LONGEST): (int(calls), float(mean)) for text, calls, mean in found}
        whole = [text for text in texts if text != _HIDDEN and not _PARAMETER.search(text)]
        runnable = [text for text in whole if _may_run(connection, text)][:_MOST]
    if runnable:
        yield Line(("performance",), "baseline", {"records": "reports/history"}, "READY runs")
    for number, text in enumerate(runnable):
        calls, mean = texts[text]
        table = ("performance", "queries", number)
        source = f"pg_stat_statements: {mean:.3g} ms in {calls} calls"
        yield Line(table, "name", f"query-{number + 1}", source)
        yield Line(table, "dsn", sources.dsn_text, "--dsn")
        yield Line(
            table, "sql", text.replace("${", "$${"), "among those that take most time in all"
        )
    for text in [text for text in texts if _PARAMETER.search(text)][: _MOST - len(runnable)]:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        yield Gap(
            f"values for the query {shown!r} ({texts[text][1]:.3g} ms)",
            "[[performance.queries]] with `params`",
        )
    if _HIDDEN in texts:
        yield Gap(
            "queries worth a baseline: those of other roles are hidden",
            "grant pg_monitor, then init again",
        )
    elif not texts:
        what = "queries worth a baseline: pg_stat_statements has none"
        yield Gap(what, "[[performance.queries]]")


def _may_run(connection: postgres.Connection, text: str) -> bool:
    """Whether the role may run a query, it changes nothing, and it finds a row."""
    first = sql.SQL("select 1 from ({}) as readiness_first limit 1").format(sql.SQL(text))
    try:
        with connection.transaction():
            postgres.fetch(connection, "set transaction read only")
            return bool(postgres.fetch(connection, first))
    except CouldNotMeasure:
        return False
