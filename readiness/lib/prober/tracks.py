"""What the prober saw, slot by slot: the rows of a drill's picture."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from readiness.lib.prober.observation import Observation
from readiness.lib.text import clean
from readiness.model.course import MOST_SLOTS, Series, Track

# Fewer requests than this are no picture of who answers.
_LEAST_IN_A_SLOT = 5


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a record; each is as long as a whole number of requests takes.

    Attributes:
        began: when the first begins, on the clock of the record.
        step_s: how long each is.
        count: how many there are.
    """

    began: float
    step_s: float
    count: int

    @classmethod
    def of(cls, seen: Observation) -> Self:
        """Those of a record with at least one request."""
        first, last, period_s = seen.samples[0].due, seen.samples[-1].due, seen.plan.period_s
        requests = round((last - first) / period_s) + 1
        least = max(_LEAST_IN_A_SLOT, math.ceil(requests / MOST_SLOTS))
        # The last slot is to be as full as the others: else it looks as if some were missing.
        each = min(range(least, 2 * least), key=lambda each: -requests % each / each)
        return cls(first, each * period_s, math.ceil(requests / each))

    def index(self, at: float) -> int:
        """The slot of a time, or the one that is nearest to it."""
        # A request is due exactly where its slot begins: it must not fall into the one before.
        slot = math.floor((at - self.began) / self.step_s + 1e-6)
        return min(max(slot, 0), self.count - 1)


def answers(seen: Observation, slots: Slots) -> Track:
    """Who answered the requests of each slot, by release in the order of appearance."""
    versions = dict.fromkeys(s.version for s in seen.samples if not s.failed)
    found = tuple(
        Series(
            clean(version) or "no release",
            _counted([s.due for s in seen.samples if not s.failed and s.version == version], slots),
        )
        for version in versions
    )
    return Track("answers by release", "parts", found)


def failed(seen: Observation, slots: Slots) -> Track:
    """How many requests of each slot failed."""
    values = _counted([sample.due for sample in seen.failed], slots)
    return Track("failed requests", "misses", (Series("failed requests", values),))


def replicas(
    told: Sequence[tuple[float, int]], slots: Slots, limit: int, limit_label: str
) -> list[Track]:
    """How many replicas served, as long as they were counted; no row if they never were.

    Between two answers the first holds; where a slot saw several, the fewest.
    """
    if not told:
        return []
    values: list[float | None] = [None] * slots.count
    for (begin, count), (end, _) in pairwise([*told, told[-1]]):
        for slot in range(slots.index(begin), slots.index(end) + 1):
            known = values[slot]
            values[slot] = count if known is None else min(known, count)
    series = Series("replicas", tuple(values))
    return [Track("replicas that serve", "level", (series,), limit, limit_label)]


def _counted(times: Sequence[float], slots: Slots) -> tuple[float, ...]:
    found = Counter(slots.index(at) for at in times)
    return tuple(found[slot] for slot in range(slots.count))
