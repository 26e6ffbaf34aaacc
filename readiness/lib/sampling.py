"""Percentiles of a sample and their confidence bounds: exact order statistics, no distribution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.model.errors import NoData

CONFIDENCE: Final = 0.95
"""Confidence of each one-sided bound."""

# Dense in the tail, which readers look at. 21 points draw a distribution.
_POINTS: Final = (
    *(0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8),
    *(0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0),
)
# The binomial mass further from its mean than this many deviations (and this many counts, for a
# probability close to 0 or 1) is below 1e-30: leaving it out is exact in doubles.
_DEVIATIONS: Final = 12
_COUNTS: Final = 60


@dataclass(frozen=True, slots=True)
class Bounds:
    """A percentile of a sample, and bounds of the percentile of the population.

    Attributes:
        lower: the true percentile is above this with 95 % confidence; None if n is too small.
        value: the percentile of the sample itself (nearest rank).
        upper: the true percentile is below this with 95 % confidence; None if n is too small.
    """

    lower: float | None
    value: float
    upper: float | None


def percentile(samples: Sequence[float], q: float) -> float:
    """The nearest-rank percentile: an observed value, never one in between.

    Args:
        samples: the observations, in any order.
        q: the quantile, 0 to 1 (0 is the smallest observation).

    Raises:
        NoData: there are no samples, or one is not a number.
        ValueError: q is not within 0 and 1.
    """
    return _nearest(_ordered(samples), q)


def percentile_bounds(samples: Sequence[float], q: float) -> Bounds:
    """One-sided 95 % bounds of a percentile, from the ranks of the sample alone.

    The rank of the true percentile is binomial, whatever the distribution of the samples. The sum
    is exact for any n that fits into memory, without a normal approximation.

    Raises:
        NoData: there are no samples, or one is not a number.
        ValueError: q is not strictly within 0 and 1.
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile with bounds is within 0 and 1, not {q}")
    ordered = _ordered(samples)
    lower, upper = bound_ranks(len(ordered), q)
    return Bounds(
        lower=ordered[lower - 1] if lower else None,
        value=_nearest(ordered, q),
        upper=ordered[upper - 1] if upper else None,
    )


def bound_ranks(n: int, q: float) -> tuple[int | None, int | None]:
    """The ranks (1 to n) of the samples that bound the percentile, each None if there is none.

    The lower rank is the largest r with P(Binomial(n, q) < r) <= 5 %, the upper one the smallest
    r with P(Binomial(n, q) < r) >= 95 %.
    """
    spread = _DEVIATIONS * math.sqrt(n * q * (1 - q)) + _COUNTS
    first = max(0, math.floor(n * q - spread))
    last = min(n, math.ceil(n * q + spread))
    mass, below = _binomial(n, first, q), 0.0
    lower = upper = None
    for rank in range(first + 1, last + 1):
        below += mass  # P(Binomial < rank)
        if below <= 1 - CONFIDENCE:
            lower = rank
        if below >= CONFIDENCE:
            upper = rank
            break
        mass *= (n - rank + 1) / rank * q / (1 - q)
    return lower, upper


def chance_of(successes: int, of: int, share: float) -> float:
    """The chance of at most so many successes if each has the probability `share`.

    A share is missed with 95 % confidence where the chance is at most 5 %.
    """
    return math.fsum(_binomial(of, k, share) for k in range(successes + 1)) if share < 1 else 0.0


def fewest_samples(q: float) -> int:
    """The least n that can bound the percentile from above: 59 for a p95, 299 for a p99."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(q))


def quantile_points(samples: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """At most 21 pairs of quantile and value, to draw the distribution from.

    Raises:
        NoData: there are no samples, or one is not a number.
    """
    ordered = _ordered(samples)
    return tuple((q, _nearest(ordered, q)) for q in _POINTS)


def _ordered(samples: Sequence[float]) -> list[float]:
    if not samples:
        raise NoData("there are no samples")
    if any(math.isnan(sample) for sample in samples):
        raise NoData("a sample is not a number (NaN)")
    return sorted(samples)


def _nearest(ordered: Sequence[float], q: float) -> float:
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile is within 0 and 1, not {q}")
    # 0.95 * 20 is 19.000000000000004 in some orders of rounding: that is rank 19, not 20.
    rank = math.ceil(round(q * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


def _binomial(n: int, k: int, q: float) -> float:
    """P(Binomial(n, q) = k), by logarithms so that no factor over- or underflows."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(q) + (n - k) * math.log1p(-q))
