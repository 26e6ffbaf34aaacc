"""Faults of statements: how they are counted and logged, and how long they take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_REPORT: Final = 'db_statement_duration_seconds_count{statement="monthly-report"}'
_TRACKING: Final = "database.slow-query-tracking[shop]"
_UNCOUNTED: Final = {
    "database.statement-latency[shop]": (),
    "database.statement-eviction[shop]": (),
    "monitoring.database-overhead[shop]": (),
}


@fault(
    misses={_TRACKING: {"installed"}, **_UNCOUNTED},
    story="The view of the statistics was dropped with the role that had created it.",
)
@contextmanager
def statements_have_no_view(system: "ReferenceSystem") -> Iterator[None]:
    """The library is loaded, and counts on."""
    with system.levers.sql(
        "drop extension pg_stat_statements", "create extension pg_stat_statements"
    ):
        yield


@fault(
    misses={_TRACKING: {"counted"}},
    story="Counting statements was switched off to make a benchmark faster.",
)
@contextmanager
def statements_are_not_counted(system: "ReferenceSystem") -> Iterator[None]:
    """What was counted before is still shown."""
    with system.levers.server_setting("pg_stat_statements.track", "none"):
        yield


@fault(
    misses={_TRACKING: {"logged"}},
    story="The log of slow statements was switched off, as it was too long.",
)
@contextmanager
def slow_statements_unlogged(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of a slow statement is a mean among others."""
    with system.levers.server_setting("log_min_duration_statement", "-1"):
        yield


@fault(
    misses={"database.statement-latency[shop]": {"mean"}},
    story="A report of the application takes 0.7 s each time.",
)
@contextmanager
def report_is_slow(system: "ReferenceSystem") -> Iterator[None]:
    """Thirty times, as thirty customers do."""
    with system.levers.slow_report(seconds=0.7, calls=30):
        yield


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


@fault(
    misses={"database.statement-eviction[shop]": {"evictions"}},
    story="The application writes each number into the statement's text.",
)
@contextmanager
def statements_all_differ(system: "ReferenceSystem") -> Iterator[None]:
    """More different ones than pg_stat_statements has room for."""
    with system.levers.statements_evicted():
        yield
