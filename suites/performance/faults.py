"""What proves the checks of performance: each fault turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem


@fault(
    # It was made by hand: the schema is not the one that was saved, nor that of the migrations.
    turns_red={
        "performance.ingest-rate[orders]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="A trigger that does some work for each row went live with the release.",
)
@contextmanager
def slow_trigger(system: ReferenceSystem) -> Iterator[None]:
    """2 ms a row leave less than 500 rows/s."""
    with system.levers.slow_insert("shop.orders", ms=2):
        yield


@fault(
    turns_red={
        "performance.query-latency[recent-orders]",
        "schema.fingerprint[shop]",
        "schema.migrations-drift[shop]",
    },
    story="The view behind the list of recent orders calls something slow.",
)
@contextmanager
def slow_view(system: ReferenceSystem) -> Iterator[None]:
    """150 ms, where 100 ms are promised."""
    with system.levers.slow_view("shop.recent_orders", ms=150):
        yield
