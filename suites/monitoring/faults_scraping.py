"""What must turn the checks of scraping red: jobs, targets and exporters that are not as agreed.

Each waits until Prometheus has noticed, and at its end until nothing is to be seen any more: a
window of 15 s, which the reference system's readiness.toml names.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_WINDOW: Final = "[16s]"
_OVERHEAD: Final = "monitoring.scrape-overhead[prometheus]"
_ORDERS: Final = '{job="orders"}'
_MEDIAN: Final = f"quantile_over_time(0.5, scrape_duration_seconds{_ORDERS}{_WINDOW})"


def _job(name: str, document: Any) -> Any:
    """The configuration of one scrape job."""
    return next(job for job in document["scrape_configs"] if job["job_name"] == name)


@fault(
    turns_red={"monitoring.scrape-jobs[blackbox]"},
    story="One of the targets of a job got lost from Prometheus's configuration",
)
@contextmanager
def target_is_lost(system: "ReferenceSystem") -> Iterator[None]:
    """What a typing mistake in a list of hosts does: no target is down, one is not there."""
    lost = '{instance=~".*/-/healthy"}'

    def lose(document: Any) -> None:
        _job("blackbox", document)["static_configs"][0]["targets"].pop()

    with system.levers.edit_prometheus(lose):
        system.levers.await_series(f"absent(up{lost})")
        yield
    # A window without three scrapes would be waited for; here it is not to be.
    system.levers.await_series(f"count_over_time(up{lost}{_WINDOW}) >= 3")


@fault(
    turns_red={"monitoring.scrape-interval[node]"},
    story="A job is scraped every 3 s, and 1 s was agreed",
)
@contextmanager
def interval_is_another(system: "ReferenceSystem") -> Iterator[None]:
    """What saving on storage does, quietly."""

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


@fault(turns_red={_OVERHEAD}, story="Each scrape of the service takes half of the time")
@contextmanager
def scrapes_cost_much(system: "ReferenceSystem") -> Iterator[None]:
    """What collecting at each scrape does, once there is much to collect."""
    with system.levers.behave(delay_ms={"/metrics": 450}):
        system.levers.await_series(f"{_MEDIAN} > 0.4")
        yield
    system.levers.await_series(f"{_MEDIAN} < 0.3")


@fault(
    turns_red={"monitoring.scrape-duration[orders]", _OVERHEAD},
    story="Each scrape of the service takes 0.8 s, and is given up after 1 s",
)
@contextmanager
def scrapes_are_nearly_too_slow(system: "ReferenceSystem") -> Iterator[None]:
    """What comes before the time-out; such scrapes cost much, too."""
    with system.levers.behave(delay_ms={"/metrics": 800}):
        system.levers.await_series(f"{_MEDIAN} > 0.78")
        yield
    system.levers.await_series(f"max_over_time(scrape_duration_seconds{_ORDERS}{_WINDOW}) < 0.5")


@fault(
    turns_red={"monitoring.scrape-stability[blackbox]"},
    story="An exporter comes and goes, and is up whenever somebody looks",
)
@contextmanager
def exporter_comes_and_goes(system: "ReferenceSystem") -> Iterator[None]:
    """What running out of memory every few minutes does."""
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
    turns_red={"monitoring.exporter-reaches-target[postgres]"},
    story="The exporter's role may not read a statistic any more, and the exporter is up",
)
@contextmanager
def exporter_is_not_let_in(system: "ReferenceSystem") -> Iterator[None]:
    """What tightening the rights does: one collector fails, with a line in a log."""
    success = 'min(pg_scrape_collector_success{job="postgres"})'
    # What no check of the database reads: only the exporter is to be hit.
    with system.levers.revoke("execute", of="public", on="function pg_database_size(name)"):
        system.levers.await_series(f"{success} == 0")
        yield
    system.levers.await_series(f"{success} == 1")


@fault(
    turns_red={"monitoring.required-metrics[orders]"},
    story="A metric of the service does not reach Prometheus any more",
)
@contextmanager
def metric_is_dropped(system: "ReferenceSystem") -> Iterator[None]:
    """What a rule does that was to drop something else."""
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
    turns_red={"monitoring.cardinality[orders]"},
    story="A metric has the customer's number as a label",
)
@contextmanager
def every_customer_has_a_series(system: "ReferenceSystem") -> Iterator[None]:
    """What is meant well, and makes a series of each customer."""
    samples = f"scrape_samples_post_metric_relabeling{_ORDERS}"
    with system.levers.behave(series_by_customer=True):
        system.levers.await_series(f"{samples} > 5000")
        yield
    system.levers.await_series(f"{samples} < 1000")


@fault(
    turns_red={"monitoring.database-overhead[shop]"},
    story="The monitoring role takes a fifth of the database's time",
)
@contextmanager
def monitoring_is_busy(system: "ReferenceSystem") -> Iterator[None]:
    """What an exporter's own query does, on a table that has grown."""
    with system.levers.busy_monitoring(share=0.2):
        yield
