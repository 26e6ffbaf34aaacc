"""What the exporters cost: the CPU that they use on the machines they run on."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from readiness.areas.monitoring.probes.scraping import present_targets_of
from readiness.config.base.watching import Job
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

# By convention every exporter exposes this, and nothing else does.
_BUILD_INFO: Final = '{__name__=~".+_exporter_build_info"}'
_CORES: Final = 'count by (job, instance) (node_cpu_seconds_total{mode="idle"})'
_LONGEST_WAIT_S: Final = 90.0


def cpu_shares(prometheus: Prometheus, jobs: Iterable[Job], window_s: float) -> list[Measurement]:
    """For each machine, the share of its CPU time that the exporters of the jobs used.

    A machine is what stands before the port in `instance`. Where no node exporter tells its
    cores, it is taken to have one.

    Args:
        prometheus: whom to ask.
        jobs: which targets; those of them that are exporters count.
        window_s: seconds over which the use is averaged.

    Raises:
        NoData: an exporter tells no CPU time.
    """
    shares: dict[str, float] = defaultdict(float)
    window = f"[{round(window_s)}s]"
    for job in jobs:
        matchers = present_targets_of(prometheus, job).matchers
        names = _exporters(prometheus, job, matchers)
        asked = f"rate(process_cpu_seconds_total{{{matchers}}}{window})"
        for instance, used in _used(prometheus, job, asked, names).items():
            shares[_machine(instance)] += used
    cores = _cores(prometheus)
    source = f"rate(process_cpu_seconds_total{window}) of the exporters, by cores"
    return [
        Measurement(f"CPU of the exporters on {name}", used / cores.get(name, 1), "ratio", source)
        for name, used in sorted(shares.items())
    ]


def _exporters(prometheus: Prometheus, job: Job, matchers: str) -> set[str]:
    """The instances of a job that are exporters: by declaration, or by what they expose."""
    declared = bool(job.must_be_one or job.must_be_zero)
    found = prometheus.query(
        f"up{{{matchers}}}"
        if declared
        else f"up{{{matchers}}} and on (job, instance) {_BUILD_INFO}"
    )
    return _instances(found)


def _used(prometheus: Prometheus, job: Job, asked: str, names: set[str]) -> dict[str, float]:
    """CPU seconds a second, by instance; waits for the second scrape."""
    found = until(
        lambda: prometheus.query(asked),
        lambda samples: names <= _instances(samples),
        within_s=min(2 * job.interval_s, _LONGEST_WAIT_S),
    )
    if missing := names - _instances(found):
        raise NoData(
            f"the exporter at {min(missing)} does not tell the CPU time that it uses",
            where=f"{prometheus.url}: {asked}",
            remedy="exporters expose process_cpu_seconds_total; let `window_s` of [prometheus]"
            " hold two scrapes at least",
        )
    return {s.labels["instance"]: s.value for s in found if s.labels["instance"] in names}


def _cores(prometheus: Prometheus) -> dict[str, float]:
    return {_machine(s.labels["instance"]): s.value for s in prometheus.query(_CORES)}


def _instances(samples: Iterable[Sample]) -> set[str]:
    return {sample.labels.get("instance", "") for sample in samples}


def _machine(instance: str) -> str:
    return instance.rpartition(":")[0] or instance
