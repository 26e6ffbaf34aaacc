"""What a sample says of a percentile."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.lib.sampling import (
    bound_ranks,
    fewest_samples,
    percentile,
    percentile_bounds,
    quantile_points,
)
from readiness.model.errors import NoData

numbers = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300)
quantiles = st.floats(0.01, 0.99)


def _cdf(n: int, q: float, k: int) -> float:
    return math.fsum(math.comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize(
    ("n", "q", "ranks"),
    [
        (1000, 0.95, (938, 962)),
        (1000, 0.99, (985, 996)),
        (10_000, 0.99, (9883, 9917)),
        (1_000_000, 0.95, (949_641, 950_359)),
    ],
)
def test_the_ranks_are_those_of_the_tables(n: int, q: float, ranks: tuple[int, int]) -> None:
    lower, upper = bound_ranks(n, q)
    assert lower is not None
    assert upper is not None
    assert (lower, upper) == pytest.approx(ranks, abs=1)


@pytest.mark.parametrize(("q", "n"), [(0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_too_few_samples_have_no_upper_bound(q: float, n: int) -> None:
    assert fewest_samples(q) == n
    assert bound_ranks(n, q)[1] == n
    assert bound_ranks(n - 1, q)[1] is None


@given(st.integers(1, 120), quantiles)
def test_the_ranks_are_exact(n: int, q: float) -> None:
    lower, upper = bound_ranks(n, q)
    below = [_cdf(n, q, rank - 1) for rank in range(1, n + 1)]
    assert lower == max((r for r, p in enumerate(below, 1) if p <= 0.05), default=None)
    assert upper == min((r for r, p in enumerate(below, 1) if p >= 0.95), default=None)


@given(numbers, quantiles)
def test_the_bounds_enclose_the_percentile(samples: list[float], q: float) -> None:
    bounds = percentile_bounds(samples, q)
    assert bounds.lower is None or bounds.lower <= bounds.value
    assert bounds.upper is None or bounds.value <= bounds.upper


@given(numbers, quantiles, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(
    samples: list[float], q: float, chance: random.Random
) -> None:
    shuffled = samples.copy()
    chance.shuffle(shuffled)
    assert percentile_bounds(shuffled, q) == percentile_bounds(samples, q)


@given(numbers, st.floats(0, 1))
def test_a_percentile_is_an_observation(samples: list[float], q: float) -> None:
    value = percentile(samples, q)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= q * len(samples) - 1e-6


def test_nearest_rank_of_known_samples() -> None:
    samples = [float(i) for i in range(1, 21)]
    assert percentile(samples, 0.95) == 19
    assert percentile(samples, 0.951) == 20
    assert percentile(samples, 0) == 1


def test_the_upper_bound_covers_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(7)  # noqa: S311 - a simulation
    covered = sum(
        (percentile_bounds([chance.random() for _ in range(200)], 0.95).upper or 0) >= 0.95
        for _ in range(1000)
    )
    assert covered >= 930


@given(numbers)
def test_quantile_points_are_few_and_ascending(samples: list[float]) -> None:
    points = quantile_points(samples)
    assert len(points) <= 21
    assert [p[1] for p in points] == sorted(p[1] for p in points)
    assert (points[0], points[-1]) == ((0.0, min(samples)), (1.0, max(samples)))


@pytest.mark.parametrize("samples", [[], [1.0, math.nan]])
def test_missing_samples_are_no_data(samples: list[float]) -> None:
    with pytest.raises(NoData):
        percentile_bounds(samples, 0.95)
