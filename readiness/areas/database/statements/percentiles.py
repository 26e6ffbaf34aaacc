"""The p95 of statements, from whoever really times each call: a histogram in Prometheus.

pg_stat_statements has means, deviations, least and most. No p95 follows from those: a statement
that is quick nine times of ten and slow the tenth has a harmless mean, and a normal
distribution's p95 that nobody ever waited for.
"""

import math
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config_history import P95
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.model.errors import NoData

_PATIENCE_S: Final = 20.0
_MS: Final = {"s": 1000.0, "ms": 1.0}


@dataclass(frozen=True, slots=True)
class Timed:
    """One statement.

    Attributes:
        name: as its label says.
        p95_ms: milliseconds; infinite where it lies beyond the histogram's last bound.
        calls: how many stand behind it; not more than that are known of.
    """

    name: str
    p95_ms: float
    calls: float


def read(prometheus: Prometheus, settings: P95) -> list[Timed]:
    """The p95 of each statement, the slowest first; a new Prometheus is given some seconds.

    Raises:
        NoData: there is no series, one has no name, or its calls are not told.
        CouldNotMeasure: and its kinds: Prometheus does not answer.
    """
    found = until(lambda: prometheus.query(settings.query), bool, within_s=_PATIENCE_S)
    if not found:
        raise NoData(
            "no series tells how long statements take",
            where=settings.query,
            remedy="try it in Prometheus's own page; the application has to time its statements",
        )
    calls = {_name(sample, settings): sample.value for sample in prometheus.query(settings.calls)}
    timed = [_timed(sample, calls, settings) for sample in found]
    return sorted(timed, key=lambda one: (-one.p95_ms, one.name))


def _timed(sample: Sample, calls: dict[str, float], settings: P95) -> Timed:
    name = _name(sample, settings)
    if name not in calls:
        raise NoData(
            f"nothing tells how many calls stand behind the p95 of {name}",
            where=settings.calls,
            remedy=f"let it give the same label {settings.label} as `query` does",
        )
    # A histogram without any call has no quantile: NaN.
    p95 = sample.value * _MS[settings.unit]
    return Timed(name, p95 if not math.isnan(p95) else 0.0, 0 if math.isnan(p95) else calls[name])


def _name(sample: Sample, settings: P95) -> str:
    name = sample.labels.get(settings.label, "")
    if not name:
        raise NoData(
            f"a series has no label {settings.label}: {sample}",
            where=settings.query,
            remedy="name the statement's label as `label`, and keep it in `sum by (...)`",
        )
    return name
