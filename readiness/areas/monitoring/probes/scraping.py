"""Scrape jobs as Prometheus sees them: their targets, and what it recorded of each scrape."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import promql_parser

from readiness.config.base.watching import Job
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample, Target
from readiness.lib.retry import until
from readiness.lib.sampling import fewest_samples, percentile_bounds
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

# After a start or a reload, discovery updates the targets every 5 s.
_DISCOVERY_S: Final = 10.0
_FEWEST_SCRAPES: Final = 3
_UP: Final = "up"
_SHOWN: Final = 3
# What Prometheus itself records of each scrape, and of alerts with the labels of a target.
_OWN_SERIES: Final = (
    "up|scrape_duration_seconds|scrape_samples_scraped|scrape_samples_post_metric_relabeling"
    "|scrape_series_added|scrape_timeout_seconds|scrape_sample_limit|scrape_body_size_bytes"
    "|ALERTS|ALERTS_FOR_STATE"
)
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Scraped:
    """The targets of one job.

    Attributes:
        job: its name.
        targets: all that are active.
        at: Unix time by Prometheus's own clock when they were listed.
    """

    job: str
    targets: tuple[Target, ...]
    at: float

    @property
    def down(self) -> tuple[Target, ...]:
        """Those whose last scrape failed, or that never had one."""
        return tuple(target for target in self.targets if target.health != _UP)

    @property
    def unscraped(self) -> tuple[Target, ...]:
        """Those that have not been scraped yet."""
        return tuple(target for target in self.targets if target.health == _UNKNOWN)

    @property
    def well(self) -> tuple[Target, ...]:
        """Those whose last scrape succeeded."""
        return tuple(target for target in self.targets if target.health == _UP)

    def age_s(self, target: Target) -> float:
        """Seconds since its last scrape."""
        return self.at - target.last_scrape.timestamp()

    def is_stale(self, target: Target) -> bool:
        """Whether its last scrape is longer ago than two intervals and one time-out."""
        return self.age_s(target) > freshest_s(target)

    @property
    def matchers(self) -> str:
        """Label matchers for the series of the job, whatever it is called in its labels."""
        names = sorted({re.escape(t.labels.get("job", self.job)) for t in self.targets})
        words = "|".join(names).replace("\\", "\\\\").replace('"', '\\"')
        return f'job=~"{words}"'


def freshest_s(target: Target) -> float:
    """Seconds that the last scrape of a target may be ago."""
    return 2 * target.interval_s + target.timeout_s


def targets_of(prometheus: Prometheus, job: Job) -> Scraped:
    """The targets of a job; waits for the first scrape, and one more for those that are down.

    A single failed scrape does not mean that the target is down: see `availability`. What was
    awaited in vain is not awaited again by the same client.

    Raises:
        NoData: a target has not been scraped yet, after `wait_max_s` at most.
    """
    runtime = prometheus.runtime()

    def good(seen: Scraped) -> bool:
        if len(seen.targets) < job.min_targets:
            return seen.at - runtime.last_config.timestamp() > _DISCOVERY_S
        return not seen.down and not any(map(seen.is_stale, seen.targets))

    within_s = 0.0 if job.name in prometheus.given_up else _patience_s(prometheus, job)
    seen = until(lambda: _targets(prometheus, job.name), good, within_s=within_s)
    if not good(seen):
        prometheus.given_up.add(job.name)
    if seen.unscraped:
        raise NoData(
            f"{seen.unscraped[0].url} has not been scraped yet",
            where=f"{prometheus.url}/targets",
            remedy=f"run the gate again after one interval of {seen.unscraped[0].interval}",
        )
    return seen


def present_targets_of(prometheus: Prometheus, job: Job) -> Scraped:
    """The same, but at least one.

    Raises:
        NoData: the job has no targets.
    """
    seen = targets_of(prometheus, job)
    if not seen.targets:
        raise NoData(
            f"the job {job.name} has no target",
            where=f"{prometheus.url}/targets",
            remedy="see monitoring.scrape-jobs",
        )
    return seen


def well_targets_of(prometheus: Prometheus, job: Job) -> Scraped:
    """The same, but only the targets whose last scrape succeeded.

    Raises:
        NoData: there is none.
    """
    seen = targets_of(prometheus, job)
    if not seen.well:
        reason = seen.down[0].error if seen.down else "it has no target"
        raise NoData(
            f"no target of the job {job.name} is up: {reason}",
            where=f"{prometheus.url}/targets",
            remedy="see monitoring.scrape-jobs",
        )
    return Scraped(seen.job, seen.well, seen.at)


def availability(prometheus: Prometheus, job: Job, window_s: float) -> list[Measurement]:
    """For each target, the share of its scrapes within a window that succeeded.

    Args:
        prometheus: the one that scrapes them.
        job: which targets.
        window_s: seconds; a target that is younger is judged on what there is.

    Raises:
        NoData: a target has fewer than three scrapes within the window, and gets no more soon.
    """
    seen = present_targets_of(prometheus, job)
    window = f"[{_whole(window_s)}s]"
    counted = f"count_over_time(up{{{seen.matchers}}}{window})"
    _history(prometheus, job, seen, counted, _FEWEST_SCRAPES)
    asked = f"avg_over_time(up{{{seen.matchers}}}{window})"
    shares = _by_instance(prometheus, seen, asked)
    counts = _by_instance(prometheus, seen, counted)
    return [
        Measurement(
            f"scrapes of {name} that succeeded", share.value, "ratio", asked, int(count.value)
        )
        for (name, share), (_, count) in zip(shares, counts, strict=True)
    ]


def slow_scrapes(
    prometheus: Prometheus, job: Job, window_s: float
) -> list[tuple[Target, Measurement]]:
    """For each target, what nine of ten scrapes within a window took at most; in seconds."""
    asked = "quantile_over_time(0.9, scrape_duration_seconds{%s}[%ds])"
    return _of_each(prometheus, job, asked, window_s, "nine of ten scrapes of {}", "s")


def usual_scrapes(
    prometheus: Prometheus, job: Job, window_s: float
) -> list[tuple[Target, Measurement]]:
    """For each target, what the median scrape takes at least; in seconds.

    It is the lower 95 % bound of the median of all scrapes within a window: the scrapes of a run
    compete with the run itself, and a median of a few of them is off by a quarter.

    Raises:
        NoData: a target has too few scrapes within the window.
    """
    seen = present_targets_of(prometheus, job)
    asked = f"scrape_duration_seconds{{{seen.matchers}}}[{_whole(window_s)}s]"
    by_name = {_instance(target): target for target in seen.targets}
    fewest = fewest_samples(0.5)
    series = until(
        lambda: prometheus.samples(asked),
        lambda all_: bool(all_) and all(len(points.values) >= fewest for points in all_),
        within_s=prometheus.patience_s((fewest + 1) * job.interval_s),
    )
    found = []
    for points in series:
        name = points.labels.get("instance", "")
        if name in by_name:
            durations = [value for _, value in points.values]
            least = percentile_bounds(durations, 0.5).lower
            if least is None:
                raise _too_few(name, fewest, f"{prometheus.url}: {asked}")
            measured = Measurement(f"median scrape of {name}", least, "s", asked, len(durations))
            found.append((by_name[name], measured))
    return found


def samples_of(prometheus: Prometheus, job: Job) -> list[Measurement]:
    """For each target that is up, the number of samples of its last scrape."""
    seen = well_targets_of(prometheus, job)
    asked = f"scrape_samples_post_metric_relabeling{{{seen.matchers}}}"
    return [
        Measurement(f"samples of {name}", int(sample.value), "count", asked)
        for name, sample in _by_instance(prometheus, seen, asked)
    ]


def exposed(prometheus: Prometheus, job: Job, selector: str) -> "Exposed":
    """How old the newest sample of a metric is on each target that is up.

    A selector with the label `instance` is about one target. Series with the labels of another
    target, as `honor_labels` keeps them, count as exposed: whose they are cannot be told.

    Raises:
        CouldNotMeasure: the selector is not valid, or no target of the job is up.
    """
    names = _must_select(selector)  # of anything but a selector, timestamp() is always now
    seen = well_targets_of(prometheus, job)
    asked = f"(time() - timestamp({selector})) and on (job, instance) up{{{seen.matchers}}}"
    wanted = {_instance(target) for target in seen.targets}

    def look() -> dict[str, float]:
        ages: dict[str, float] = {}
        for sample in prometheus.query(asked):
            name = sample.labels.get("instance", "")
            ages[name] = min(sample.value, ages.get(name, sample.value))
        return ages

    def enough(ages: dict[str, float]) -> bool:
        return bool(ages) if "instance" in names else wanted <= ages.keys()

    ages = until(look, enough, within_s=_patience_s(prometheus, job))
    missing = () if enough(ages) else tuple(sorted(wanted - ages.keys()))
    if missing and prometheus.query(f"{selector} unless on (job, instance) up"):
        missing = ()
    oldest = max(ages.values(), default=None)
    age = (
        None
        if oldest is None
        else Measurement(f"age of {selector}", oldest, "s", asked, samples=len(ages))
    )
    return Exposed(seen, missing, age)


@dataclass(frozen=True, slots=True)
class Exposed:
    """Which targets expose a metric.

    Attributes:
        seen: the targets that are up.
        missing: those of them without the metric.
        age: of the target whose newest sample is the oldest; None if nobody exposes it.
    """

    seen: Scraped
    missing: tuple[str, ...]
    age: Measurement | None


def thrown_away(prometheus: Prometheus, job: Job) -> list[Measurement]:
    """For each target that is up, the samples of its last scrape that are in no series.

    Nothing where labels are honored and some are missing: those samples may be in series with the
    labels of another job. Where samples have a time of their own, series of the last hour count.

    Raises:
        NoData: no target of the job is up.
    """
    seen = well_targets_of(prometheus, job)
    samples = f"scrape_samples_post_metric_relabeling{{{seen.matchers}}}"
    series = f'{{{seen.matchers},__name__!~"{_OWN_SERIES}"}}'
    lost = prometheus.query(f"{samples} - on (job, instance) count by (job, instance) ({series})")
    by_name = {sample.labels.get("instance", ""): sample.value for sample in lost}
    if any(value > 0 for value in by_name.values()):
        # Relabeling may write another instance, and a sample may be older than its scrape. Without
        # such samples, a series that has ended must not hide one that was never stored.
        stored = (
            f"last_over_time({series}[1h])" if _are_stamped(prometheus, seen, series) else series
        )
        of_all = prometheus.query(f"sum({samples}) - count({stored})")
        elsewhere = not of_all or of_all[0].value <= 0
        if elsewhere or job.name in prometheus.honoring_jobs():
            return []
    return [
        Measurement(
            f"samples of {name} that are in no series", max(0, int(value)), "count", samples
        )
        for name, value in sorted(by_name.items())
    ]


def _are_stamped(prometheus: Prometheus, seen: Scraped, series: str) -> bool:
    """Whether series of the last hour that are not seen now have samples with a time of their own.

    The last sample of any other series has the time of a scrape.
    """
    # Compared here: the operators of PromQL do not look at the names of metrics.
    now = {str(sample) for sample in prometheus.query(series)}
    hour = prometheus.query(f"last_over_time({series}[1h])")
    gone = [sample for sample in hour if str(sample) not in now][:_SHOWN]
    scraped = prometheus.samples(f"up{{{seen.matchers}}}[1h]") if gone else ()
    times = {at for one in scraped for at, _ in one.values}
    for sample in gone:
        exactly = ",".join(f"{name}={_quoted(text)}" for name, text in sample.labels.items())
        for found in prometheus.samples(f"{{{exactly}}}[1h]"):
            if found.values[-1][0] not in times:
                return True
    return False


def twice(prometheus: Prometheus, job: Job) -> Measurement:
    """The targets that another job scrapes at the same address, and whose metrics it keeps, too."""
    targets = prometheus.targets()
    own = [t for t in targets if job.name in (t.pool, t.labels.get("job"))]
    pairs = [
        (target, other)
        for target in own
        for other in targets
        if other.url == target.url and other.labels != target.labels
    ]
    found = [f"{o.pool}: {o.url}" for t, o in pairs if prometheus.query(_shared(t, o))]
    return Measurement(
        "targets that are scraped twice",
        len(set(found)),
        "count",
        "; ".join(sorted(set(found))[:_SHOWN]) or f"GET {prometheus.url}/api/v1/targets",
        len(own),
    )


def _shared(one: Target, other: Target) -> str:
    """The metrics that two targets have in common, besides those of each scrape."""
    first, second = (
        f"count by (__name__) ({{job={_quoted(t.labels.get('job', t.pool))},"
        f'instance={_quoted(_instance(t))},__name__!~"{_OWN_SERIES}"}})'
        for t in (one, other)
    )
    return f"{first} and on (__name__) {second}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def wanted_values(job: Job) -> list[tuple[str, float]]:
    """The selectors that show whether an exporter reaches its target, and the value of each."""
    return [
        *((selector, 1.0) for selector in job.must_be_one),
        *((selector, 0.0) for selector in job.must_be_zero),
    ]


def values_of(
    prometheus: Prometheus, job: Job, selector: str, wanted: float
) -> tuple[list[Measurement], tuple[str, ...]]:
    """The values of a metric, one per series, and the targets that are up without any.

    Waits for one more scrape if a value is not the wanted one, as a single sample proves little.

    Raises:
        CouldNotMeasure: the selector is not valid, or no target of the job is up.
    """
    _must_select(selector)
    seen = well_targets_of(prometheus, job)
    asked = f"({selector}) and on (job, instance) (up{{{seen.matchers}}} == 1)"
    names = {_instance(target) for target in seen.targets}

    def missing(samples: tuple[Sample, ...]) -> set[str]:
        return names - {sample.labels.get("instance", "") for sample in samples}

    found = until(
        lambda: prometheus.query(asked),
        lambda samples: not missing(samples) and all(s.value == wanted for s in samples),
        within_s=_patience_s(prometheus, job),
    )
    measured = [Measurement(str(sample), sample.value, "status", asked) for sample in found]
    return measured, tuple(sorted(missing(found)))


def _must_select(selector: str) -> set[str]:
    """The labels of a selector; raises `CouldNotMeasure` if the text computes anything."""
    try:
        parsed = promql_parser.parse(selector)
    except ValueError as error:
        raise _no_selector(selector, clean(str(error))) from None
    if not isinstance(parsed, promql_parser.VectorSelector):
        raise _no_selector(selector, "it is an expression")
    return {matcher.name for matcher in parsed.matchers.matchers}


def _no_selector(selector: str, reason: str) -> CouldNotMeasure:
    return CouldNotMeasure(
        f"{clean(selector)!r} is not a valid selector: {reason}",
        where="[prometheus.jobs]",
        remedy='write it as `orders_total{region="eu"}`',
    )


def _patience_s(prometheus: Prometheus, job: Job) -> float:
    return prometheus.patience_s(2 * job.interval_s + _DISCOVERY_S)


def _targets(prometheus: Prometheus, job: str) -> Scraped:
    found = tuple(
        target for target in prometheus.targets() if job in (target.pool, target.labels.get("job"))
    )
    return Scraped(job, found, prometheus.now())


def _of_each(
    prometheus: Prometheus, job: Job, asked: str, window_s: float, name: str, unit: str
) -> list[tuple[Target, Measurement]]:
    seen = present_targets_of(prometheus, job)
    asked %= (seen.matchers, _whole(window_s))
    by_name = {_instance(target): target for target in seen.targets}
    return [
        (by_name[found], Measurement(name.format(found), sample.value, unit, asked))
        for found, sample in _by_instance(prometheus, seen, asked)
    ]


def _by_instance(prometheus: Prometheus, seen: Scraped, asked: str) -> list[tuple[str, Sample]]:
    """The sample of each target, in their order.

    Raises:
        NoData: a target has none, even 2 s after it was seen to be scraped.
    """
    names = sorted(_instance(target) for target in seen.targets)

    def look() -> dict[str, Sample]:
        return {sample.labels.get("instance", ""): sample for sample in prometheus.query(asked)}

    found = until(look, lambda by_name: set(names) <= by_name.keys(), within_s=2.0)
    missing = [name for name in names if name not in found]
    if missing:
        raise NoData(f"no sample of {missing[0]}", where=f"{prometheus.url}: {asked}")
    return [(name, found[name]) for name in names]


def _history(prometheus: Prometheus, job: Job, seen: Scraped, counted: str, fewest: int) -> None:
    names = {_instance(target) for target in seen.targets}

    def young(samples: Sequence[Sample]) -> set[str]:
        old = {s.labels.get("instance", "") for s in samples if s.value >= fewest}
        return names - old

    within_s = prometheus.patience_s((fewest + 1) * job.interval_s)
    left = young(
        until(lambda: prometheus.query(counted), lambda s: not young(s), within_s=within_s)
    )
    if left:
        raise _too_few(min(left), fewest, f"{prometheus.url}: {counted}")


def _too_few(instance: str, fewest: int, where: str) -> NoData:
    return NoData(
        f"{instance} was scraped fewer than {fewest} times, which is too few",
        where=where,
        remedy="run the gate again a few scrapes later, or let `window_s` span more scrapes",
    )


def _instance(target: Target) -> str:
    return target.labels.get("instance", "")


def _whole(window_s: float) -> int:
    return max(1, round(window_s))
