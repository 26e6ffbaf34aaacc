"""Slow statements: whether they can be found, and how slow they are."""

from dataclasses import dataclass, replace
from pathlib import Path

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.database.config import P95, Database, Statements
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import statements
from readiness.areas.database.probes.counters import server_of
from readiness.areas.database.probes.statements import Ran, StatementCounters, Tracking, Window
from readiness.areas.database.snapshots import Snapshot, Store
from readiness.config.models import Config
from readiness.lib.postgres.session import looking
from readiness.lib.prometheus import Prometheus
from readiness.lib.text import worst
from readiness.model.errors import NoData
from readiness.model.figures import counted
from readiness.model.measurement import Limit

_VIEW = "pg_stat_statements"
_HOUR_S = 3600.0
_DAY_H = 24
_FEW_CALLS = "run the gate after some traffic, such as the end-to-end tests"


@check(
    "database.slow-query-tracking",
    title="The server counts every statement, and logs slow ones",
    failure_title="Slow statements cannot be found: they are not counted or not logged",
    each="database",
    severity="major",
    why="""In an incident the first question is which statement it is. Without pg_stat_statements
    and a log of slow statements there is no answer, and the library needs a restart.""",
    fix="""installed: load the library (needs a restart; the message has the statement, which keeps
the others that are loaded), and create its view in the database:
    alter system set shared_preload_libraries = 'OTHER', 'pg_stat_statements';
    create extension pg_stat_statements;
counted, logged: without a restart:
    alter system set pg_stat_statements.track = 'top';
    alter system set log_min_duration_statement = 500;
    select pg_reload_conf();
visible: let the monitoring role see the statements of others: grant pg_monitor to ROLE;""",
    judgements=("installed", "counted", "visible", "logged"),
)
def test_slow_query_tracking(database: Database, evidence: Evidence) -> None:
    """By the settings in force, and by what the monitoring role can read."""
    with looking(database) as connection:
        found = statements.tracking(connection)
    load = f"alter system set shared_preload_libraries = {found.libraries};"
    for name, there, command, then in (
        ("loaded", found.loaded, load, " then restart the server"),
        ("created in this database", found.created, "create extension pg_stat_statements;", ""),
    ):
        measured = Measurement(f"{_VIEW} is {name}", there, "truth", "pg_settings, pg_extension")
        says = f"{_VIEW} is not {name}"
        because = f"{command}{then}"
        evidence.judge(
            "installed", measured, equal_to(value=True), because, says=says, commands=[command]
        )
    if found.loaded and found.created:
        _judge_counting(found, evidence)
    _judge_log(found, database.statements, evidence)


def _judge_counting(found: Tracking, evidence: Evidence) -> None:
    measured = Measurement("pg_stat_statements.track", found.track, "text", "pg_settings")
    because = "alter system set pg_stat_statements.track = 'top'; select pg_reload_conf();"
    says = "Statements are not counted: pg_stat_statements.track is none"
    evidence.judge("counted", measured, Limit("!=", "none"), because, says=says, commands=[because])
    evidence.judge(
        "visible",
        Measurement("Statements hidden from the monitoring role", found.hidden, "count", _VIEW),
        equal_to(0),
        "grant pg_monitor to the monitoring role",
        says=f"{counted(found.hidden, 'statement is', 'statements are')} hidden from the monitoring"
        " role",
    )
    measured = Measurement("Statements of other roles", found.readable, "count", _VIEW)
    says = "No statement of another role has been counted yet"
    evidence.judge("visible", measured, Limit("!=", 0), says=says)


def _judge_log(found: Tracking, limits: Statements, evidence: Evidence) -> None:
    from_ms, setting, says = found.logged_from_ms, found.logged_by, ""
    if from_ms is None:
        from_ms, setting = float("inf"), "log_min_duration_statement"
        says = f"Slow statements are not logged: {found.logged_by} is set"
    limit_ms = limits.logged_from_ms
    measured = Measurement("Statements are logged from", from_ms, "ms", found.logged_by)
    because = f"alter system set {setting} = {limit_ms:g}; select pg_reload_conf();"
    limit = at_most(limit_ms, limits.deciding("logged_from_ms"))
    evidence.judge("logged", measured, limit, because, says=says, commands=[because])


@check(
    "database.statement-latency",
    title="The application's statements are fast, on average and at the 95th percentile",
    failure_title="Statements of the application are slow",
    each="database",
    severity="major",
    why="""A statement that takes half a second holds a connection, its locks and a thread of the
    application for as long; twenty users at once empty the pool. A mean hides single slow calls,
    so the p95 is judged where calls are timed.""",
    fix="""See where its time goes; the message names role and statement:
    explain (analyze, buffers, settings) STATEMENT;
Most often an index is missing, or more rows are read than are needed.
Slow at the 95th percentile only: see the distribution, and the plans of the slow calls
    sum by (le) (increase(db_statement_duration_seconds_bucket{statement="NAME"}[1h]))
    auto_explain.log_min_duration = 500, auto_explain.log_analyze = on
Often it is the parameters (a customer with a million orders), a lock, or a cold cache.""",
    judgements=("mean", "p95"),
)
def test_statement_latency(database: Database, target: Config, evidence: Evidence) -> None:
    """The mean within the window, from pg_stat_statements; the p95 from a histogram.

    pg_stat_statements keeps no distribution, and a p95 computed from mean and deviation is wrong by
    a factor of two either way: it is judged where [databases.NAME.statements.p95] is declared.
    """
    with evidence.attempt():
        _judge_means(database, evidence)
    if database.statements.p95:
        with evidence.attempt():
            _judge_p95(database.statements, database.statements.p95, target, evidence)


def _judge_means(database: Database, evidence: Evidence) -> None:
    limits = database.statements
    read = _read(database, limits.window_h)
    ran = _window(read, limits)
    counted_h = (read.now - (read.counted.since or 0.0)) / _HOUR_S
    if not ran.enough(limits.min_calls) and counted_h <= limits.window_max_h:
        # The first snapshot is that of this very hour: nothing has run since then.
        ran = _window(replace(read, before=None), limits)
    slowest_first = ran.enough(limits.min_calls)
    if not slowest_first:
        raise NoData(
            f"no statement of the application ran {limits.min_calls} times within the last"
            f" {ran.hours:.3g} h; {len(ran.ran)} ran less often",
            where=_VIEW,
            remedy=f"{_FEW_CALLS}, and see whether `roles` in [databases.NAME.statements] are the"
            " application's",
        )
    slowest = slowest_first[0]
    name, source = (
        f"Slowest mean of {len(slowest_first)} statements",
        f"{_VIEW}, last {ran.hours:.3g} h",
    )
    measured = Measurement(name, slowest.mean_ms, "ms", source, slowest.calls)
    because = _slow(slowest_first, limits)
    keys = ("warning_ms", "alert_ms")
    no_more_than(evidence, "mean", measured, limits, keys, because)
    for name, count in (
        (f"with fewer than {limits.min_calls} calls", len(ran.ran) - len(slowest_first)),
        ("of other roles", ran.others),
        ("sent by the gate itself", ran.own),
    ):
        evidence.record(Measurement(f"Statements not judged: {name}", count, "count", _VIEW))


def _slow(ran: list[Ran], limits: Statements) -> str:
    return worst(
        f"{_level(one.mean_ms, limits)}: {one.mean_ms:.0f} ms in {one.calls} calls by"
        f" {one.statement.role}: {one.statement.text}"
        for one in ran
        if one.mean_ms > limits.warning_ms
    )


def _level(mean_ms: float, limits: Statements) -> str:
    if mean_ms > limits.critical_ms:
        return "critical"
    return "alert" if mean_ms > limits.alert_ms else "warning"


def _window(read: "_Read", limits: Statements) -> Window:
    ran = statements.window(
        read.counted, read.before, now=read.now, roles=limits.roles, monitor=read.monitor
    )
    if ran.hours > limits.window_max_h:
        raise NoData(
            f"the means are those of {ran.hours / 24:.0f} days: what became slow today does not"
            " show in them",
            where=_VIEW,
            remedy="declare [databases.NAME.history] and run `readiness snapshot` each hour",
        )
    return ran


@dataclass(frozen=True, slots=True)
class _Read:
    """The counters as they are, and as they were some hours before, where a snapshot has them."""

    counted: StatementCounters
    before: Snapshot | None
    now: float
    monitor: str


def _read(database: Database, hours: float) -> _Read:
    with looking(database) as connection:
        counted = statements.read(connection)
        now, server = server_of(connection)
        monitor = connection.info.user
    before = None
    if database.history:
        before = Store(Path(database.history.path)).usage_at(server, now - hours * _HOUR_S)
    return _Read(counted, before, now, monitor)


def _judge_p95(limits: Statements, source: P95, target: Config, evidence: Evidence) -> None:
    if target.prometheus is None:
        raise NoData("[prometheus] is not configured", remedy="declare it in readiness.toml")
    with Prometheus(target.prometheus) as watcher:
        timed = statements.percentiles(watcher, source)
    enough = [one for one in timed if one.calls >= limits.min_calls]
    if not enough:
        raise NoData(
            f"none of {len(timed)} timed statements was called {limits.min_calls} times, which a"
            " p95 needs",
            where=source.calls,
            remedy=_FEW_CALLS,
        )
    name, slowest = f"Slowest p95 of {len(enough)} statements", enough[0]
    measured = Measurement(name, slowest.p95_ms, "ms", source.query, int(slowest.calls))
    because = worst(
        f"{_level(one.p95_ms, limits)}: {one.p95_ms:.0f} ms of {one.calls:.0f} calls, {one.name}"
        for one in enough
        if one.p95_ms > limits.warning_ms
    )
    keys = ("warning_ms", "alert_ms")
    no_more_than(evidence, "p95", measured, limits, keys, because)
    name = f"Timed statements not judged: with fewer than {limits.min_calls} calls"
    evidence.record(Measurement(name, len(timed) - len(enough), "count", source.calls))


@check(
    "database.statement-eviction",
    title="pg_stat_statements has room for all statements",
    failure_title="pg_stat_statements throws out statements for want of room",
    each="database",
    severity="minor",
    why="""Where the texts of statements differ each time, as with a varying number of values in an
    IN list, old ones are evicted all the time: yesterday's slow statement is gone.""",
    fix="""See how often, and make room (with a restart); 10,000 statements take about 10 MB:
    select dealloc, stats_reset from pg_stat_statements_info;
    alter system set pg_stat_statements.max = 10000;
Better: make the texts alike, `= any($1)` with an array instead of `in (...)`.""",
    judgements=("evictions",),
)
def test_statement_eviction(database: Database, evidence: Evidence) -> None:
    """Since the snapshot of a day ago, or since the counters began."""
    limits, read = database.statements, _read(database, _DAY_H)
    count, since = _evictions(read.counted, read.before)
    once, ours = statements.run_once(read.counted, monitor=read.monitor)
    hours = (read.now - since) / _HOUR_S
    source = f"pg_stat_statements_info.dealloc, the last {hours:.3g} h"
    measured = Measurement("Evictions of pg_stat_statements", count, "count", source)
    most = limits.evictions_max_per_day * max(1.0, hours / _DAY_H)
    many = count > most
    because = "each removes 5 % of the statements; raise pg_stat_statements.max"
    # Not the application's: a dump runs a statement for each table, and so did older releases.
    foreign = ours > once / 2
    if foreign:
        because = (
            f"{ours} of {once} statements that ran once are pg_dump's or those of {read.monitor},"
            " not the application's; for the role of the backups:"
            " alter role ROLE set pg_stat_statements.track = 'none'"
        )
    evidence.judge(
        "evictions",
        measured,
        at_most(most, limits.deciding("evictions_max_per_day")) if many else equal_to(0),
        because,
        warn_only=foreign or not many,
    )


def _evictions(counted: StatementCounters, before: Snapshot | None) -> tuple[int, float]:
    """How many, and since when; raises NoData if the server does not count them."""
    if counted.evictions is None:
        raise NoData(
            "the server does not count evictions",
            where="pg_stat_statements_info",
            remedy="PostgreSQL 14 and later do; after an upgrade:"
            " alter extension pg_stat_statements update;",
        )
    since = statements.start(counted, before)
    known = before.evictions or 0 if before and since == before.at else 0
    return max(0, counted.evictions - known), since
