"""Scaling up, or down, as counted and as users saw it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from readiness.lib.drill.counting import Said
from readiness.lib.prober.observation import Observation

Counts = Sequence[Said[int]]


@dataclass(frozen=True, slots=True)
class Phase:
    """Scaling in one direction.

    Attributes:
        name: the direction and its cause, in words.
        began: when its cause began, on the clock `time.monotonic`.
        ended: when the count was steady, or the phase was aborted.
        arrived_s: seconds from its beginning until the replica count was reached for good; None
            if it never was.
        problem: why it was aborted; empty if it was not.
        counts: of the replicas; the first is the last one before it began.
        seen: all requests of the watching prober.
    """

    name: str
    began: float
    ended: float
    arrived_s: float | None
    problem: str
    counts: Counts
    seen: Observation

    @property
    def last(self) -> int:
        """The replica count at the end."""
        return self.counts[-1].what

    @property
    def least(self) -> int:
        """The lowest replica count."""
        return min(said.what for said in self.counts)

    @property
    def most(self) -> int:
        """The highest replica count."""
        return max(said.what for said in self.counts)

    def added(self, seconds: float) -> "Pace":
        """The most replicas that were added within so many seconds."""
        return _most(self.counts, seconds, lambda before, after: after - before)

    def removed(self, seconds: float) -> "Pace":
        """The most that were removed."""
        return _most(self.counts, seconds, lambda before, after: before - after)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many replicas were added, or removed, within a time.

    Attributes:
        certain: the most between two counts within that time.
        possible: the most between two counts that were further apart, had it happened at once.
    """

    certain: int
    possible: int


def settled_at(counts: Counts, good: Callable[[int], bool]) -> float | None:
    """When the first of the good counts at the end came; None if the last is not good."""
    found = None
    for said in reversed(counts):
        if not good(said.what):
            break
        found = said.came
    return found


def _most(counts: Counts, seconds: float, change: Callable[[int, int], int]) -> Pace:
    certain = max(
        (
            change(before.what, after.what)
            for index, before in enumerate(counts)
            for after in counts[index:]
            if after.came - before.asked <= seconds
        ),
        default=0,
    )
    unseen = (
        change(before.what, after.what)
        for before, after in pairwise(counts)
        if after.came - before.asked > seconds
    )
    return Pace(certain, max(unseen, default=0))
