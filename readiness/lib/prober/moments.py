"""What every drill tells of those who were not served, and of the replicas: for its story."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Sample
from readiness.lib.text import listed
from readiness.model.measurement import Moment

# Failures closer to each other than this are told as one stretch.
_APART_S: Final = 0.5


def since(began: float, moments: Iterable[Moment]) -> list[Moment]:
    """Moments on the clock of the record, counted from when it began."""
    return [Moment(moment.at_s - began, moment.label, moment.good) for moment in moments]


def dips(told: Sequence[tuple[float, int]], needed: int) -> Iterator[Moment]:
    """When fewer replicas served than are needed, how few, and for how long."""
    for few, run in groupby(told, key=lambda said: said[1] < needed):
        stretch = list(run)
        if few:
            began, least = stretch[0][0], min(count for _, count in stretch)
            ended = next((at for at, _ in told if at > stretch[-1][0]), None)
            long = "to the end" if ended is None else f"for {ended - began:.1f} s"
            yield Moment(began, f"too few replicas serve {long}: at worst {least} of {needed}")


def failures(seen: Observation) -> Iterator[Moment]:
    """When requests failed, and when they did no more."""
    for stretch in _stretches(seen.failed):
        kinds = Counter(sample.problem for sample in stretch)
        told = listed(f"{count} x {problem}" for problem, count in kinds.most_common())
        yield Moment(stretch[0].due, f"requests fail: {told}", good=False)
        yield Moment(max(s.due for s in stretch) + seen.plan.period_s, "all answered", good=True)


def _stretches(failed: tuple[Sample, ...]) -> list[list[Sample]]:
    """Failures one after the other."""
    found: list[list[Sample]] = []
    for sample in failed:
        if not found or sample.due - found[-1][-1].due > _APART_S:
            found.append([])
        found[-1].append(sample)
    return found
