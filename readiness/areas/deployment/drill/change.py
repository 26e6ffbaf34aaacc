"""One change of the release, as the prober recorded it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import State
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Sample
from readiness.model.errors import CouldNotMeasure, NoData

IN_A_ROW: Final = 30
"""How many good answers of one release in a row show that it has arrived."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the release.

    Attributes:
        name: the request, as `deploy 1.5.0`.
        before: the release that was served.
        goal: the release that was to be served.
        back: whether it was made by a rollback.
        began: when the command was started, on the clock `time.monotonic`.
        told_s: seconds from then until the command ended; None if it did not.
        status: the exit status of its last command; None if it was stopped.
        problem: why the change did not complete; empty if it did.
        ended: when the service was steady, or the change was stopped.
        steady_s: how long a service must answer well to be called steady.
        state: what the release runs with afterwards; None or an error if unknown.
        counts: when, and how many replicas served, as the tool counts them.
        seen: all requests of the change.
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
        """Refuse to judge a change that did not complete, or that changed no release.

        Raises:
            NoData: it is such a change, or the prober was starved.
        """
        if self.problem:
            raise NoData(
                f"the change was stopped, and the release restored: {self.problem}",
                where=self.name,
                remedy="run the same command by hand, and see why it does not complete",
            )
        for release in (self.before, self.goal):
            if release not in self.seen.versions:
                raise NoData(
                    f"release {release} never answered: the release did not change",
                    where=self.name,
                    remedy="let `url` name the release that answers, and cache no answer",
                )
        self.seen.must_be_fair()

    @property
    def strays(self) -> tuple[Sample, ...]:
        """Good answers of neither release."""
        known = {self.before, self.goal}
        return tuple(s for s in self.seen.samples if not s.failed and s.version not in known)

    @property
    def others_in_the_end(self) -> tuple[Sample, ...]:
        """The requests of the last `steady_s` seconds that the goal did not answer well.

        There are none after a change that completed.
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
        """The last requests, all of them answered well by the goal."""
        return tail(self.seen.samples, self.goal)

    @property
    def arrived_s(self) -> float | None:
        """Seconds from the command to the first of `settled`; None if they are under `IN_A_ROW`."""
        settled = self.settled
        return settled[0].ended - self.began if len(settled) >= IN_A_ROW else None

    @property
    def after(self) -> Observation:
        """The requests since the goal has arrived."""
        settled = self.settled
        return self.seen.between(settled[0].due if settled else self.ended, float("inf"))


def tail(samples: Sequence[Sample], release: str) -> Sequence[Sample]:
    """The last requests, all of them answered well by this release."""
    for index in range(len(samples) - 1, -1, -1):
        if samples[index].failed or samples[index].version != release:
            return samples[index + 1 :]
    return samples
