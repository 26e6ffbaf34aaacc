"""The drill: deploy, roll back, deploy again, while a prober asks the service all the time.

GIVEN a steady service, WHEN its release is changed, THEN it is steady again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import Adapter, State
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.change import Change
from readiness.areas.deployment.drill.keeping import Kept, kept
from readiness.areas.deployment.drill.restoring import Restored
from readiness.areas.deployment.drill.row import Read, Row
from readiness.areas.deployment.drill.watching import Made, Watch, plan_of
from readiness.lib.drill.counting import Sampler, sampling
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import Prober, probing
from readiness.model.errors import CouldNotMeasure

_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill showed.

    Attributes:
        origin: the release that was served before it, and is again.
        given: the requests before anything was changed.
        changes: what was changed, in order; the last one may have been broken off.
        state: what `origin` was run with before.
        reads: whether the row of ours could be read, after each change.
        row_problem: why nothing can be said of the row; None if something can.
        count_problem: why the replicas could not be counted; None if they could.
        counts: how many replicas could serve, and when, over all of it.
        restored: how the target was put back.
        whole: all requests.
    """

    origin: str
    given: Observation
    changes: tuple[Change, ...]
    state: State | CouldNotMeasure | None
    reads: tuple[Read, ...]
    row_problem: CouldNotMeasure | None
    count_problem: CouldNotMeasure | None
    counts: tuple[tuple[float, int], ...]
    restored: Restored
    whole: Observation

    @property
    def is_starved(self) -> bool:
        """Whether nothing is known but that this machine did too much else at the time."""
        starved = any(change.seen.starved for change in self.changes)
        broken = any(change.problem for change in self.changes)
        return starved and not broken and not self.whole.failed


@dataclass(frozen=True, slots=True)
class Leg:
    """One change that is to be made: as for `Change`."""

    name: str
    before: str
    goal: str
    back: bool


@dataclass(frozen=True, slots=True)
class _Done:
    """A leg, how it went, and what its release is run with."""

    leg: Leg
    made: Made
    state: State | CouldNotMeasure | None


def legs(origin: str, release: str, previous: str) -> Iterator[Leg]:
    """From the older release: deploy, roll back, deploy again; and then to where it was.

    Where the new one is served already, the older one is deployed first, not rolled back to: what
    a rollback has to restore is what a deployment of that release sets.
    """
    if origin == release:
        yield Leg(f"deploy {previous}", release, previous, back=False)
    yield Leg(f"deploy {release}", previous, release, back=False)
    yield Leg(f"roll back to {previous}", release, previous, back=True)
    yield Leg(f"deploy {release} again", previous, release, back=False)
    if origin == previous:
        yield Leg(f"roll back to {previous} again", release, previous, back=True)


def drill(deployment: Deployment, adapter: Adapter, safety: Safety) -> Drilled:
    """Do the whole of it, and put back what was there before, whatever happens.

    Raises:
        CouldNotMeasure: the service is not steady before, somebody else drills, or it could not
            be put back.
    """
    with (
        alone(safety),
        probing(plan_of(deployment)) as prober,
        sampling(adapter.replicas) as counter,
    ):
        return _Drill(deployment, adapter, prober, counter).run(safety)


class _Drill:
    """A drill under way."""

    def __init__(
        self, deployment: Deployment, adapter: Adapter, prober: Prober, counter: Sampler[int]
    ) -> None:
        self._settings = deployment
        self._adapter = adapter
        self._prober = prober
        self._counter = counter
        self._row = Row(deployment.data) if deployment.data else None

    def run(self, safety: Safety) -> Drilled:
        settings = self._settings
        watch = Watch(settings, self._prober)
        given = watch.given(self._adapter)
        origin = given.versions[0]
        state = self._state()
        with kept(settings, self._adapter, origin, safety) as keeping:
            done = list(self._walk(watch, keeping, origin))
            restored = keeping.put_back(there=not done[-1].made.problem)
        self._counter.stop()
        whole = self._prober.stop()
        return Drilled(
            origin=origin,
            given=given,
            changes=tuple(self._changes(done, whole, given.samples[-1].due)),
            state=state,
            reads=tuple(self._row.reads) if self._row else (),
            row_problem=self._row.problem if self._row else None,
            count_problem=self._counter.problem,
            counts=self._counter.between(0, _FOREVER),
            restored=restored,
            whole=whole,
        )

    def _walk(self, watch: Watch, keeping: Kept, origin: str) -> Iterator[_Done]:
        """The changes, until one is broken off."""
        release, previous = self._settings.release, self._settings.previous or ""
        for leg in legs(origin, release, previous):
            way = self._adapter.rollback if leg.back else self._adapter.deploy
            made = watch.make(way(leg.goal), leg.goal, keeping.notes)
            yield _Done(leg, made, self._state())
            if made.problem:
                return
            if self._row:
                self._look(self._row, leg.goal, keeping)

    def _look(self, row: Row, served: str, keeping: Kept) -> None:
        if row.written:
            row.read(served)
        elif served == self._settings.release:
            row.write(served, keeping)

    def _state(self) -> State | CouldNotMeasure | None:
        try:
            return self._adapter.state()
        except CouldNotMeasure as error:
            return error

    def _changes(self, done: list[_Done], whole: Observation, begin: float) -> Iterator[Change]:
        """With all requests: none is left out between two of them, nor before the first."""
        ends = [one.made.began for one in done[1:]] + [_FOREVER]
        for one, end in zip(done, ends, strict=True):
            leg, made = one.leg, one.made
            # What comes after a change that was broken off is how it was put back.
            until = made.ended if made.problem else end
            yield Change(
                name=leg.name,
                before=leg.before,
                goal=leg.goal,
                back=leg.back,
                began=made.began,
                told_s=made.told_s,
                status=made.status,
                problem=made.problem,
                ended=made.ended,
                steady_s=self._settings.steady_s,
                state=one.state,
                counts=self._counter.between(made.began, until),
                seen=whole.between(begin, until),
            )
            begin = until
