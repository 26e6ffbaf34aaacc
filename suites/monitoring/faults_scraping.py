"""Faults of Prometheus, of its jobs and of its exporters.

Those that Prometheus must notice last until nothing of them is left in the window of 15 s that the
reference system's readiness.toml sets.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.areas.monitoring.reference.levers import noticed_fault
from readiness.model.fault import broken_by, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_WINDOW: Final = "[16s]"
_CAPACITY: Final = "monitoring.prometheus-capacity[prometheus]"
_PROMETHEUS: Final = "monitoring.prometheus[prometheus]"
_JOBS: Final = ("orders", "prometheus", "postgres", "node", "blackbox")
_ORDERS: Final = '{job="orders"}'
_MEDIAN: Final = f"quantile_over_time(0.5, scrape_duration_seconds{_ORDERS}{_WINDOW})"
# Nearly all scrapes of the window: the check takes the lower bound of their median.
_LEAST: Final = f"quantile_over_time(0.1, scrape_duration_seconds{_ORDERS}{_WINDOW})"
_LOST: Final = '{instance=~".*/-/healthy"}'
_COLLECTED: Final = 'min(pg_scrape_collector_success{job="postgres"})'
_LABELED: Final = 'http_request_duration_seconds_bucket{job="orders",le="+Inf"}'
_SAMPLES: Final = f"scrape_samples_post_metric_relabeling{_ORDERS}"


def _job(name: str, document: Any) -> Any:
    return next(job for job in document["scrape_configs"] if job["job_name"] == name)


def _lose_target(document: Any) -> None:
    _job("blackbox", document)["static_configs"][0]["targets"].pop()


def _drop_metric(document: Any) -> None:
    rule = {"source_labels": ["__name__"], "regex": "service_.*", "action": "drop"}
    _job("orders", document)["metric_relabel_configs"] = [rule]


def _drop_label(document: Any) -> None:
    rule = {"regex": "le", "action": "labeldrop"}
    _job("orders", document)["metric_relabel_configs"] = [rule]


def _scrape_again(document: Any) -> None:
    own = _job("node", document)
    document["scrape_configs"].append({**own, "job_name": "node-again"})


def _scrape_slower(document: Any) -> None:
    _job("node", document)["scrape_interval"] = "3s"


def _misspell(document: Any) -> None:
    document["scrape_config"] = []


# No target is down: one is missing. At the end, fewer than three scrapes would delay checks.
target_is_lost = noticed_fault(
    "target_is_lost",
    "A target of a job was lost from Prometheus's configuration by a typing mistake",
    {"monitoring.scrape-jobs[blackbox]": {"targets"}},
    lambda levers: levers.edit_prometheus(_lose_target),
    noticed=f"absent(up{_LOST})",
    gone=f"count_over_time(up{_LOST}{_WINDOW}) >= 3",
)


@fault(
    misses={"monitoring.scrape-jobs[node]": {"interval"}},
    story="A job is scraped every 3 s to save storage, and 1 s was agreed",
)
@contextmanager
def interval_is_another(system: "ReferenceSystem") -> Iterator[None]:
    """No target is down."""

    def every(seconds: str) -> Callable[[list[dict[str, Any]]], bool]:
        return lambda found: all(
            target["scrapeInterval"] == seconds
            for target in found
            if target["scrapePool"] == "node"
        )

    with system.levers.edit_prometheus(_scrape_slower):
        system.levers.await_targets(every("3s"))
        yield
    system.levers.await_targets(every("1s"))


look_back_is_short = broken_by(
    "look_back_is_short",
    "The look-back of Prometheus was set to one scrape interval",
    {f"monitoring.scrape-jobs[{job}]": {"look-back"} for job in _JOBS},
    lambda levers: levers.prometheus_flag("query.lookback-delta", "1s"),
)
scraping_hangs = broken_by(
    "scraping_hangs",
    "Prometheus hangs: it scraped the job a minute ago, and should every second",
    {"monitoring.scrape-jobs[node]": {"last-scrape"}},
    lambda levers: levers.prometheus_scraped_before("node", seconds=60),
)
scrapes_cost_much = noticed_fault(
    "scrapes_cost_much",
    "Scraping the service takes half of the time",
    {_CAPACITY: {"scrape-time"}},
    lambda levers: levers.behave(delay_ms={"/metrics": 450}),
    noticed=f"{_LEAST} > 0.4",
    gone=f"{_MEDIAN} < 0.3",
)
scrapes_are_nearly_too_slow = noticed_fault(
    "scrapes_are_nearly_too_slow",
    "Each scrape of the service takes 0.8 s, and times out after 1 s",
    {_CAPACITY: {"scrape-duration", "scrape-time"}},
    lambda levers: levers.behave(delay_ms={"/metrics": 800}),
    noticed=f"{_LEAST} > 0.78",
    gone=f"max_over_time(scrape_duration_seconds{_ORDERS}{_WINDOW}) < 0.5",
)


@fault(
    misses={"monitoring.scrape-jobs[blackbox]": {"success-share"}},
    story="An exporter runs out of memory every few seconds, and is up whenever somebody looks",
)
@contextmanager
def exporter_comes_and_goes(system: "ReferenceSystem") -> Iterator[None]:
    """It is restarted each time."""
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            with system.levers.stop_program("blackbox_exporter"):
                system.levers.await_series('max(max_over_time(up{job="blackbox"}[3s])) == 0')
            system.levers.await_series('min(sum_over_time(up{job="blackbox"}[4s])) >= 2')

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        system.levers.await_series(f'avg_over_time(up{{job="blackbox"}}{_WINDOW}) < 0.7')
        yield
    finally:
        ended.set()
        thread.join()
    system.levers.await_series(f'min(min_over_time(up{{job="blackbox"}}{_WINDOW})) == 1')


# One collector of the exporter fails. No check of the database uses this function.
exporter_is_not_let_in = noticed_fault(
    "exporter_is_not_let_in",
    "The exporter's role lost the privilege to read a statistic, and the exporter is up",
    {"monitoring.scrape-jobs[postgres]": {"exporter"}},
    lambda levers: levers.revoke("execute", of="public", on="function pg_database_size(name)"),
    noticed=f"{_COLLECTED} == 0",
    gone=f"{_COLLECTED} == 1",
)
metric_is_dropped = noticed_fault(
    "metric_is_dropped",
    "A metric of the service is dropped by a relabeling rule",
    {"monitoring.scrape-jobs[orders]": {"metric"}},
    lambda levers: levers.edit_prometheus(_drop_metric),
    noticed=f"absent(service_build_info{_ORDERS})",
    gone=f"service_build_info{_ORDERS}",
)
# All buckets of a histogram become one series.
buckets_are_one = noticed_fault(
    "buckets_are_one",
    "A relabeling rule drops the label that distinguishes the series of a metric",
    {"monitoring.scrape-jobs[orders]": {"collisions"}},
    lambda levers: levers.edit_prometheus(_drop_label),
    noticed=f'http_request_duration_seconds_bucket{{job="orders",le=""}} unless {_LABELED}',
    gone=_LABELED,
)
target_is_scraped_twice = noticed_fault(
    "target_is_scraped_twice",
    "Two jobs scrape the same exporter, since a second monitor selects it",
    {"monitoring.scrape-jobs[node]": {"once"}},
    lambda levers: levers.edit_prometheus(_scrape_again),
    noticed='up{job="node-again"} == 1',
    # The series of a job that was removed stay until they are five minutes old.
    gone='time() - timestamp(up{job="node-again"}) > 3',
)
every_customer_has_a_series = noticed_fault(
    "every_customer_has_a_series",
    "A metric has the customer's number as a label",
    {_CAPACITY: {"samples"}},
    lambda levers: levers.behave(series_by_customer=True),
    noticed=f"{_SAMPLES} > 5000",
    gone=f"{_SAMPLES} < 1000",
)
# As a query of an exporter does on a table that has grown.
monitoring_is_busy = broken_by(
    "monitoring_is_busy",
    "The monitoring role takes a fifth of the database's time",
    {"monitoring.database-overhead[shop]": {"time-share"}},
    lambda levers: levers.busy_monitoring(share=0.2),
)
prometheus_refuses_its_configuration = broken_by(
    "prometheus_refuses_its_configuration",
    "Prometheus rejected its new configuration, and runs the old one",
    {_PROMETHEUS: {"configuration"}},
    lambda levers: levers.edit_prometheus(_misspell, loads=False),
)


@fault(
    misses={_CAPACITY: {"retention"}},
    story="The retention of Prometheus was set to two hours when its disk was full",
)
@contextmanager
def history_is_short(system: "ReferenceSystem") -> Iterator[None]:
    """The flag is on the command line, so that Prometheus is restarted."""
    flag = "--storage.tsdb.retention.time="
    with system.levers.with_argument("prometheus", f"{flag}1d", f"{flag}2h"):
        _await_all_up(system)
        yield
    _await_all_up(system)


def _await_all_up(system: "ReferenceSystem") -> None:
    """Wait until a restarted Prometheus scrapes and evaluates as before."""
    system.levers.await_targets(
        lambda found: bool(found) and all(target["health"] == "up" for target in found)
    )
    system.levers.await_answer(
        "/api/v1/rules",
        lambda found: all(
            rule["health"] == "ok" for group in found["data"]["groups"] for rule in group["rules"]
        ),
    )


# As that of a virtual machine that was suspended and does not synchronize its clock.
clock_is_ahead = broken_by(
    "clock_is_ahead",
    "Prometheus's clock is 37 s ahead",
    {_PROMETHEUS: {"clock"}},
    lambda levers: levers.prometheus_clock_ahead(seconds=37),
)
