"""One change of the release, as the users of the service saw it: from the record alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import State
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Sample
from readiness.model.errors import CouldNotMeasure, NoData

IN_A_ROW: Final = 30
"""So many good answers of one release, one after the other, are no accident."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the release.

    Attributes:
        name: what was asked for, as `deploy 1.5.0`.
        before: the release that was served.
        goal: the release that was to be served.
        back: whether it was done by the way back.
        began: when the command was started, on the clock `time.monotonic`.
        told_s: seconds from then until the tool said that it was done; None if it never did.
        status: the exit status of its last command; None if it was given up.
        problem: why the change did not come to its end; empty if it did.
        ended: when it was over: the service was steady, or the change was given up.
        steady_s: how long a service has to be well to be called steady.
        state: what the release is run with afterwards; None where nobody can tell, or an error.
        counts: how many replicas could serve, and when, as the tool says it.
        seen: all requests from its beginning to its end.
    """

    name: str
    before: str
    goal: str
    back: bool
    began: float
    told_s: float | None
    status: int | None
    problem: str
    ended: float
    steady_s: float
    state: State | CouldNotMeasure | None
    counts: tuple[tuple[float, int], ...]
    seen: Observation

    def must_be_whole(self) -> None:
        """Refuse to judge a change that did not come to its end, or was not really one.

        Raises:
            NoData: so it is; or the prober was starved.
        """
        if self.problem:
            raise NoData(
                f"the change was broken off, and put back: {self.problem}",
                where=self.name,
                remedy="do the same by hand, and see why it does not come to its end",
            )
        for release in (self.before, self.goal):
            if release not in self.seen.versions:
                raise NoData(
                    f"release {release} never answered: this was no change between two releases",
                    where=self.name,
                    remedy="let `url` tell the release that answers, and nothing keep the answers",
                )
        self.seen.must_be_fair()

    @property
    def strays(self) -> tuple[Sample, ...]:
        """Good answers of neither release."""
        known = {self.before, self.goal}
        return tuple(s for s in self.seen.samples if not s.failed and s.version not in known)

    @property
    def others_in_the_end(self) -> tuple[Sample, ...]:
        """The requests of the last stretch that the goal did not answer, or did not answer well.

        The last stretch is as long as steadiness asks for; after a change that came to its end
        there are none.
        """
        last = self.seen.between(self.ended - self.steady_s, self.ended)
        return tuple(s for s in last.samples if s.failed or s.version != self.goal)

    @property
    def first_seen_s(self) -> float | None:
        """Seconds from the command to the first answer of the goal; None if none came."""
        times = (s.ended - self.began for s in self.seen.samples if s.version == self.goal)
        return next(times, None)

    @property
    def last_before_s(self) -> float | None:
        """Seconds from the command to the last answer of the release before; None if none came."""
        times = (s.ended for s in self.seen.samples if s.version == self.before)
        return max((at - self.began for at in times if at >= self.began), default=None)

    @property
    def settled(self) -> Sequence[Sample]:
        """The last requests that the goal answered well, with nothing else in between."""
        return tail(self.seen.samples, self.goal)

    @property
    def arrived_s(self) -> float | None:
        """Seconds from the command to the first of the good answers that nothing else followed.

        None if they are fewer than `IN_A_ROW`.
        """
        settled = self.settled
        return settled[0].ended - self.began if len(settled) >= IN_A_ROW else None

    @property
    def after(self) -> Observation:
        """The requests since then."""
        settled = self.settled
        return self.seen.between(settled[0].due if settled else self.ended, float("inf"))


def tail(samples: Sequence[Sample], release: str) -> Sequence[Sample]:
    """The last requests that were all answered well, and by this release."""
    for index in range(len(samples) - 1, -1, -1):
        if samples[index].failed or samples[index].version != release:
            return samples[index + 1 :]
    return samples
