"""Whether a Prometheus evaluates its rules as often as it should."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.alerting.probes.rules import patience_s
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import RuleGroup, Sample
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_MISSED: Final = "prometheus_rule_group_iterations_missed_total"
_ALL: Final = "prometheus_rule_group_iterations_total"
_WINDOW: Final = "10m"
_MOST_OF_IT: Final = 0.9


@dataclass(frozen=True, slots=True)
class Missed:
    """The evaluations of one group that did not take place.

    Attributes:
        group: its name.
        share: how many of them, 0 to 1.
        measurement: the same, to be judged.
    """

    group: str
    share: float
    measurement: Measurement


def missed(prometheus: Prometheus) -> tuple[Missed, ...]:
    """For each group, the share of its evaluations that were skipped in the last ten minutes.

    Asked of Prometheus as its own target; where it does not scrape itself, read from its own
    metrics twice, for as long as it takes to evaluate every group.

    Raises:
        NoData: neither is to be had.
    """
    of_all = f"sum by (rule_group) (increase({_ALL}[{_WINDOW}]))"
    of_missed = f"sum by (rule_group) (increase({_MISSED}[{_WINDOW}]))"
    groups = prometheus.rules()
    intervals, within = {g.name: g.interval_s for g in groups}, patience_s(groups)
    if not prometheus.query(f"count({_ALL}) > 0"):
        return _observed(prometheus, intervals, within)
    totals = _by_group(until(lambda: prometheus.query(f"{of_all} > 0"), bool, within_s=within))
    if not totals:
        return _observed(prometheus, intervals, within)
    missing = _by_group(prometheus.query(of_missed))
    counts = {key: (missing.get(key, 0.0), total) for key, total in totals.items()}
    return _judged(counts, intervals, of_missed)


def _judged(
    counts: Mapping[str, tuple[float, float]], intervals: Mapping[str, float], source: str
) -> tuple[Missed, ...]:
    """The shares, without the time in which no group at all was evaluated.

    Prometheus itself did not run then: a machine that slept, a drill that paused it. A group that
    is too slow misses more than that; and where all of them are, their durations tell. One that
    was loaded later is no witness of a time before it.
    """
    # The key is the file and the name, and which folder the file lies in concerns nobody. Groups
    # that are no longer loaded are history.
    loaded = {
        name: (missing, total, intervals[name])
        for key, (missing, total) in counts.items()
        if (name := key.rpartition(";")[2]) in intervals and total > 0
    }
    longest_s = max((total * interval for _, total, interval in loaded.values()), default=0.0)
    witnesses = {
        name: (missing + 1) * interval
        for name, (missing, total, interval) in loaded.items()
        if (total + 1) * interval >= _MOST_OF_IT * longest_s
    }
    stopped_s = min(witnesses.values(), default=0.0)
    return tuple(
        _share(
            name,
            max(0.0, missing * interval - (stopped_s if name in witnesses else interval)),
            total * interval,
            source,
            total,
        )
        for name, (missing, total, interval) in sorted(loaded.items())
    )


def _by_group(samples: Sequence[Sample]) -> dict[str, float]:
    return {sample.labels.get("rule_group", ""): sample.value for sample in samples}


def _share(name: str, missed_s: float, whole_s: float, source: str, total: float) -> Missed:
    share = min(1.0, missed_s / whole_s)
    named = f"evaluations missed of the group {name}"
    return Missed(name, share, Measurement(named, share, "ratio", source, round(total)))


def _observed(
    prometheus: Prometheus, intervals: Mapping[str, float], within_s: float
) -> tuple[Missed, ...]:
    before = _counters(prometheus)

    def grown() -> dict[str, tuple[float, float]]:
        after = _counters(prometheus)
        return {
            key: (now[0] - before[key][0], now[1] - before[key][1])
            for key, now in after.items()
            if key in before
        }

    found = until(grown, lambda seen: all(total for _, total in seen.values()), within_s=within_s)
    if not any(total > 0 for _, total in found.values()):
        raise NoData(
            f"{_ALL} did not move for {within_s:g} s",
            where=f"{prometheus.url}/metrics",
            remedy="let Prometheus scrape itself, so that its history tells",
        )
    return _judged(found, intervals, f"GET {prometheus.url}/metrics")


def _counters(prometheus: Prometheus) -> dict[str, tuple[float, float]]:
    """Missed and all evaluations since the start, by group."""
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    for series, value in prometheus.metrics().samples.items():
        if series.name in {_MISSED, _ALL}:
            sums[series.name, dict(series.labels).get("rule_group", "")] += value
    groups = {group for name, group in sums if name == _ALL}
    return {group: (sums[_MISSED, group], sums[_ALL, group]) for group in groups}


def busiest(groups: tuple[RuleGroup, ...]) -> list[Measurement]:
    """For each group, the share of its interval that its last evaluation took."""
    return [
        Measurement(
            f"time to evaluate the group {group.name}",
            group.evaluation_s / group.interval_s,
            "ratio of the interval",
            "/api/v1/rules",
        )
        for group in groups
        if group.interval_s
    ]
