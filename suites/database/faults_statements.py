"""What must turn each check of the statements red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_REPORT: Final = 'db_statement_duration_seconds_count{statement="monthly-report"}'


@fault(
    turns_red={"database.slow-query-tracking[shop]"},
    story="Somebody switched the log of slow statements off, as it was too long",
)
@contextmanager
def slow_statements_unlogged(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of a slow statement is a mean among others."""
    with system.levers.setting("log_min_duration_statement", "-1"):
        yield


@fault(
    turns_red={"database.statement-latency[shop]"},
    story="A report of the application takes 0.7 s each time",
)
@contextmanager
def report_is_slow(system: "ReferenceSystem") -> Iterator[None]:
    """Thirty times, as thirty customers do."""
    with system.levers.slow_report(seconds=0.7, calls=30):
        yield


@fault(
    turns_red={"database.statement-eviction[shop]"},
    story="The application writes each number into the statement's text",
)
@contextmanager
def statements_all_differ(system: "ReferenceSystem") -> Iterator[None]:
    """More different ones than pg_stat_statements has room for."""
    with system.levers.statements_evicted():
        yield


@fault(
    turns_red={"database.statement-p95[shop]"},
    story="A report of the application takes 0.7 s one time of ten, and nothing the other times",
)
@contextmanager
def report_is_slow_at_times(system: "ReferenceSystem") -> Iterator[None]:
    """Its mean is 70 ms: who looks at means sees nothing."""
    levers = system.levers
    with levers.report_slow_at_times():
        levers.await_series(_REPORT)
        yield
    levers.await_series(f"absent({_REPORT})")
