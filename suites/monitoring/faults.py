"""What must turn each monitoring check red: breaks of the reference system, each taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_HEALTH: Final = {"monitoring.health-endpoints[orders]"}
_DRILL: Final = {"monitoring.ready-tracks-dependency[orders]"}
_ENDPOINT: Final = {"monitoring.metrics-endpoint[orders]"}
_TRUTH: Final = {"monitoring.metrics-truth[orders]"}
# To Prometheus, the target is down: nothing of it can be told any more.
_UNREADABLE: Final = _ENDPOINT | {
    "monitoring.scrape-jobs[orders]",
    "monitoring.scrape-stability[orders]",
    "monitoring.required-metrics[orders]",
    "monitoring.cardinality[orders]",
}
# Three times the limit of the reference target: slow beyond all doubt, and no time-out.
_SLOW_MS: Final = 1500


@fault(turns_red=_HEALTH, story="/health is a page for people, and answers 200")
@contextmanager
def health_is_html(system: "ReferenceSystem") -> Iterator[None]:
    """What a front end does that catches a path."""
    with system.levers.behave(
        body={"/health": "<!doctype html><title>Welcome</title>"},
        content_type={"/health": "text/html"},
    ):
        yield


@fault(turns_red=_HEALTH, story="/health takes 1.5 s")
@contextmanager
def health_is_slow(system: "ReferenceSystem") -> Iterator[None]:
    """What happens when a health page asks everything that it depends on."""
    with system.levers.behave(delay_ms={"/health": _SLOW_MS}):
        yield


@fault(turns_red=_HEALTH, story="/health answers 503")
@contextmanager
def health_is_unavailable(system: "ReferenceSystem") -> Iterator[None]:
    """What a service says that cannot serve."""
    with system.levers.behave(status={"/health": 503}):
        yield


@fault(turns_red=_HEALTH, story="/health no longer says which version runs")
@contextmanager
def health_names_no_version(system: "ReferenceSystem") -> Iterator[None]:
    """What is left when the build does not stamp its version."""
    with system.levers.behave(body={"/health": '{"status": "ok", "version": ""}'}):
        yield


@fault(turns_red=_DRILL, story="/health/ready answers 200 whatever the database does")
@contextmanager
def ready_is_constant(system: "ReferenceSystem") -> Iterator[None]:
    """The most common readiness endpoint of all: `return 200`."""
    with system.levers.behave(ready_ignores_database=True):
        yield


@fault(turns_red=_DRILL, story="/health/live answers 503 when the database is away")
@contextmanager
def live_needs_the_database(system: "ReferenceSystem") -> Iterator[None]:
    """What makes an orchestrator restart every instance at once."""
    with system.levers.behave(live_needs_database=True):
        yield


@fault(turns_red=_ENDPOINT, story="/metrics shows one series twice")
@contextmanager
def metrics_show_a_series_twice(system: "ReferenceSystem") -> Iterator[None]:
    """What a second exporter in the same process does."""
    with system.levers.behave(duplicate_series=True):
        yield


@fault(turns_red=_UNREADABLE, story="/metrics has a line that Prometheus cannot read")
@contextmanager
def metrics_are_malformed(system: "ReferenceSystem") -> Iterator[None]:
    """What a label value does that is not escaped: Prometheus drops the whole scrape."""
    down = 'ALERTS{alertname="TargetDown",alertstate="firing",job="orders"}'
    # The dashboards show a time before the fault, if there was one.
    system.levers.await_series('count_over_time(http_requests_total{job="orders"}[2m]) >= 9')
    with system.levers.behave(malformed_metrics=True):
        system.levers.await_series(down)
        yield
    # The alert has ended, and the window that stability is judged in holds no failed scrape.
    system.levers.await_series(f'min_over_time(up{{job="orders"}}[16s]) == 1 unless on () {down}')


@fault(turns_red=_ENDPOINT, story="/metrics says that it is HTML")
@contextmanager
def metrics_claim_to_be_html(system: "ReferenceSystem") -> Iterator[None]:
    """What Prometheus 2 forgives, and Prometheus 3 does not."""
    with system.levers.behave(content_type={"/metrics": "text/html"}):
        yield


@fault(turns_red=_TRUTH, story="the counters stand still while requests are served")
@contextmanager
def counters_stand_still(system: "ReferenceSystem") -> Iterator[None]:
    """What a registry does that another worker process keeps."""
    with system.levers.behave(freeze_counters=True):
        yield


@fault(turns_red=_TRUTH, story="requests that fail are not counted as errors")
@contextmanager
def errors_are_not_counted(system: "ReferenceSystem") -> Iterator[None]:
    """What a counter does that stands behind the code which raises."""
    with system.levers.behave(ignore_error_counter=True):
        yield
