"""Faults of the service, and those seen from outside: addresses, pages, dashboards, errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.areas.monitoring.reference.levers import noticed_fault
from readiness.model.fault import Fault, broken_by, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_HEALTH: Final = "monitoring.health-endpoints[orders]"
_PATHS: Final = "monitoring.user-paths[orders]"
_DRILL: Final = "monitoring.ready-tracks-dependency[orders]"
_ENDPOINT: Final = "monitoring.metrics-endpoint[orders]"
_TRUTH: Final = "monitoring.metrics-truth[orders]"
_JOB: Final = "monitoring.scrape-jobs[orders]"
_CAPACITY: Final = "monitoring.prometheus-capacity[prometheus]"
_PROBE: Final = "monitoring.blackbox-probes[site]"
_TRACKER: Final = "monitoring.error-tracker[error-tracker]"
_DASHBOARD: Final = "monitoring.dashboard-panels[shop]"
_FILE: Final = "monitoring.dashboard-panels[shop-file]"
_SOURCES: Final = "monitoring.grafana-datasources[grafana]"
_NOWHERE: Final = "http://127.0.0.1:9"
_SITE: Final = '{instance=~"https://.*"}'
_SERIES: Final = 'http_requests_total{job="orders"}'
# For Prometheus the target is down, and nothing else of it can be judged.
_DOWN: Final = {_JOB: {"up", "success-share"}, _CAPACITY: set[str](), _TRUTH: set[str]()}
# Three times the limit of the reference target: clearly slow, but not a timeout.
_SLOW_MS: Final = 1500
_ORDERS_DOWN: Final = 'ALERTS{alertname="TargetDown",alertstate="firing",job="orders"}'
Misses = Mapping[str, set[str]]


def _behaving(name: str, story: str, misses: Misses, **switches: object) -> Fault:
    """A fault of the service itself; see `Behaviour`."""
    return broken_by(name, story, misses, lambda levers: levers.behave(**switches))


def _server_fault(server: str, name: str, story: str, misses: Misses, **broken: object) -> Fault:
    """A fault of one of our replacements for other products."""
    return broken_by(name, story, misses, lambda levers: levers.server_fault(server, **broken))


def _unreadable(name: str, story: str, misses: Misses, **switches: object) -> Fault:
    """A fault because of which Prometheus cannot read the metrics, so that the target is down."""

    @contextmanager
    def apply(system: "ReferenceSystem") -> Iterator[None]:
        # The dashboards must have data from before the fault.
        system.levers.await_series(f"count_over_time({_SERIES}[2m]) >= 9")
        with system.levers.behave(**switches):
            system.levers.await_series(_ORDERS_DOWN)
            yield
        # The alert has ended, and the window of the success share contains no failed scrape.
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
health_says_down = _behaving(
    "health_says_down",
    "/health answers 200 whatever its checks say, and one of them fails",
    {_HEALTH: {"body"}},
    body={"/health": '{"status": "ok", "version": "1.5.0", "checks": {"db": {"status": "fail"}}}'},
)
service_clock_is_behind = _behaving(
    "service_clock_is_behind",
    "The clock of the service is 90 s behind: its machine was suspended",
    {_HEALTH: {"clock"}},
    clock_behind_s=90,
)
users_see_an_error = _behaving(
    "users_see_an_error",
    "The page of the shop answers 500, and no health endpoint knows of it",
    {_PATHS: {"status"}},
    status={"/shop": 500},
)
users_see_another_page = _behaving(
    "users_see_another_page",
    "The page of the shop answers 200 with the text of a proxy",
    {_PATHS: {"content"}},
    body={"/shop": "<!doctype html><title>Maintenance</title>"},
    content_type={"/shop": "text/html"},
)
users_wait = _behaving(
    "users_wait",
    "The page of the shop takes 2 s, and the health endpoints are as quick as before",
    {_PATHS: {"latency"}},
    delay_ms={"/shop": 2000},
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
_IN_NO_SERIES: Final = (
    'scrape_samples_post_metric_relabeling{job="orders"}'
    ' - on () count({job="orders",__name__!~"up|scrape_.*"})'
)
metrics_show_a_series_twice = noticed_fault(
    "metrics_show_a_series_twice",
    "/metrics has a duplicate series, as from a second exporter in the same process",
    {_ENDPOINT: {"duplicates"}, _JOB: {"collisions"}},
    lambda levers: levers.behave(duplicate_series=True),
    noticed=f"{_IN_NO_SERIES} > 0",
    gone=f"{_IN_NO_SERIES} == 0",
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
    misses={_TRUTH: {"stored"}},
    story="Prometheus still scrapes an instance that was taken out of service, under its name",
)
@contextmanager
def another_instance_is_scraped(system: "ReferenceSystem") -> Iterator[None]:
    """It is up, and all of its series are fresh: only nothing that happens moves them."""
    with system.levers.scrape_a_copy("orders") as port:
        system.levers.await_targets(lambda found: _is_scraped(found, port))
        yield
    system.levers.await_targets(lambda found: not _is_scraped(found, port))
    system.levers.await_series('up{job="orders"} == 1')


def _is_scraped(found: list[dict[str, Any]], port: int) -> bool:
    return any(f":{port}/" in t["scrapeUrl"] and t["health"] == "up" for t in found)


@fault(
    misses={_ENDPOINT: {"series"}, _JOB: {"metric"}, _TRUTH: set()},
    story="/metrics answers 200 with an empty page: the collectors have another registry",
)
@contextmanager
def metrics_are_empty(system: "ReferenceSystem") -> Iterator[None]:
    """Prometheus takes that for a good scrape."""
    system.levers.await_series(f"count_over_time({_SERIES}[2m]) >= 9")
    page: dict[str, Any] = {
        "body": {"/metrics": ""},
        "content_type": {"/metrics": "text/plain; version=0.0.4"},
    }
    with system.levers.behave(**page):
        system.levers.await_series(f"absent({_SERIES})")
        yield
    system.levers.await_series(f"count_over_time({_SERIES}[16s]) >= 9")


_AGE: Final = 'time() - timestamp(service_build_info{job="orders"})'
# Prometheus keeps the series alive although its value is no longer current.
a_metric_is_old = noticed_fault(
    "a_metric_is_old",
    "A metric carries the time at which it was computed, 10 s ago, as from a cache",
    {_JOB: {"metric-age"}},
    lambda levers: levers.behave(old_timestamps=True),
    noticed=f"{_AGE} > 6",
    gone=f"{_AGE} < 3",
)
_CPU: Final = 'rate(process_cpu_seconds_total{job="orders"}[15s])'
an_exporter_is_busy = noticed_fault(
    "an_exporter_is_busy",
    "An exporter keeps all cores of its machine busy",
    {_CAPACITY: {"exporter-cpu"}},
    lambda levers: levers.behave(busy_exporter=True),
    noticed=f"{_CPU} > 100",
    gone=f"absent({_CPU})",
)
# The metrics of the service itself stay healthy.
front_door_is_shut = noticed_fault(
    "front_door_is_shut",
    "The shop's website answers 503, while the service behind it is well",
    {_PROBE: {"success"}},
    lambda levers: levers.server_fault("site", status=503),
    noticed=f"probe_success{_SITE} == 0",
    gone=f"probe_success{_SITE} == 1",
)
_DAYS: Final = f"(probe_ssl_earliest_cert_expiry{_SITE} - time()) / 86400"
certificate_ends_soon = noticed_fault(
    "certificate_ends_soon",
    "The certificate ends in three days: its renewal has failed for weeks",
    {_PROBE: {"certificate"}},
    lambda levers: levers.server_fault("site", days=3),
    noticed=f"{_DAYS} < 4",
    gone=f"{_DAYS} > 300",
)
admin_pages_are_open = _behaving(
    "admin_pages_are_open",
    "The administrator's pages are open to everybody since a demonstration",
    {"monitoring.private-pages[orders]": {"refused"}},
    admin_is_open=True,
)
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


def _rename_metric(document: Any) -> None:
    row = next(panel for panel in document["panels"] if panel["type"] == "row")
    query = row["panels"][0]["targets"][0]
    query["expr"] = query["expr"].replace("pg_up", "postgres_up")


def _delete_panels(document: Any) -> None:
    document["panels"] = document["panels"][:6]


panel_asks_for_an_old_name = broken_by(
    "panel_asks_for_an_old_name",
    "A panel queries a metric that a new version of its exporter has renamed",
    {_FILE: {"panel-data"}},
    lambda levers: levers.edit_dashboard(_rename_metric),
)
panels_are_deleted = broken_by(
    "panels_are_deleted",
    "Half of the panels of the dashboard were deleted",
    {_FILE: {"panel-count"}},
    lambda levers: levers.edit_dashboard(_delete_panels),
)
