"""Faults that make the system slow, or lose writes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import Fault, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_INGEST: Final = "performance.ingest-rate[orders]"
_QUERY: Final = "performance.query-latency[recent-orders]"
# Made by hand: the schema is neither the one that was saved nor that of the migrations.
_DRIFT: Final = {
    "schema.fingerprint[shop]": {"objects-differ"},
    "schema.migrations-drift[shop]": {"objects-differ"},
}
_PATH: Final = "/api/orders"


def _behaving(name: str, story: str, *misses: str, **switches: object) -> Fault:
    """A fault of the write path that the service is told to have; see `Behaviour`."""

    def apply(system: "ReferenceSystem") -> AbstractContextManager[None]:
        return system.levers.behave(**switches)

    apply.__name__ = name
    return fault(story=story, misses={_INGEST: misses})(apply)


@fault(
    misses={_INGEST: {"copy-rate", "write-rate"}, **_DRIFT},
    story="A trigger that works for 2 ms on each row went live with the release.",
)
@contextmanager
def slow_trigger(system: "ReferenceSystem") -> Iterator[None]:
    """2 ms per row leave less than 500 rows/s."""
    with system.levers.slow_insert("shop.orders", ms=2):
        yield


application_writes_slowly = _behaving(
    "application_writes_slowly",
    "The application waits 1.5 s for another service before it stores orders.",
    "write-rate",
    delay_ms={_PATH: 1500},
)
writes_are_refused = _behaving(
    "writes_are_refused",
    "A rate limit answers 429 to every write.",
    "failed-writes",
    "write-rate",
    status={_PATH: 429},
)
writes_are_lost = _behaving(
    "writes_are_lost",
    "The application acknowledges orders, and does not store them.",
    "missing-rows",
    "write-rate",
    drop_writes=True,
)


@fault(
    misses={_QUERY: {"p95"}, **_DRIFT},
    story="The view behind the list of recent orders calls a slow function.",
)
@contextmanager
def slow_view(system: "ReferenceSystem") -> Iterator[None]:
    """150 ms, where 100 ms are promised."""
    with system.levers.slow_view("shop.recent_orders", ms=150):
        yield


@fault(
    misses={_QUERY: {"stall"}, **_DRIFT},
    story="One in a hundred queries of the list of recent orders waits for 1.5 s.",
)
@contextmanager
def a_query_stalls(system: "ReferenceSystem") -> Iterator[None]:
    """The p95 hides it."""
    with system.levers.slow_view("shop.recent_orders", ms=1500, every=100):
        yield
