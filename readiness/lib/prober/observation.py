"""What a record of requests shows: failures, outages, latency; as figures, moments and tracks."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final, Self

from readiness.lib.prober.plan import MODES, Hangup, Mode, Plan, Sample
from readiness.lib.sampling import percentile
from readiness.lib.text import clean, listed
from readiness.model.course import MOST_SLOTS, Series, Track
from readiness.model.errors import NoData
from readiness.model.measurement import Moment

# If it sends later than this, a stall of the prober looks like one of the service.
_LATE_S: Final = 0.05
_LATE_QUANTILE: Final = 0.99
# The machine itself stood still for so long that an outage in between was not seen.
_BLIND_S: Final = 0.25
# Failures that are less apart than this are shown as one.
_APART_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outage:
    """Consecutive failed requests of one kind.

    Attributes:
        mode: how they were sent.
        began: when the first was due, on the clock `time.monotonic`.
        ended: when the next good one was due, or when the record ends.
        requests: how many failed.
    """

    mode: Mode
    began: float
    ended: float
    requests: int

    @property
    def length_s(self) -> float:
        """How long it lasted, to one period."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Observation:
    """All requests of a period, in the order in which they were due.

    Attributes:
        plan: what was to be sent.
        samples: the outcome of each request.
        hangups: kept connections that were closed without notice.
    """

    plan: Plan
    samples: tuple[Sample, ...]
    hangups: tuple[Hangup, ...]

    def between(self, begin: float, end: float = float("inf")) -> "Observation":
        """The requests that were due in a period, on the clock `time.monotonic`."""
        return Observation(
            self.plan,
            tuple(s for s in self.samples if begin <= s.due < end),
            tuple(h for h in self.hangups if begin <= h.at < end),
        )

    def of(self, mode: Mode) -> tuple[Sample, ...]:
        """The requests of one kind."""
        return tuple(sample for sample in self.samples if sample.mode is mode)

    @property
    def failed(self) -> tuple[Sample, ...]:
        """The requests that got no good answer."""
        return tuple(sample for sample in self.samples if sample.failed)

    @property
    def versions(self) -> tuple[str, ...]:
        """The releases that answered, in order of appearance."""
        return tuple(dict.fromkeys(sample.version for sample in self.samples if sample.version))

    @property
    def replicas(self) -> tuple[str, ...]:
        """The replicas that answered, in order of appearance."""
        return tuple(dict.fromkeys(sample.replica for sample in self.samples if sample.replica))

    def outages(self) -> tuple[Outage, ...]:
        """Every run of failed requests of one kind, the longest first."""
        found = [outage for mode in MODES for outage in self._outages(mode)]
        return tuple(sorted(found, key=lambda outage: -outage.length_s))

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which no request of one kind was answered well; 0 if all were."""
        return max((outage.length_s for outage in self.outages()), default=0.0)

    def latency_s(self, quantile: float) -> float:
        """A quantile of the latency of all requests, failed ones included.

        Raises:
            NoData: there were none.
        """
        return percentile([sample.latency_s for sample in self.samples], quantile)

    @property
    def shortest_seen_s(self) -> float:
        """The longest time between two requests; a shorter outage may not have been seen."""
        sent = sorted(sample.sent for sample in self.samples)
        return max((b - a for a, b in pairwise(sent)), default=float("inf"))

    @property
    def starved(self) -> str:
        """Why the prober's figures cannot be trusted; empty if they can."""
        if not self.samples:
            return "nothing was sent"
        if self.shortest_seen_s > max(_BLIND_S, 2 * self.plan.period_s):
            return f"nothing was sent for {self.shortest_seen_s:.2f} s"
        late = percentile([sample.late_s for sample in self.samples], _LATE_QUANTILE)
        if late > _LATE_S:
            return f"1 % of the requests were sent over {late * 1000:.0f} ms too late"
        return ""

    def must_be_fair(self) -> None:
        """Refuse a record of a prober that could not keep its rate.

        Raises:
            NoData: it was starved.
        """
        if why := self.starved:
            raise NoData(
                f"the prober was starved: {why}",
                where=f"{self.plan.rate_per_s:g} requests/s to {self.plan.url}",
                remedy="run the gate on a less busy machine, or lower the rate",
            )

    def _outages(self, mode: Mode) -> Iterator[Outage]:
        samples = self.of(mode)
        period_s = self.plan.period_s * len(MODES)
        for failed, run in groupby(samples, key=lambda sample: sample.failed):
            if failed:
                yield _outage(mode, list(run), period_s)


def _outage(mode: Mode, run: Sequence[Sample], period_s: float) -> Outage:
    return Outage(
        mode=mode,
        began=run[0].due,
        ended=run[-1].due + period_s,
        requests=len(run),
    )


def since(began: float, moments: Iterable[Moment]) -> list[Moment]:
    """The same moments, in seconds since the record began."""
    return [Moment(moment.at_s - began, moment.label, moment.good) for moment in moments]


def dips(counts: Sequence[tuple[float, int]], needed: int) -> Iterator[Moment]:
    """When fewer replicas served than are needed, how few, and for how long."""
    for few, run in groupby(counts, key=lambda counted: counted[1] < needed):
        stretch = list(run)
        if few:
            began, least = stretch[0][0], min(count for _, count in stretch)
            ended = next((at for at, _ in counts if at > stretch[-1][0]), None)
            long = "to the end" if ended is None else f"for {ended - began:.1f} s"
            yield Moment(began, f"too few replicas serve {long}: at worst {least} of {needed}")


def problems_of(failed: Iterable[Sample]) -> str:
    """What was wrong with requests, and how often."""
    kinds = Counter(sample.problem for sample in failed)
    return listed(f"{count} x {problem}" for problem, count in kinds.most_common())


def failures(seen: Observation) -> Iterator[Moment]:
    """When requests began to fail, and when all were answered again."""
    for stretch in _stretches(seen.failed):
        yield Moment(stretch[0].due, f"requests fail: {problems_of(stretch)}", good=False)
        yield Moment(max(s.due for s in stretch) + seen.plan.period_s, "all answered", good=True)


def _stretches(failed: tuple[Sample, ...]) -> list[list[Sample]]:
    """Runs of failures that follow each other closely."""
    found: list[list[Sample]] = []
    for sample in failed:
        if not found or sample.due - found[-1][-1].due > _APART_S:
            found.append([])
        found[-1].append(sample)
    return found


# Fewer requests than this do not show which releases answer.
_LEAST_IN_A_SLOT = 5


@dataclass(frozen=True, slots=True)
class Slots:
    """The time slots of a chart; each is a whole number of request periods long.

    Attributes:
        began: when the first begins, on the clock of the record.
        step_s: the length of each.
        count: how many there are.
    """

    began: float
    step_s: float
    count: int

    @classmethod
    def of(cls, seen: Observation) -> Self:
        """The slots of a record with at least one request."""
        first, last, period_s = seen.samples[0].due, seen.samples[-1].due, seen.plan.period_s
        requests = round((last - first) / period_s) + 1
        least = max(_LEAST_IN_A_SLOT, math.ceil(requests / MOST_SLOTS))
        # If the last slot were not as full as the others, requests would seem to be missing.
        each = min(range(least, 2 * least), key=lambda each: -requests % each / each)
        return cls(first, each * period_s, math.ceil(requests / each))

    def index(self, at: float) -> int:
        """The slot of a time, or the nearest one."""
        # A request is due exactly where its slot begins, and must not fall into the one before.
        slot = math.floor((at - self.began) / self.step_s + 1e-6)
        return min(max(slot, 0), self.count - 1)


def answers(seen: Observation, slots: Slots) -> Track:
    """How many answers each release gave in each slot, in order of appearance."""
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
    counts: Sequence[tuple[float, int]], slots: Slots, limit: int, limit_label: str
) -> list[Track]:
    """How many replicas served while they were counted; no track if they never were.

    A count holds until the next one; a slot with several shows the fewest.
    """
    if not counts:
        return []
    values: list[float | None] = [None] * slots.count
    for (begin, count), (end, _) in pairwise([*counts, counts[-1]]):
        for slot in range(slots.index(begin), slots.index(end) + 1):
            known = values[slot]
            values[slot] = count if known is None else min(known, count)
    series = Series("replicas", tuple(values))
    return [Track("replicas that serve", "level", (series,), limit, limit_label)]


def _counted(times: Sequence[float], slots: Slots) -> tuple[float, ...]:
    found = Counter(slots.index(at) for at in times)
    return tuple(found[slot] for slot in range(slots.count))
