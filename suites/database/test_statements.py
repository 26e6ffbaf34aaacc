"""Whether slow statements are known and few."""

from pathlib import Path

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.config_history import Statements
from readiness.areas.database.history.snapshot import Snapshot
from readiness.areas.database.history.store import Store
from readiness.areas.database.statements import counters, percentiles, snapshot, tracking
from readiness.areas.database.statements.counters import Counters
from readiness.areas.database.statements.window import Ran, Window, start, window
from readiness.lib import postgres
from readiness.lib.prometheus import Prometheus
from readiness.lib.text import worst
from readiness.model.errors import NoData

_VIEW = "pg_stat_statements"
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


@check(
    "database.slow-query-tracking",
    title="The server counts every statement, and logs the slow ones",
    why="""In an incident the first question is which statement it is. Without pg_stat_statements
    and a log of slow statements there is no answer, and both must be there before: the library is
    only loaded at a restart, which nobody wants in the middle of an incident.""",
    fix="""In postgresql.conf, the first line with a restart, the others with pg_reload_conf():
    shared_preload_libraries = 'pg_stat_statements'
    pg_stat_statements.track = top
    log_min_duration_statement = 500
In the database: create extension pg_stat_statements;
For the monitoring role: grant pg_monitor to ROLE;""",
    severity="major",
    effect="observe",
    each="database",
)
def test_slow_query_tracking(database: Database, evidence: Evidence) -> None:
    """By the settings as they are in force, and by what this role can really read."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = tracking.read(connection)
    for name, there, because in (
        ("pg_stat_statements is loaded", found.loaded, "it is not in shared_preload_libraries"),
        ("its view is in this database", found.created, "create extension pg_stat_statements;"),
    ):
        evidence.judge(
            "name", Measurement(name, int(there), "count", "pg_settings"), equal_to(1), because
        )
    if found.loaded and found.created:
        _judge_counting(found, evidence)
    limit_ms = database.statements.logged_from_ms
    if found.logged_from_ms is None:
        evidence.judge(
            "slow-statements-logged",
            Measurement("slow statements are logged", 0, "count", "pg_settings"),
            equal_to(1),
            f"{found.logged_by} does: alter system set log_min_duration_statement = {limit_ms:g};"
            " select pg_reload_conf();",
        )
        return
    evidence.judge(
        "statements-logged",
        Measurement("statements are logged from", found.logged_from_ms, "ms", found.logged_by),
        at_most(limit_ms),
        f"what takes less leaves no trace: alter system set {found.logged_by} = {limit_ms:g};"
        " select pg_reload_conf();",
    )


def _judge_counting(found: tracking.Tracking, evidence: Evidence) -> None:
    evidence.judge(
        "statements-counted",
        Measurement("statements are counted", int(found.track != "none"), "count", "pg_settings"),
        equal_to(1),
        "alter system set pg_stat_statements.track = 'top'; select pg_reload_conf();",
    )
    evidence.judge(
        "statements-hidden-this-role",
        Measurement("statements that are hidden from this role", found.hidden, "count", _VIEW),
        equal_to(0),
        "grant pg_monitor to the monitoring role",
    )
    evidence.judge(
        "statements-other-roles-can",
        Measurement("statements of other roles that can be read", found.readable, "count", _VIEW),
        at_least(1),
        "nothing of the application has been counted yet",
    )


@check(
    "database.statement-latency",
    title="No statement of the application is slow on average",
    why="""A statement that takes half a second holds a connection, its locks and a thread of the
    application for as long; twenty users at once are enough to empty the pool. It is found here by
    what all calls took, and not by the one that somebody happened to watch.""",
    fix="""See where its time goes; the finding names role and statement:
    explain (analyze, buffers, settings) STATEMENT;
Most often it reads a table for want of an index, or reads more rows than anybody looks at.
The levels are `warning_ms`, `alert_ms` and `critical_ms` in [databases.NAME.statements].""",
    severity="major",
    effect="observe",
    each="database",
)
def test_statement_latency(database: Database, evidence: Evidence) -> None:
    """The mean of each statement of each role, within the window; not since the last restart."""
    limits = database.statements
    ran = _window(database)
    slowest_first = ran.enough(limits.min_calls)
    told = f"{_VIEW}, the last {ran.hours:.3g} h"
    if not slowest_first:
        raise NoData(
            f"no statement of the application ran {limits.min_calls} times within the"
            f" {ran.hours:.3g} h that are told of; {len(ran.ran)} ran less often",
            where=_VIEW,
            remedy="run the gate after some traffic, as the end-to-end tests, and look whether"
            " `roles` in [databases.NAME.statements] are the application's",
        )
    slowest = slowest_first[0]
    mean = Measurement(
        f"slowest mean of {len(slowest_first)} statements", slowest.mean_ms, "ms", told,
        slowest.calls,
    )  # fmt: skip
    because = _slow(slowest_first, limits)
    if evidence.judge("mean", mean, at_most(limits.alert_ms), because):
        evidence.judge("mean", mean, at_most(limits.warning_ms), because, warn_only=True)
    _record_rest(ran, len(slowest_first), limits, evidence)


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


def _record_rest(ran: Window, judged: int, limits: Statements, evidence: Evidence) -> None:
    for name, count in (
        (f"not judged: fewer than {limits.min_calls} calls", len(ran.ran) - judged),
        ("left out: of other roles", ran.others),
        ("left out: sent by the gate itself", ran.own),
    ):
        evidence.record(Measurement(f"statements {name}", count, "count", _VIEW))


def _window(database: Database) -> Window:
    limits = database.statements
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        counted = counters.read(connection)
        now, server = snapshot.server_of(connection)
        monitor = connection.info.user
    before = None
    if database.history:
        store = Store(Path(database.history.path))
        before = store.usage_at(server, now - limits.window_h * _HOUR_S)
    ran = window(counted, before, now=now, roles=limits.roles, monitor=monitor)
    if ran.hours > limits.window_max_h:
        raise NoData(
            f"the means are those of {ran.hours / 24:.0f} days: what became slow today does not"
            " show in them",
            where=_VIEW,
            remedy="declare [databases.NAME.history] and run `readiness snapshot` each hour",
        )
    return ran


@check(
    "database.statement-p95",
    title="Nineteen of twenty calls of each statement are quick",
    why="""A mean hides the call that everybody remembers: quick nine times of ten and slow the
    tenth is a harmless mean. PostgreSQL keeps no distribution, and one that is made up from mean
    and deviation is wrong by a factor of two either way. So it is read where calls are timed.""",
    fix="""Look at the distribution, and at what differs between quick and slow calls:
    sum by (le) (increase(db_statement_duration_seconds_bucket{statement="NAME"}[1h]))
Often it is the parameters (a customer with a million orders), a lock, or a cold cache:
auto_explain.log_min_duration with auto_explain.log_analyze shows the plan of the slow ones.
The levels are those of database.statement-latency.""",
    severity="major",
    effect="observe",
    each="timed_database",
)
def test_statement_p95(timed_database: Database, watcher: Prometheus, evidence: Evidence) -> None:
    """By the application's own histogram; statements with too few calls are not judged."""
    limits = timed_database.statements
    if limits.p95 is None:
        raise NoData("there is no [databases.NAME.statements.p95]", where=timed_database.name)
    timed = percentiles.read(watcher, limits.p95)
    told = [one for one in timed if one.calls >= limits.min_calls]
    if not told:
        raise NoData(
            f"none of {len(timed)} statements was called {limits.min_calls} times: fewer calls"
            " have no p95",
            where=limits.p95.calls,
            remedy="run the gate after some traffic, as the end-to-end tests",
        )
    because = worst(
        f"{_level(one.p95_ms, limits)}: {one.p95_ms:.0f} ms of {one.calls:.0f} calls, {one.name}"
        for one in told
        if one.p95_ms > limits.warning_ms
    )
    p95 = Measurement(
        f"slowest p95 of {len(told)} statements", told[0].p95_ms, "ms", limits.p95.query,
        int(told[0].calls),
    )  # fmt: skip
    if evidence.judge("p95", p95, at_most(limits.alert_ms), because):
        evidence.judge("p95", p95, at_most(limits.warning_ms), because, warn_only=True)
    evidence.record(
        Measurement(
            f"statements not judged: fewer than {limits.min_calls} calls",
            len(timed) - len(told),
            "count",
            limits.p95.calls,
        )
    )


@check(
    "database.statement-eviction",
    title="The server has room for the figures of all statements",
    why="""pg_stat_statements holds so many statements and no more. Where they differ in their text
    each time, as with a number of values in each IN list, old ones are thrown out all the time:
    the slow statement of yesterday is gone, and what is shown begins anew each time.""",
    fix="""See how often, and make room (with a restart); 10,000 of them take about 10 MB:
    select dealloc, stats_reset from pg_stat_statements_info;
    alter system set pg_stat_statements.max = 10000;
Better: let the statements be alike, `= any($1)` with an array instead of `in (...)`.""",
    severity="minor",
    effect="observe",
    each="database",
)
def test_statement_eviction(database: Database, evidence: Evidence) -> None:
    """Since the snapshot of a day ago, else since the counters began."""
    limits = database.statements
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        counted = counters.read(connection)
        now, server = snapshot.server_of(connection)
    before = None
    if database.history:
        before = Store(Path(database.history.path)).usage_at(server, now - _DAY_S)
    count, since = _evictions(counted, before)
    days = (now - since) / _DAY_S
    source = f"pg_stat_statements_info.dealloc, the last {days * 24:.3g} h"
    measured = Measurement("times that statements were thrown out", count, "count", source)
    because = "each takes 5 % of the statements: raise pg_stat_statements.max"
    most = limits.evictions_max_per_day * max(1.0, days)
    if evidence.judge("measured", measured, at_most(most), because):
        evidence.judge("measured", measured, equal_to(0), because, warn_only=True)


def _evictions(counted: Counters, before: Snapshot | None) -> tuple[int, float]:
    """How often since when.

    Raises:
        NoData: the server does not count it.
    """
    if counted.evictions is None:
        raise NoData(
            "the server does not count how often statements are thrown out",
            where="pg_stat_statements_info",
            remedy="PostgreSQL 14 and later do; after an upgrade:"
            " alter extension pg_stat_statements update;",
        )
    since = start(counted, before)
    known = before.evictions or 0 if before and since == before.at else 0
    return max(0, counted.evictions - known), since
