"""What a record of requests says: absolute figures, and what it could not have seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from readiness.lib.prober.plan import MODES, Hangup, Mode, Plan, Sample
from readiness.lib.sampling import percentile
from readiness.model.errors import NoData

# Later than this, a stall of the prober looks like one of the service.
_LATE_S: Final = 0.05
_LATE_QUANTILE: Final = 0.99
# The machine itself stood still for so long: an outage in between was seen by nobody.
_BLIND_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Outage:
    """Requests of one kind that failed one after the other.

    Attributes:
        mode: how they were sent.
        began: when the first was due, on the clock `time.monotonic`.
        ended: when the next good one was due; when the record ends, if none came.
        requests: how many failed.
        problems: what happened, each once.
    """

    mode: Mode
    began: float
    ended: float
    requests: int
    problems: tuple[str, ...]

    @property
    def length_s(self) -> float:
        """How long it lasted, to one period."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Observation:
    """All requests of a time, in the order in which they were due.

    Attributes:
        plan: what was to be sent.
        samples: what became of each request.
        hangups: kept connections that were closed without a word.
    """

    plan: Plan
    samples: tuple[Sample, ...]
    hangups: tuple[Hangup, ...]

    def between(self, begin: float, end: float) -> "Observation":
        """The part whose requests were due in a time, on the clock `time.monotonic`."""
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
        """Those that were not answered as they should have been."""
        return tuple(sample for sample in self.samples if sample.failed)

    @property
    def versions(self) -> tuple[str, ...]:
        """The releases that answered, in the order in which they were first seen."""
        return tuple(dict.fromkeys(sample.version for sample in self.samples if sample.version))

    @property
    def replicas(self) -> tuple[str, ...]:
        """The replicas that answered, in the order in which they were first seen."""
        return tuple(dict.fromkeys(sample.replica for sample in self.samples if sample.replica))

    def outages(self) -> tuple[Outage, ...]:
        """Every run of failed requests, of each kind apart, the longest first."""
        found = [outage for mode in MODES for outage in self._outages(mode)]
        return tuple(sorted(found, key=lambda outage: -outage.length_s))

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which no request of one kind was answered; 0 if all were."""
        return max((outage.length_s for outage in self.outages()), default=0.0)

    def latency_s(self, quantile: float) -> float:
        """A quantile of the latency of all requests, those that failed among them.

        Raises:
            NoData: there were none.
        """
        return percentile([sample.latency_s for sample in self.samples], quantile)

    @property
    def shortest_seen_s(self) -> float:
        """An outage of all of the service that lasts this long cannot have been missed.

        It is the longest time between two requests: what begins and ends between them is not seen.
        """
        sent = sorted(sample.sent for sample in self.samples)
        return max((b - a for a, b in pairwise(sent)), default=float("inf"))

    @property
    def starved(self) -> str:
        """Why the prober's own figures are not to be believed; empty if they are."""
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
                remedy="run the gate on a machine that does less at the time, or lower the rate",
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
        problems=tuple(dict.fromkeys(sample.problem for sample in run)),
    )
