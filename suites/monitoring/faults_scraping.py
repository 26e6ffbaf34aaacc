"""Faults of Prometheus, of its jobs and of its exporters.

Each waits until Prometheus has noticed, and at its end until nothing of it is left in the window of
15 s that the reference system's readiness.toml sets.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_WINDOW: Final = "[16s]"
_CAPACITY: Final = "monitoring.prometheus-capacity[prometheus]"
_PROMETHEUS: Final = "monitoring.prometheus[prometheus]"
_JOBS: Final = ("orders", "prometheus", "postgres", "node", "blackbox")
_ORDERS: Final = '{job="orders"}'
_MEDIAN: Final = f"quantile_over_time(0.5, scrape_duration_seconds{_ORDERS}{_WINDOW})"


def _job(name: str, document: Any) -> Any:
    return next(job for job in document["scrape_configs"] if job["job_name"] == name)


@fault(
    misses={"monitoring.scrape-jobs[blackbox]": {"targets"}},
    story="A target of a job was lost from Prometheus's configuration by a typing mistake",
)
@contextmanager
def target_is_lost(system: "ReferenceSystem") -> Iterator[None]:
    """No target is down; one is missing."""
    lost = '{instance=~".*/-/healthy"}'

    def lose(document: Any) -> None:
        _job("blackbox", document)["static_configs"][0]["targets"].pop()

    with system.levers.edit_prometheus(lose):
        system.levers.await_series(f"absent(up{lost})")
        yield
    # Checks would wait for a window with fewer than three scrapes.
    system.levers.await_series(f"count_over_time(up{lost}{_WINDOW}) >= 3")


@fault(
    misses={"monitoring.scrape-jobs[node]": {"interval"}},
    story="A job is scraped every 3 s to save storage, and 1 s was agreed",
)
@contextmanager
def interval_is_another(system: "ReferenceSystem") -> Iterator[None]:
    """Nothing is down."""

    def every(seconds: str) -> Callable[[list[dict[str, Any]]], bool]:
        return lambda found: all(
            target["scrapeInterval"] == seconds
            for target in found
            if target["scrapePool"] == "node"
        )

    def slower(document: Any) -> None:
        _job("node", document)["scrape_interval"] = "3s"

    with system.levers.edit_prometheus(slower):
        system.levers.await_targets(every("3s"))
        yield
    system.levers.await_targets(every("1s"))


@fault(
    misses={f"monitoring.scrape-jobs[{job}]": {"look-back"} for job in _JOBS},
    story="The look-back of Prometheus was set to one scrape interval",
)
@contextmanager
def look_back_is_short(system: "ReferenceSystem") -> Iterator[None]:
    """One lost scrape ends every series."""
    with system.levers.prometheus_flag("query.lookback-delta", "1s"):
        yield


@fault(
    misses={"monitoring.scrape-jobs[node]": {"last-scrape"}},
    story="Prometheus hangs: it scraped the job a minute ago, and should every second",
)
@contextmanager
def scraping_hangs(system: "ReferenceSystem") -> Iterator[None]:
    """The last scrape was good."""
    with system.levers.prometheus_scraped_before("node", seconds=60):
        yield


@fault(misses={_CAPACITY: {"scrape-time"}}, story="Scraping the service takes half of the time")
@contextmanager
def scrapes_cost_much(system: "ReferenceSystem") -> Iterator[None]:
    """As it does when everything is collected anew at each scrape."""
    with system.levers.behave(delay_ms={"/metrics": 450}):
        system.levers.await_series(f"{_MEDIAN} > 0.4")
        yield
    system.levers.await_series(f"{_MEDIAN} < 0.3")


@fault(
    misses={_CAPACITY: {"scrape-duration", "scrape-time"}},
    story="Each scrape of the service takes 0.8 s, and times out after 1 s",
)
@contextmanager
def scrapes_are_nearly_too_slow(system: "ReferenceSystem") -> Iterator[None]:
    """Such scrapes cost much, too."""
    with system.levers.behave(delay_ms={"/metrics": 800}):
        system.levers.await_series(f"{_MEDIAN} > 0.78")
        yield
    system.levers.await_series(f"max_over_time(scrape_duration_seconds{_ORDERS}{_WINDOW}) < 0.5")


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


@fault(
    misses={"monitoring.scrape-jobs[postgres]": {"exporter"}},
    story="The exporter's role lost the privilege to read a statistic, and the exporter is up",
)
@contextmanager
def exporter_is_not_let_in(system: "ReferenceSystem") -> Iterator[None]:
    """One collector fails, with a line in a log."""
    success = 'min(pg_scrape_collector_success{job="postgres"})'
    # No check of the database reads it: only the exporter fails.
    with system.levers.revoke("execute", of="public", on="function pg_database_size(name)"):
        system.levers.await_series(f"{success} == 0")
        yield
    system.levers.await_series(f"{success} == 1")


@fault(
    misses={"monitoring.scrape-jobs[orders]": {"metric"}},
    story="A metric of the service is dropped by a relabeling rule",
)
@contextmanager
def metric_is_dropped(system: "ReferenceSystem") -> Iterator[None]:
    """The rule was meant for something else."""
    dropped = {
        "source_labels": ["__name__"],
        "regex": "service_.*",
        "action": "drop",
    }

    def drop(document: Any) -> None:
        _job("orders", document)["metric_relabel_configs"] = [dropped]

    with system.levers.edit_prometheus(drop):
        system.levers.await_series(f"absent(service_build_info{_ORDERS})")
        yield
    system.levers.await_series(f"service_build_info{_ORDERS}")


@fault(
    misses={_CAPACITY: {"samples"}},
    story="A metric has the customer's number as a label",
)
@contextmanager
def every_customer_has_a_series(system: "ReferenceSystem") -> Iterator[None]:
    """Each customer is a series."""
    samples = f"scrape_samples_post_metric_relabeling{_ORDERS}"
    with system.levers.behave(series_by_customer=True):
        system.levers.await_series(f"{samples} > 5000")
        yield
    system.levers.await_series(f"{samples} < 1000")


@fault(
    misses={"monitoring.database-overhead[shop]": {"time-share"}},
    story="The monitoring role takes a fifth of the database's time",
)
@contextmanager
def monitoring_is_busy(system: "ReferenceSystem") -> Iterator[None]:
    """As a query of an exporter does on a table that has grown."""
    with system.levers.busy_monitoring(share=0.2):
        yield


@fault(
    misses={_PROMETHEUS: {"configuration"}},
    story="Prometheus rejected its new configuration, and runs the old one",
)
@contextmanager
def prometheus_refuses_its_configuration(system: "ReferenceSystem") -> Iterator[None]:
    """Nobody ran promtool."""

    def spoil(document: Any) -> None:
        document["scrape_config"] = []

    with system.levers.edit_prometheus(spoil, loads=False):
        yield


@fault(
    misses={_CAPACITY: {"retention"}},
    story="The retention of Prometheus was set to two hours when its disk was full",
)
@contextmanager
def history_is_short(system: "ReferenceSystem") -> Iterator[None]:
    """And nobody has restored it."""
    flag = "--storage.tsdb.retention.time="
    with system.levers.with_argument("prometheus", f"{flag}1d", f"{flag}2h"):
        _await_all_up(system)
        yield
    _await_all_up(system)


def _await_all_up(system: "ReferenceSystem") -> None:
    """Wait until Prometheus, just restarted, scrapes and evaluates as before."""
    system.levers.await_targets(
        lambda found: bool(found) and all(target["health"] == "up" for target in found)
    )
    system.levers.await_answer(
        "/api/v1/rules",
        lambda found: all(
            rule["health"] == "ok" for group in found["data"]["groups"] for rule in group["rules"]
        ),
    )


@fault(
    misses={_PROMETHEUS: {"clock"}},
    story="Prometheus's clock is 37 s ahead",
)
@contextmanager
def clock_is_ahead(system: "ReferenceSystem") -> Iterator[None]:
    """As that of a virtual machine that was suspended, and does not synchronize it."""
    with system.levers.prometheus_clock_ahead(seconds=37):
        yield
