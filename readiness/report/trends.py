"""The last runs of each check, from earlier records: what a sparkline draws."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from readiness.model import figures
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord

MOST: Final = 10
"""Earlier runs that are shown."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """One check in one earlier run.

    Attributes:
        day: the day of that run.
        release: what was judged.
        outcome: how it ended.
        values: its numbers, by judgement and name.
    """

    day: str
    release: str
    outcome: Outcome
    values: Mapping[_Key, float]


@dataclass(frozen=True, slots=True)
class Trends:
    """Earlier runs by check and subject, oldest first."""

    pasts: Mapping[_Key, tuple[Past, ...]] = field(default_factory=dict)

    def of(self, check: CheckResult) -> tuple[Past, ...]:
        """The earlier runs of a check."""
        return self.pasts.get((check.id, check.subject), ())

    def values(self, check: CheckResult, measurement: Measurement) -> tuple[float, ...]:
        """The earlier figures of the same name, oldest first."""
        key = (measurement.key, measurement.name)
        return tuple(past.values[key] for past in self.of(check) if key in past.values)


def trends(record: RunRecord, earlier: Iterable[RunRecord]) -> Trends:
    """The earlier runs of the checks that need reading.

    Args:
        record: the run that is shown.
        earlier: records of the same target, newest first, as the history gives them.
    """
    wanted = _wanted(record)
    found: dict[_Key, list[Past]] = {}
    for old in reversed(list(earlier)[:MOST]):
        for check in old.checks:
            if (check.id, check.subject) in wanted:
                found.setdefault((check.id, check.subject), []).append(_past(old, check))
    return Trends({key: tuple(pasts) for key, pasts in found.items()})


def are_wanted(record: RunRecord) -> bool:
    """Whether anything needs reading; if all is well, no earlier run is shown."""
    return bool(_wanted(record))


def _wanted(record: RunRecord) -> set[_Key]:
    quiet = {Outcome.PASS, Outcome.NOT_APPLICABLE}
    return {(check.id, check.subject) for check in record.checks if check.outcome not in quiet}


def _past(record: RunRecord, check: CheckResult) -> Past:
    values: dict[_Key, float] = {}
    for measurement in check.measurements:
        value = measurement.value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            values.setdefault((measurement.key, measurement.name), float(value))
    day = f"{figures.in_utc(record.run.started):%d %b %Y}"
    return Past(day, record.target.release, check.outcome, values)
