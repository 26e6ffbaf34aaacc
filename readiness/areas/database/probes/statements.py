"""Statements: what pg_stat_statements has counted, how long they take, whether slow ones are found.

Means are those of a window of the counters; a p95 is read from a histogram. pg_stat_statements has
means, deviations, least and most, and no p95 follows from those: a statement that is quick nine
times of ten and slow the tenth has a harmless mean.
"""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.database.config import P95
from readiness.areas.database.snapshots import Snapshot, StatementUse
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import NoData, NotPermitted

# By the version of the extension, not of the server: after pg_upgrade the old one stays.
_OLDEST: Final = (1, 8)
_TOP_LEVEL: Final = (1, 9)
_SCHEMA: Final = """
select n.nspname, e.extversion from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'"""
_VISIBLE: Final = sql.SQL("""
select count(*) filter (where queryid is not null and userid <> me.oid),
       count(*) filter (where queryid is null)
from {schema}.pg_stat_statements(false), (select oid from pg_roles where rolname = current_user) me
where dbid = (select oid from pg_database where datname = current_database())""")
_STATEMENTS: Final = sql.SQL("""
select s.userid::bigint, s.queryid, {top_level}, coalesce(r.rolname, '?'), s.query,
       s.calls, s.total_exec_time
from {schema}.pg_stat_statements(true) s left join pg_roles r on r.oid = s.userid
where s.dbid = (select oid from pg_database where datname = current_database())""")
_INFO: Final = sql.SQL("""
select dealloc, extract(epoch from stats_reset)::float8 from {schema}.pg_stat_statements_info""")
# What the gate does in a target's name carries this word; see `probes/write_path.py`.
OWN: Final = re.compile(r"\breadiness_|/\* readiness \*/")
_OF_PG_DUMP: Final = re.compile(
    r"^\s*(?:COPY .* TO stdout|LOCK TABLE .* IN ACCESS SHARE MODE"
    r"|SELECT last_value, is_called FROM )",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, as one role has run it.

    Attributes:
        key: of the role, the statement, and whether clients sent it; the same until the
            server is upgraded or a table is created again.
        text: the statement, without its constants, on one line.
        own: whether the gate itself sent it, by the mark in its text.
        calls: since the counters began; they took `total_ms` together.
    """

    key: str
    role: str
    text: str
    own: bool
    calls: int
    total_ms: float


@dataclass(frozen=True, slots=True)
class StatementCounters:
    """The statements of one database, by key, and how many were evicted since when.

    The latter two are None before version 1.9 (PostgreSQL 14); `since` is Unix time.
    """

    statements: dict[str, Statement]
    since: float | None
    evictions: int | None


def schema_of(connection: Connection) -> tuple[sql.Identifier, tuple[int, ...]] | None:
    """The schema of the extension in this database, and its version; None if it is missing."""
    found = postgres.fetch(connection, _SCHEMA)
    return (sql.Identifier(found[0][0]), version_of(found[0][1])) if found else None


def version_of(text: str) -> tuple[int, ...]:
    """The version of an extension, as numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def visible(connection: Connection, schema: sql.Identifier) -> tuple[int, int]:
    """How many statements of other roles can be read in this database, and how many cannot."""
    readable, hidden = postgres.fetch(connection, _VISIBLE.format(schema=schema))[0]
    return int(readable), int(hidden)


def read(connection: Connection) -> StatementCounters:
    """The counters of the statements in this database.

    Raises:
        NoData: the extension is missing, not loaded, too old, or has counted nothing.
        NotPermitted: statements of other roles are hidden.
    """
    schema, version = required(connection)
    statement = _STATEMENTS.format(
        schema=schema, top_level=sql.SQL("s.toplevel" if version >= _TOP_LEVEL else "true")
    )
    rows = postgres.fetch(connection, statement)
    if any(row[1] is None for row in rows):
        raise NotPermitted(
            "the statements of other roles are hidden",
            where="pg_stat_statements",
            remedy=f'grant pg_read_all_stats to "{connection.info.user}", or pg_monitor',
        )
    if not rows:
        raise NoData(
            "pg_stat_statements has counted nothing",
            where=connection.info.dbname,
            remedy="see database.slow-query-tracking: pg_stat_statements.track may be `none`",
        )
    info = postgres.fetch(connection, _INFO.format(schema=schema)) if version >= _TOP_LEVEL else []
    found = (_statement(row) for row in rows)
    return StatementCounters(
        statements={statement.key: statement for statement in found},
        since=info[0][1] if info else None,
        evictions=info[0][0] if info else None,
    )


def run_once(counted: StatementCounters, *, monitor: str) -> tuple[int, int]:
    """How many statements ran once, and how many of them are not the application's.

    They are what pg_stat_statements evicts: those of `pg_dump`, of the gate, and of the role of
    the monitoring do not show that the application's texts differ each time.
    """
    once = [one for one in counted.statements.values() if one.calls == 1]
    others = sum(
        one.own or one.role == monitor or bool(_OF_PG_DUMP.match(one.text)) for one in once
    )
    return len(once), others


def required(connection: Connection) -> tuple[sql.Identifier, tuple[int, ...]]:
    """The schema of the extension, and its version.

    Raises:
        NoData: it is missing, or older than PostgreSQL 13's.
    """
    found = schema_of(connection)
    if found is None:
        raise NoData(
            "the server has no statistics of its statements",
            where=connection.info.dbname,
            remedy="add pg_stat_statements to shared_preload_libraries, restart, and run in that"
            " database: create extension pg_stat_statements",
        )
    if found[1] < _OLDEST:
        raise NoData(
            f"pg_stat_statements is of version {'.'.join(map(str, found[1]))}, older than 1.8",
            where=connection.info.dbname,
            remedy="alter extension pg_stat_statements update;",
        )
    return found


def _statement(row: postgres.Row) -> Statement:
    user, query, top_level, role, text, calls, total_ms = row
    text = str(text or "")
    return Statement(
        key=f"{user}/{query}/{int(top_level)}",
        role=str(role),
        text=clean(text),
        own=bool(OWN.search(text)),
        calls=int(calls),
        total_ms=float(total_ms),
    )


_SETTINGS: Final = """
select name, setting from pg_settings where name in (
    'shared_preload_libraries', 'session_preload_libraries', 'pg_stat_statements.track',
    'log_min_duration_statement', 'auto_explain.log_min_duration')"""
_NEVER: Final = "-1"


@dataclass(frozen=True, slots=True)
class Tracking:
    """How slow statements can be found.

    Attributes:
        loaded: whether pg_stat_statements is loaded.
        created: whether its view exists in this database.
        track: its setting `track`: `none`, `top` or `all`; empty where it is not loaded.
        readable: statements of other roles that can be read; `hidden` are those that cannot.
        logged_from_ms: the duration from which on statements are logged; None if none is.
        logged_by: the setting that decides so.
        libraries: the value of shared_preload_libraries that loads it, as SQL needs it: one text
            for each, as the server takes `'a, b'` for a single library and does not start.
    """

    loaded: bool
    created: bool
    track: str
    readable: int
    hidden: int
    logged_from_ms: float | None
    logged_by: str
    libraries: str


def tracking(connection: Connection) -> Tracking:
    """How slow statements can be found here; raises NotPermitted where settings are hidden."""
    settings = {str(name): str(value) for name, value in postgres.fetch(connection, _SETTINGS)}
    if "shared_preload_libraries" not in settings:
        raise NotPermitted(
            "the role may not see shared_preload_libraries",
            where="pg_settings",
            remedy=f'grant pg_read_all_settings to "{connection.info.user}", or pg_monitor',
        )
    libraries = [name.strip() for name in settings["shared_preload_libraries"].split(",")]
    loaded = "pg_stat_statements" in settings["shared_preload_libraries"]
    wanted = [*filter(None, libraries), "pg_stat_statements"]
    schema = schema_of(connection)
    readable = hidden = 0
    if loaded and schema is not None:
        readable, hidden = visible(connection, schema[0])
    logged_from_ms, logged_by = logged(settings)
    return Tracking(
        loaded=loaded,
        created=schema is not None,
        track=settings.get("pg_stat_statements.track", ""),
        readable=readable,
        hidden=hidden,
        logged_from_ms=logged_from_ms,
        logged_by=logged_by,
        libraries=", ".join(f"'{name}'" for name in wanted),
    )


def logged(settings: dict[str, str]) -> tuple[float | None, str]:
    """From how many milliseconds on statements are logged, and by what; the lower of the two.

    `log_min_duration_sample` does not count: it logs some of them, and leaves the others out.
    """
    names = ["log_min_duration_statement"]
    libraries = ("shared_preload_libraries", "session_preload_libraries")
    if any("auto_explain" in settings.get(name, "") for name in libraries):
        names.append("auto_explain.log_min_duration")
    on = [(float(settings[name]), name) for name in names if settings.get(name, _NEVER) != _NEVER]
    return min(on, default=(None, "neither log_min_duration_statement nor auto_explain"))


@dataclass(frozen=True, slots=True)
class Ran:
    """One statement within the window."""

    statement: Statement
    calls: int
    total_ms: float

    @property
    def mean_ms(self) -> float:
        """Milliseconds that one call took."""
        return self.total_ms / self.calls


@dataclass(frozen=True, slots=True)
class Window:
    """What ran between two moments.

    Attributes:
        hours: its length.
        ran: the statements of the application that ran.
        own: how many statements were left out as the gate's own.
        others: how many were left out as those of other roles.
    """

    hours: float
    ran: tuple[Ran, ...]
    own: int
    others: int

    def enough(self, min_calls: int) -> list[Ran]:
        """Those with enough calls for a mean, the slowest first."""
        found = [ran for ran in self.ran if ran.calls >= min_calls]
        return sorted(found, key=lambda ran: -ran.mean_ms)


def start(counted: StatementCounters, before: Snapshot | None) -> float:
    """When a window begins: at the snapshot, or when the counters began if that was later.

    Raises:
        NoData: neither is known.
    """
    known = [before.at] if before and before.statements else []
    known += [] if counted.since is None else [counted.since]
    if not known:
        raise NoData(
            "it is unknown since when statements are counted",
            where="pg_stat_statements",
            remedy="PostgreSQL 13 does not record it: declare [databases.NAME.history] and run"
            " `readiness snapshot` each hour",
        )
    return max(known)


def window(
    counted: StatementCounters,
    before: Snapshot | None,
    *,
    now: float,
    roles: Collection[str],
    monitor: str,
) -> Window:
    """What ran since a snapshot, or since the counters began.

    Args:
        counted: the counters as they are.
        before: the snapshot; None counts from the beginning.
        now: Unix time, by the server's clock.
        roles: those whose statements count; empty: all but `monitor`.
        monitor: the role of the monitoring.
    """
    since = start(counted, before)
    known = before.statements if before and since == before.at else {}
    others = [s for s in counted.statements.values() if not s.own]
    judged = [s for s in others if (s.role in roles if roles else s.role != monitor)]
    return Window(
        hours=(now - since) / 3600,
        ran=tuple(_ran(judged, known)),
        own=len(counted.statements) - len(others),
        others=len(others) - len(judged),
    )


def _ran(judged: list[Statement], known: dict[str, StatementUse]) -> Iterator[Ran]:
    nothing = StatementUse(calls=0, total_ms=0.0)
    for statement in judged:
        earlier = known.get(statement.key, nothing)
        if earlier.calls > statement.calls:
            earlier = nothing  # it was evicted meanwhile, and counts from 0
        calls = statement.calls - earlier.calls
        if calls > 0:
            yield Ran(statement, calls, max(0.0, statement.total_ms - earlier.total_ms))


_PATIENCE_S: Final = 20.0
_MS: Final = {"s": 1000.0, "ms": 1.0}


@dataclass(frozen=True, slots=True)
class Timed:
    """One statement, by its label; its p95 is infinite beyond the histogram's last bound."""

    name: str
    p95_ms: float
    calls: float


def percentiles(prometheus: Prometheus, settings: P95) -> list[Timed]:
    """The p95 of each statement, the slowest first; a new Prometheus is given some seconds.

    Raises:
        NoData: there is no series, one has no name, or its calls are not known.
        CouldNotMeasure: Prometheus does not answer.
    """
    found = until(lambda: prometheus.query(settings.query), bool, within_s=_PATIENCE_S)
    if not found:
        raise NoData(
            "no series shows how long statements take",
            where=settings.query,
            remedy="run the query in Prometheus; the application must export a histogram of its"
            " statements",
        )
    calls = {_name(sample, settings): sample.value for sample in prometheus.query(settings.calls)}
    timed = [_timed(sample, calls, settings) for sample in found]
    return sorted(timed, key=lambda one: (-one.p95_ms, one.name))


def _timed(sample: Sample, calls: dict[str, float], settings: P95) -> Timed:
    name = _name(sample, settings)
    if name not in calls:
        raise NoData(
            f"the number of calls behind the p95 of {name} is not known",
            where=settings.calls,
            remedy=f"keep the label {settings.label} in it, as in `query`",
        )
    # A histogram without any call has no quantile: NaN.
    p95 = sample.value * _MS[settings.unit]
    return Timed(name, p95 if not math.isnan(p95) else 0.0, 0 if math.isnan(p95) else calls[name])


def _name(sample: Sample, settings: P95) -> str:
    name = sample.labels.get(settings.label, "")
    if not name:
        raise NoData(
            f"a series has no label {settings.label}: {sample}",
            where=settings.query,
            remedy="name the statement's label as `label`, and keep it in `sum by (...)`",
        )
    return name
