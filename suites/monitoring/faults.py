"""Faults of the service, and those seen from outside: addresses, pages, dashboards, errors."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import Fault, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem


_HEALTH: Final = "monitoring.health-endpoints[orders]"
_DRILL: Final = "monitoring.ready-tracks-dependency[orders]"
_ENDPOINT: Final = "monitoring.metrics-endpoint[orders]"
_TRUTH: Final = "monitoring.metrics-truth[orders]"
_JOB: Final = "monitoring.scrape-jobs[orders]"
_CAPACITY: Final = "monitoring.prometheus-capacity[prometheus]"
# To Prometheus, the target is down: nothing else of it can be judged any more.
_DOWN: Final = {_JOB: {"up", "success-share"}, _CAPACITY: set[str]()}
# Three times the limit of the reference target: slow beyond all doubt, and no timeout.
_SLOW_MS: Final = 1500
_ORDERS_DOWN: Final = 'ALERTS{alertname="TargetDown",alertstate="firing",job="orders"}'
Misses = Mapping[str, set[str]]


def _behaving(name: str, story: str, misses: Misses, **switches: object) -> Fault:
    """A fault that the service is told to have; see `Behaviour`."""

    def apply(system: "ReferenceSystem") -> AbstractContextManager[None]:
        return system.levers.behave(**switches)

    apply.__name__ = name
    return fault(story=story, misses=misses)(apply)


def _unreadable(name: str, story: str, misses: Misses, **switches: object) -> Fault:
    """The same, where Prometheus cannot read the metrics, so that the target is down."""

    @contextmanager
    def apply(system: "ReferenceSystem") -> Iterator[None]:
        # The dashboards show a time before the fault, if there was one.
        system.levers.await_series('count_over_time(http_requests_total{job="orders"}[2m]) >= 9')
        with system.levers.behave(**switches):
            system.levers.await_series(_ORDERS_DOWN)
            yield
        # The alert has ended, and the window of the success share holds no failed scrape.
        well = 'min_over_time(up{job="orders"}[16s]) == 1'
        system.levers.await_series(f"{well} unless on () {_ORDERS_DOWN}")

    apply.__name__ = name
    return fault(story=story, misses={**_DOWN, **misses})(apply)


health_is_html = _behaving(
    "health_is_html",
    "/health is a web page, and answers 200: a front end catches the path",
    {_HEALTH: {"content-type", "fields"}},
    body={"/health": "<!doctype html><title>Welcome</title>"},
    content_type={"/health": "text/html"},
)
health_is_slow = _behaving(
    "health_is_slow",
    "/health takes 1.5 s, as it does when it asks everything that it depends on",
    {_HEALTH: {"latency"}},
    delay_ms={"/health": _SLOW_MS},
)
health_is_unavailable = _behaving(
    "health_is_unavailable",
    "/health answers 503",
    {_HEALTH: {"status"}},
    status={"/health": 503},
)
health_names_no_version = _behaving(
    "health_names_no_version",
    "/health reports no version, as after a build that does not stamp it",
    {_HEALTH: {"fields"}},
    body={"/health": '{"status": "ok", "version": ""}'},
)
ready_is_constant = _behaving(
    "ready_is_constant",
    "/health/ready answers 200 whatever the database does",
    {_DRILL: {"not-ready"}},
    ready_ignores_database=True,
)
live_needs_the_database = _behaving(
    "live_needs_the_database",
    "/health/live answers 503 while the database is away",
    {_DRILL: {"live"}},
    live_needs_database=True,
)
ready_needs_a_restart = _behaving(
    "ready_needs_a_restart",
    "/health/ready stays 503 after the database has come back, until the service is restarted",
    {_DRILL: {"ready-again"}},
    ready_needs_restart=True,
)
metrics_show_a_series_twice = _behaving(
    "metrics_show_a_series_twice",
    "/metrics has a duplicate series, as from a second exporter in the same process",
    {_ENDPOINT: {"duplicates"}},
    duplicate_series=True,
)
metrics_claim_to_be_html = _behaving(
    "metrics_claim_to_be_html",
    "/metrics has the content type of HTML, which Prometheus 2 forgives and Prometheus 3 does not",
    {_ENDPOINT: {"content-type"}},
    content_type={"/metrics": "text/html"},
)
metrics_are_malformed = _unreadable(
    "metrics_are_malformed",
    "/metrics has a line that Prometheus cannot parse: a label value that is not escaped",
    {_ENDPOINT: {"format"}},
    malformed_metrics=True,
)
metrics_are_unavailable = _unreadable(
    "metrics_are_unavailable",
    "/metrics wants a login, and answers 403 to Prometheus",
    {_ENDPOINT: {"status"}, _TRUTH: set()},
    status={"/metrics": 403},
)
counters_stand_still = _behaving(
    "counters_stand_still",
    "The counters stand still while requests are served: another worker process has the registry",
    {_TRUTH: {"requests", "errors"}},
    freeze_counters=True,
)
errors_are_not_counted = _behaving(
    "errors_are_not_counted",
    "Failed requests are not counted: the counter stands behind the code that raises",
    {_TRUTH: {"errors"}},
    ignore_error_counter=True,
)
successes_are_counted_as_errors = _behaving(
    "successes_are_counted_as_errors",
    "Each successful request is counted as an error, too",
    {_TRUTH: {"false-errors"}},
    count_successes_as_errors=True,
)


@fault(
    misses={_ENDPOINT: {"series"}, _JOB: {"metric"}, _TRUTH: set()},
    story="/metrics answers 200 with an empty page: the collectors have another registry",
)
@contextmanager
def metrics_are_empty(system: "ReferenceSystem") -> Iterator[None]:
    """Prometheus takes that for a good scrape."""
    series = 'http_requests_total{job="orders"}'
    system.levers.await_series(f"count_over_time({series}[2m]) >= 9")
    page: dict[str, Any] = {
        "body": {"/metrics": ""},
        "content_type": {"/metrics": "text/plain; version=0.0.4"},
    }
    with system.levers.behave(**page):
        system.levers.await_series(f"absent({series})")
        yield
    system.levers.await_series(f"count_over_time({series}[16s]) >= 9")


@fault(
    misses={_JOB: {"metric-age"}},
    story="A metric carries the time at which it was computed, 10 s ago, as from a cache",
)
@contextmanager
def a_metric_is_old(system: "ReferenceSystem") -> Iterator[None]:
    """Prometheus keeps such a series alive, though its value is no longer current."""
    age = 'time() - timestamp(service_build_info{job="orders"})'
    with system.levers.behave(old_timestamps=True):
        system.levers.await_series(f"{age} > 6")
        yield
    system.levers.await_series(f"{age} < 3")


@fault(
    misses={_CAPACITY: {"exporter-cpu"}},
    story="An exporter keeps all cores of its machine busy",
)
@contextmanager
def an_exporter_is_busy(system: "ReferenceSystem") -> Iterator[None]:
    """As a collector does that reads too much at each scrape."""
    used = 'rate(process_cpu_seconds_total{job="orders"}[15s])'
    with system.levers.behave(busy_exporter=True):
        system.levers.await_series(f"{used} > 100")
        yield
    # Neither it nor its time is seen any more.
    system.levers.await_series(f"absent({used})")


_NOWHERE: Final = "http://127.0.0.1:9"
_PROBE: Final = "monitoring.blackbox-probes[site]"
_TRACKER: Final = "monitoring.error-tracker[error-tracker]"
_DASHBOARD: Final = "monitoring.dashboard-panels[shop]"
_FILE: Final = "monitoring.dashboard-panels[shop-file]"
_SOURCES: Final = "monitoring.grafana-datasources[grafana]"
_SITE: Final = '{instance=~"https://.*"}'


def _server_fault(
    server: str, name: str, story: str, misses: dict[str, set[str]], **broken: object
) -> Fault:
    """A fault that one of our own servers is told to have."""

    def apply(system: "ReferenceSystem") -> AbstractContextManager[None]:
        return system.levers.server_fault(server, **broken)

    apply.__name__ = name
    return fault(story=story, misses=misses)(apply)


@fault(
    misses={_PROBE: {"success"}},
    story="The shop's website answers 503, while the service behind it is well",
)
@contextmanager
def front_door_is_shut(system: "ReferenceSystem") -> Iterator[None]:
    """Only a probe from outside notices."""
    with system.levers.server_fault("site", status=503):
        system.levers.await_series(f"probe_success{_SITE} == 0")
        yield
    system.levers.await_series(f"probe_success{_SITE} == 1")


@fault(
    misses={_PROBE: {"certificate"}},
    story="The certificate ends in three days: its renewal has failed for weeks",
)
@contextmanager
def certificate_ends_soon(system: "ReferenceSystem") -> Iterator[None]:
    """Everything works until then."""
    days = f"(probe_ssl_earliest_cert_expiry{_SITE} - time()) / 86400"
    with system.levers.server_fault("site", days=3):
        system.levers.await_series(f"{days} < 4")
        yield
    system.levers.await_series(f"{days} > 300")


@fault(
    misses={"monitoring.private-pages[orders]": {"refused"}},
    story="The administrator's pages are open to everybody since a demonstration",
)
@contextmanager
def admin_pages_are_open(system: "ReferenceSystem") -> Iterator[None]:
    """No token is needed any more."""
    with system.levers.behave(admin_is_open=True):
        yield


errors_are_refused = _server_fault(
    "error_tracker", "errors_are_refused",
    "The error tracker answers 429 to every event: its quota is used up",
    {_TRACKER: {"accepted"}}, status=429,
)  # fmt: skip
errors_are_lost = _server_fault(
    "error_tracker", "errors_are_lost",
    "The error tracker accepts every event, and keeps none: its worker is stopped",
    {_TRACKER: {"readable"}}, loses=True,
)  # fmt: skip
data_source_is_away = _server_fault(
    "grafana", "data_source_is_away",
    "A data source of Grafana has the address of a server that was moved",
    {_SOURCES: {"health"}}, history=_NOWHERE,
)  # fmt: skip
dashboard_has_no_source = _server_fault(
    "grafana", "dashboard_has_no_source",
    "The data source of the dashboard has the address of a server that was moved",
    {_SOURCES: {"health"}, _DASHBOARD: {"panel-data"}}, prometheus=_NOWHERE,
)  # fmt: skip


@fault(
    misses={_FILE: {"panel-data"}},
    story="A panel queries a metric that a new version of its exporter has renamed",
)
@contextmanager
def panel_asks_for_an_old_name(system: "ReferenceSystem") -> Iterator[None]:
    """In a row that is folded."""

    def rename(document: Any) -> None:
        row = next(panel for panel in document["panels"] if panel["type"] == "row")
        query = row["panels"][0]["targets"][0]
        query["expr"] = query["expr"].replace("pg_up", "postgres_up")

    with system.levers.edit_dashboard(rename):
        yield


@fault(
    misses={_FILE: {"panel-count"}},
    story="Half of the panels of the dashboard were deleted",
)
@contextmanager
def panels_are_deleted(system: "ReferenceSystem") -> Iterator[None]:
    """What is left shows data."""

    def delete(document: Any) -> None:
        document["panels"] = document["panels"][:6]

    with system.levers.edit_dashboard(delete):
        yield
