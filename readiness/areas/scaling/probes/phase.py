"""Growing, or shrinking, as it was counted and as users saw it: from the record alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from readiness.lib.drill.counting import Said
from readiness.lib.prober.observation import Observation

Counts = Sequence[Said[int]]


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the two.

    Attributes:
        name: which.
        began: when its cause began, on the clock `time.monotonic`.
        ended: when the count was steady, or the phase was given up.
        arrived_s: seconds from its beginning until the count was where it stayed; None if it
            never was.
        problem: why it was ended before its time; empty if it was not.
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
        """How many replicas there were in the end."""
        return self.counts[-1].what

    @property
    def least(self) -> int:
        """The fewest that were counted."""
        return min(said.what for said in self.counts)

    @property
    def most(self) -> int:
        """The most that were counted."""
        return max(said.what for said in self.counts)

    def added(self, seconds: float) -> "Pace":
        """The most replicas that were added within so many seconds."""
        return _most(self.counts, seconds, lambda before, after: after - before)

    def removed(self, seconds: float) -> "Pace":
        """The most that were taken away."""
        return _most(self.counts, seconds, lambda before, after: before - after)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many replicas there were more, or fewer, within a time.

    Attributes:
        certain: so many, between two answers that were both true within it.
        possible: so many, if all that changed between two answers that came later than that after
            each other changed at once.
    """

    certain: int
    possible: int


def settled_at(counts: Counts, good: Callable[[int], bool]) -> float | None:
    """When the count was told that was good, and stayed so to the end; None if the last is not."""
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
