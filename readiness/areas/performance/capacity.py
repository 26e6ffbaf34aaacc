"""The steps of a load towards the knee, and the Universal Scalability Law that they follow.

By the law (N. J. Gunther, Guerrilla Capacity Planning, 2007) N requests under way are answered at

    X(N) = speed * N / (1 + contention * (N - 1) + coherency * N * (N - 1))

a second: what is done by one at a time (contention) bends the line, what each must agree with each
other about (coherency) makes it fall again.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from readiness.areas.performance.config import Capacity, Load
from readiness.areas.performance.load import Loaded, p95_ms
from readiness.model.course import Band, Course, Series, Track
from readiness.model.measurement import Measurement

# Three unknowns; with fewer points the law fits anything.
FEWEST_POINTS: Final = 5
_DEFAULT_MULTIPLE: Final = 2
_SINGULAR: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Step:
    """The load at one rate, and whether its objectives were kept; None if that cannot be told."""

    rate: float
    loaded: Loaded
    kept: bool | None

    @property
    def under_way(self) -> float:
        """Requests under way on average, by Little's law."""
        good = self.loaded.good
        mean_s = sum(good) / len(good) / 1000 if good else 0.0
        return self.loaded.good_per_s * mean_s

    def __str__(self) -> str:
        p95, count = p95_ms(self.loaded.asked), len(self.loaded.asked)
        slow = "no good answer" if p95 is None else f"p95 {p95:.4g} ms"
        return f"at {self.rate:.4g} requests/s: {slow}, {self.loaded.failed} of {count} failed"


def rates(load: Load, capacity: Capacity) -> list[float]:
    """Requests a second of each step, rising; that of `min_headroom` is one of them."""
    first = load.rate or 0.0
    needed = first * capacity.min_headroom
    last = capacity.max_rate or _DEFAULT_MULTIPLE * needed
    rise = (last - first) / (capacity.steps - 1)
    return sorted({needed, *(first + number * rise for number in range(capacity.steps))})


def course(steps: Sequence[Step], load: Load) -> Course:
    """The picture: one slot a step."""
    width = load.duration_s
    failed = tuple(float(step.loaded.failed) for step in steps)
    answers = tuple(step.loaded.good_per_s for step in steps)
    p95s = tuple(p95_ms(step.loaded.asked) for step in steps)
    bands = tuple(
        Band(number * width, (number + 1) * width, f"{step.rate:.4g}/s")
        for number, step in enumerate(steps)
    )
    most = load.max_p95_ms
    return Course(
        width,
        bands,
        (
            Track("good answers a second", "level", (Series("answered", answers),)),
            Track("failed requests", "misses", (Series("failed", failed),)),
            Track(
                "p95 in ms",
                "level",
                (Series("p95 in ms", p95s),),
                limit=most,
                limit_label=f"at most {most:g} ms",
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Scalability:
    """The law, as it fits what was measured best."""

    speed: float
    contention: float
    coherency: float

    def per_s(self, under_way: float) -> float:
        """Answers a second while so many requests are under way."""
        others = under_way - 1
        slower = 1 + self.contention * others + self.coherency * under_way * others
        return self.speed * under_way / slower

    @property
    def most_under_way(self) -> float:
        """With how many requests under way it is fastest; infinite if more never hurt."""
        if not self.coherency:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.contention) / self.coherency)

    def figures(self, source: str, points: int) -> Iterator[Measurement]:
        """The law for the report: a prediction, and never judged."""
        for name, share in (("contention", self.contention), ("coherency", self.coherency)):
            yield Measurement(f"scalability law: {name}", share, "ratio", source, samples=points)
        if math.isfinite(most := self.most_under_way):
            yield Measurement(
                "scalability law: most answers a second",
                self.per_s(most),
                "requests/s",
                f"{source}, with {most:.3g} requests under way",
                samples=points,
            )


def fitted(points: Sequence[tuple[float, float]]) -> Scalability | None:
    """The law through points of requests under way and answers a second; None for too few.

    The time of a request, N / X, is linear in the unknowns. None of them is negative: of the fits
    that leave some out, the best one counts.
    """
    if len(points) < FEWEST_POINTS or any(x <= 0 or n <= 0 for n, x in points):
        return None
    rows = [(1.0, n - 1, n * (n - 1)) for n, _ in points]
    times = [n / x for n, x in points]
    best: tuple[float, list[float]] | None = None
    for size in (0, 1, 2):
        for used in combinations((1, 2), size):
            found = _least_squares(rows, times, (0, *used))
            if found is None or min(found) < 0 or found[0] <= 0:
                continue
            error = sum(
                (time - sum(a * b for a, b in zip(row, found, strict=True))) ** 2
                for row, time in zip(rows, times, strict=True)
            )
            if best is None or error < best[0]:
                best = error, found
    if best is None:
        return None
    base, contention, coherency = best[1]
    return Scalability(1 / base, contention / base, coherency / base)


def _least_squares(
    rows: Sequence[Sequence[float]], values: Sequence[float], used: Sequence[int]
) -> list[float] | None:
    """The coefficients of these columns, 0 for the others; None if they depend on each other."""
    size = len(used)
    matrix = [
        [
            *(sum(row[a] * row[b] for row in rows) for b in used),
            sum(row[a] * value for row, value in zip(rows, values, strict=True)),
        ]
        for a in used
    ]
    for k in range(size):  # Gauss and Jordan
        pivot = max(range(k, size), key=lambda r: abs(matrix[r][k]))
        matrix[k], matrix[pivot] = matrix[pivot], matrix[k]
        if abs(matrix[k][k]) < _SINGULAR:
            return None
        matrix[k] = [cell / matrix[k][k] for cell in matrix[k]]
        for r in range(size):
            if r != k:
                factor = matrix[r][k]
                matrix[r] = [a - factor * b for a, b in zip(matrix[r], matrix[k], strict=True)]
    found = [0.0, 0.0, 0.0]
    for column, row in zip(used, matrix, strict=True):
        found[column] = row[-1]
    return found
