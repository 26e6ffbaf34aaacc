"""How often to measure, and what is certain then: percentiles by their bounds, and the noise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.lib.noise import Noise
from readiness.lib.retry import indistinct
from readiness.lib.sampling import (
    Bounds,
    bound_ranks,
    fewest_samples,
    percentile_bounds,
    quantile_points,
)
from readiness.model.evidence import Evidence
from readiness.model.measurement import Limit, Measurement

_FEWEST: Final = fewest_samples(0.95)
_FEWEST_TO_FAIL: Final = 2
_WARM_UP: Final = 20
# How many budgets the least sample that can pass may take, before it is cut shorter still:
# what is that slow needs only a few executions to fail.
PATIENCE: Final = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How often to execute: `warm_up` times unmeasured, then `rounds` times."""

    rounds: int
    warm_up: int


def plan(samples: int, budget_s: float, execution_s: float) -> Plan:
    """How many executions, of so many seconds each, fit into the budget, at most `samples`."""
    fit = int(budget_s / execution_s) - _WARM_UP
    if fit >= _FEWEST:
        return Plan(min(fit, samples), _WARM_UP)
    most = int(PATIENCE * budget_s / execution_s)
    if most >= _FEWEST + _WARM_UP:
        return Plan(_FEWEST, _WARM_UP)
    # A pilot has warmed the connection up; only the size of the failure is unknown.
    return Plan(max(_FEWEST_TO_FAIL, min(most, _FEWEST)), 0)


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one thing, in milliseconds, and what it was."""

    ms: Sequence[float]
    source: str

    def bounds(self, q: float) -> Bounds:
        """A percentile with its bounds."""
        return percentile_bounds(self.ms, q)

    def keeps(self, q: float, most_ms: float, noise: Noise) -> bool | None:
        """Whether a percentile keeps its limit; None if that cannot be told."""
        return noise.keeps(self.bounds(q), most_ms, min(self.ms), q)

    def figure(self, name: str, value: float) -> Measurement:
        """A figure of these times, with their distribution."""
        return Measurement(
            name,
            value,
            "ms",
            self.source,
            samples=len(self.ms),
            quantiles=quantile_points(self.ms),
        )

    @property
    def slowest(self) -> Measurement:
        """The slowest time: no percentile shows one stall among hundreds."""
        return Measurement(
            "slowest execution", max(self.ms), "ms", self.source, samples=len(self.ms)
        )


@dataclass(frozen=True, slots=True)
class Failures:
    """The failed requests of a load.

    Attributes:
        failed: how many failed.
        certain: how many of them noise cannot explain.
        count: how many requests there were.
        source: what they were.
        problems: the most frequent ways to fail.
    """

    failed: int
    certain: int
    count: int
    source: str
    problems: str = ""

    def keeps(self, most_ratio: float) -> bool | None:
        """Whether at most that share of requests fails; None if that cannot be told.

        It does exactly if the quantile at 1 - share, of 1 for a failed request and 0 for a good
        one, is 0: its bounds are ranks among the good ones, or not.
        """
        lower, upper = bound_ranks(self.count, 1 - most_ratio)
        if upper is not None and upper <= self.count - self.failed:
            return True
        return False if lower is not None and lower > self.count - self.certain else None

    def judge(self, evidence: Evidence, limit: Limit, noise: Noise, remedy: str) -> None:
        """Judge them by the key `errors`.

        Raises:
            CouldNotMeasure: neither chance nor noise can be excluded.
        """
        ratio = Measurement(
            "failed requests", self.failed / self.count, "ratio", self.source, samples=self.count
        )
        seen = f"{self.failed} of {self.count} requests failed ({self.failed / self.count:.3g})"
        if self.keeps(float(limit.value)) is None:
            evidence.record(ratio)
            raise indistinct(f"{seen}, limit {limit.value:.3g}", noise, remedy)
        evidence.judge("errors", ratio, limit, self.problems, says=seen)


def every(states: Iterable[bool | None]) -> bool | None:
    """Whether all limits are kept: False if one is not, None if that cannot be told."""
    found = set(states)
    if False in found:
        return False
    return None if None in found else True


def judge_percentile(
    evidence: Evidence,
    q: float,
    times: Times,
    limit: Limit,
    noise: Noise,
    remedy: str,
    because: str = "",
) -> None:
    """Pass beyond doubt, fail beyond doubt, or be an error.

    Args:
        evidence: gets the judgement; its key is `p95` for the quantile 0.95.
        q: the quantile.
        times: what was measured.
        limit: the most that it may be, in ms.
        noise: what it was measured beside.
        remedy: what makes the result clearer.
        because: why it is slow, if that is known.

    Raises:
        CouldNotMeasure: the limit is within the bounds, or the noise explains a miss.
    """
    key = f"p{100 * q:.4g}"
    bounds = times.bounds(q)
    evidence.record(times.figure(f"{key} latency", bounds.value))
    match times.keeps(q, float(limit.value), noise):
        case True:
            upper = times.figure(f"{key} latency, 95 % upper bound", bounds.upper or bounds.value)
            evidence.judge(key, upper, limit)
        case False:
            lower = times.figure(f"{key} latency, 95 % lower bound", bounds.lower or bounds.value)
            says = f"{key} is at least {bounds.lower:.4g} ms (95 % confidence)"
            evidence.judge(key, lower, limit, because, says=says)
        case None:
            seen = (
                f"{len(times.ms)} samples put the {key} between {_shown(bounds.lower)} and"
                f" {_shown(bounds.upper)} ms, and the limit is {limit.value:g} ms"
            )
            raise indistinct(seen, noise, remedy)


def judge_rate(
    evidence: Evidence,
    key: str,
    rate: Measurement,
    each_s: float,
    fastest_s: float,
    limit: Limit,
    noise: Noise,
    because: str = "",
) -> None:
    """Judge a rate, unless noise may explain that it misses.

    Args:
        evidence: gets the judgement.
        key: its key.
        rate: how many a second.
        each_s: how long one operation took: what noise delays as a whole.
        fastest_s: how long the fastest one took.
        limit: the fewest a second.
        noise: what it was measured beside.
        because: what a miss means.

    Raises:
        CouldNotMeasure: it misses by no more than the noise explains.
    """
    if noise.keeps_rate(float(rate.value), float(limit.value), each_s, fastest_s) is None:
        evidence.record(rate)
        raise indistinct(f"{rate}, limit {limit.value:g}", noise)
    evidence.judge(key, rate, limit, because)


def _shown(bound: float | None) -> str:
    return "?" if bound is None else f"{bound:.4g}"
