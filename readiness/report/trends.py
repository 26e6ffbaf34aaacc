"""What earlier runs gave: outcomes and figures by check, and figures on their way to a limit.

Only runs of the same target and profile take part (`history.earlier`). A run that was not READY, or
of a part of the checks, is marked, and no figure of it is a baseline.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from statistics import median
from typing import Any, Final

from readiness.model import figures
from readiness.model.clean import line
from readiness.model.errors import RecordError
from readiness.model.evidence import Outcome
from readiness.model.measurement import Limit, Measurement
from readiness.model.record import CheckResult, RunRecord, Verdict, verified

_Key = tuple[str, str]
# A figure drifts if it uses this share of its limit, and so much more of it than before...
_USED: Final = 0.5
_MORE: Final = 0.1
# ... where every one of the last third of its READY runs is beyond every one of the first third.
_FEWEST: Final = 6
_DAY_S: Final = 86_400
_YEAR_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class PastRun:
    """What is shown of one earlier run.

    Attributes:
        id: of the run.
        of: the name of its target, the environment, and the profile.
        whole: whether it was of all checks, and not interrupted.
        checks: outcome and numbers of each check and subject; numbers by judgement and name.
    """

    id: str
    of: tuple[str, str, str]
    started: datetime
    release: str
    verdict: Verdict
    whole: bool
    checks: Mapping[_Key, tuple[Outcome, Mapping[_Key, float]]]

    @property
    def day(self) -> str:
        """The day it began on."""
        return f"{self.started:%d %b %Y}"

    @property
    def mark(self) -> str:
        """Its verdict, and whether it was of a part of the checks."""
        return self.verdict.value if self.whole else f"{self.verdict.value}, partial"


@dataclass(frozen=True, slots=True)
class Past:
    """One check in one earlier run; `whole` as in `PastRun`."""

    day: str
    release: str
    outcome: Outcome
    whole: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of an earlier run; `ready` says whether that run was READY."""

    value: float
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Drift:
    """A figure that passed, and moved towards its limit over the READY runs.

    Attributes:
        used: the share of the limit that it uses.
        days_left: until it reaches the limit at this rate; None if nobody can say.
    """

    check: CheckResult
    measurement: Measurement
    past: tuple[Point, ...]
    used: float
    days_left: int | None


@dataclass(frozen=True, slots=True)
class Trends:
    """Earlier runs of the same target and profile, oldest first."""

    runs: tuple[PastRun, ...] = ()
    drifts: tuple[Drift, ...] = field(default=())

    def of(self, check: CheckResult) -> tuple[Past, ...]:
        """The earlier runs of a check."""
        key = (check.id, check.subject)
        return tuple(
            Past(run.day, run.release, run.checks[key][0], run.whole)
            for run in self.runs
            if key in run.checks
        )

    def points(self, check: CheckResult, measurement: Measurement) -> tuple[Point, ...]:
        """The earlier figures of the same name, oldest first."""
        return tuple(_points(self.runs, check, measurement))

    @property
    def streaks(self) -> tuple[tuple[str, tuple[PastRun, ...]], ...]:
        """The runs, neighbors of one mark together."""
        found = groupby(self.runs, key=lambda run: run.mark)
        return tuple((mark, tuple(runs)) for mark, runs in found)


def trends(record: RunRecord, earlier: Iterable[PastRun]) -> Trends:
    """The earlier runs of a target.

    Args:
        record: the run that is shown.
        earlier: runs of the same target and profile, newest first, as the history gives them.
    """
    runs = tuple(reversed(list(earlier)))
    found = _drifts(record, [run for run in runs if run.verdict is Verdict.READY and run.whole])
    return Trends(runs, tuple(sorted(found, key=lambda drift: -drift.used)))


def past_run(text: str) -> PastRun:
    """An earlier run from its record as JSON.

    Raises:
        RecordError: it is not a record, or was altered.
    """
    raw = verified(text, "history")
    try:
        return _past_run(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"is not a record: {error}", where="history") from error


def _past_run(raw: Mapping[str, Any]) -> PastRun:
    run, target = raw["run"], raw["target"]
    partial = run.get("selection", {}).get("partial", False) or run.get("interrupted", False)
    return PastRun(
        id=run["id"],
        of=(target["name"], target["environment"], raw.get("policy", {}).get("profile", "full")),
        started=figures.in_utc(datetime.fromisoformat(run["started"])),
        release=line(target["release"], 60),
        verdict=Verdict(raw["verdict"]),
        whole=not partial,
        checks={
            (check["id"], check["subject"]): (Outcome(check["outcome"]), _values(check))
            for check in raw["checks"]
        },
    )


def _values(check: Mapping[str, Any]) -> Mapping[_Key, float]:
    values: dict[_Key, float] = {}
    for one in check["measurements"]:
        value = one["value"]
        if isinstance(value, int | float) and not isinstance(value, bool):
            values.setdefault((one.get("key", ""), one["name"]), float(value))
    return values


def _points(
    runs: Iterable[PastRun], check: CheckResult, measurement: Measurement
) -> Iterator[Point]:
    key = (measurement.key, measurement.name)
    for run in runs:
        _, values = run.checks.get((check.id, check.subject), (None, {}))
        if key in values:
            yield Point(values[key], run.verdict is Verdict.READY and run.whole)


def _drifts(record: RunRecord, ready: Sequence[PastRun]) -> Iterator[Drift]:
    for check in record.checks:
        if check.outcome is not Outcome.PASS or len(ready) + 1 < _FEWEST:
            continue
        names = [(m.key, m.name) for m in check.measurements]
        for m in check.measurements:
            # Several figures of one name cannot be told apart over time.
            if m.limit and names.count((m.key, m.name)) == 1:
                yield from _drift(check, m, m.limit, ready, record.run.started)


def _drift(
    check: CheckResult,
    measurement: Measurement,
    limit: Limit,
    ready: Sequence[PastRun],
    now: datetime,
) -> Iterator[Drift]:
    key, name = (check.id, check.subject), (measurement.key, measurement.name)
    known = [(r.started, r.checks[key][1][name]) for r in ready
             if key in r.checks and name in r.checks[key][1]]  # fmt: skip
    used = [used_share(value, limit) for value in (*(v for _, v in known), measurement.value)]
    times = [started.timestamp() for started, _ in known] + [figures.in_utc(now).timestamp()]
    shares = [share for share in used if share is not None]
    third = len(shares) // 3
    if len(shares) < max(_FEWEST, len(used)):
        return
    first, last = median(shares[:third]), median(shares[-third:])
    if shares[-1] < _USED or last - first < _MORE or min(shares[-third:]) <= max(shares[:third]):
        return
    days = (median(times[-third:]) - median(times[:third])) / _DAY_S
    left = round((1 - shares[-1]) * days / (last - first)) if days >= 1 else None
    points = tuple(Point(value) for _, value in known)
    kept = left if left is not None and left <= _YEAR_DAYS else None
    yield Drift(check, measurement, points, shares[-1], kept)


def used_share(value: object, limit: Limit) -> float | None:
    """The share of its limit that a figure uses; None if there is no such share."""
    if limit.op not in {"<=", "<", ">=", ">"} or not _positive(value, limit.value):
        return None
    share = float(value) / float(limit.value)  # type: ignore[arg-type]
    return share if limit.op[0] == "<" else 1 / share


def _positive(*values: object) -> bool:
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf for v in values
    )
