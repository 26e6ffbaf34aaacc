"""Faults of statements: how they are counted and logged, and how long they take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import broken_by, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_REPORT: Final = 'db_statement_duration_seconds_count{statement="monthly-report"}'
_TRACKING: Final = "database.slow-query-tracking[shop]"
_UNCOUNTED: Final = {
    "database.statement-latency[shop]": (),
    "database.statement-eviction[shop]": (),
    "monitoring.database-overhead[shop]": (),
}


statements_have_no_view = broken_by(
    "statements_have_no_view",
    "The view of the statistics was dropped with the role that had created it.",
    {_TRACKING: {"installed"}, **_UNCOUNTED},
    lambda levers: levers.sql(
        "drop extension pg_stat_statements", "create extension pg_stat_statements"
    ),
)

statements_are_not_counted = broken_by(
    "statements_are_not_counted",
    "Counting statements was switched off to make a benchmark faster.",
    {_TRACKING: {"counted"}},
    lambda levers: levers.server_setting("pg_stat_statements.track", "none"),
)

# What cannot be judged without the statistics of other roles.
_OF_OTHER_ROLES: Final = (
    *("database.connections[shop]", "database.corruption[shop]", "database.counters[shop]"),
    *("database.sessions[shop]", "database.standby-connected[shop]", "database.vacuum[shop]"),
    *("database.statement-eviction[shop]", "database.statement-latency[shop]"),
    "scaling.connection-budget[shop]",
)

statements_of_others_are_hidden = broken_by(
    "statements_of_others_are_hidden",
    "The monitoring role may not read the statistics of other roles.",
    {
        _TRACKING: {"visible"},
        "database.privileges[shop]": {"pg-monitor"},
        "monitoring.scrape-jobs[postgres]": {"exporter"},
        **dict.fromkeys(_OF_OTHER_ROLES, ()),
    },
    lambda levers: levers.sql(
        "revoke pg_monitor from shop_monitor; grant pg_read_all_settings to shop_monitor",
        "grant pg_monitor to shop_monitor; revoke pg_read_all_settings from shop_monitor",
    ),
)

slow_statements_unlogged = broken_by(
    "slow_statements_unlogged",
    "The log of slow statements was switched off, as it was too long.",
    {_TRACKING: {"logged"}},
    lambda levers: levers.server_setting("log_min_duration_statement", "-1"),
)

report_is_slow = broken_by(
    "report_is_slow",
    "A report of the application takes 0.7 s each time.",
    {"database.statement-latency[shop]": {"mean"}},
    lambda levers: levers.slow_report(seconds=0.7, calls=30),
)


@fault(
    misses={"database.statement-latency[shop]": {"p95"}},
    story="A report of the application takes 0.7 s one time of ten, and nothing the other times.",
    needs="prometheus",
)
@contextmanager
def report_is_slow_at_times(system: "ReferenceSystem") -> Iterator[None]:
    """Its mean is 70 ms, which is fast enough."""
    levers = system.levers
    with levers.report_slow_at_times():
        levers.await_series(_REPORT)
        yield
    levers.await_series(f"absent({_REPORT})")


statements_all_differ = broken_by(
    "statements_all_differ",
    "The application writes each number into the statement's text.",
    {"database.statement-eviction[shop]": {"evictions"}},
    lambda levers: levers.statements_evicted(),
)
