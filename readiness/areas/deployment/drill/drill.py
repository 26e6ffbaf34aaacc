"""The drill: deploy, roll back and deploy again while a prober sends requests.

GIVEN a steady service, WHEN its release is changed, THEN it is steady again.
"""

import secrets
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import Adapter, State
from readiness.areas.deployment.config import Data, Deployment
from readiness.areas.deployment.drill.change import Change, Made, Watch, plan_of
from readiness.areas.deployment.drill.restoring import Kept, Restored, kept
from readiness.lib import command
from readiness.lib.drill.counting import Sampler, sampling
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import Prober, probing
from readiness.model.errors import CouldNotMeasure, NoData

_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Read:
    """Whether a release could read the row, and what the command printed."""

    release: str
    found: bool
    said: str


class Row:
    """The synthetic row of one drill."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._id = f"readiness-{secrets.token_hex(6)}"
        self.written = False
        self.reads: list[Read] = []
        self.problem: CouldNotMeasure | None = None

    def write(self, release: str, keeping: Kept) -> None:
        """Write it, and read it: a row that was never written cannot be lost."""
        self.written = True
        keeping.row(self._id)
        argv = self._filled(self._data.write)
        try:
            command.run(argv, "write the synthetic row", f"run it by hand: {shlex.join(argv)}")
            if not self._read(release).found:
                raise NoData(
                    f"the synthetic row cannot be read by release {release}, which wrote it",
                    where=shlex.join(argv),
                    remedy="make `read` print the id; see [deployment.data]",
                )
        except CouldNotMeasure as error:
            self.problem = error

    def read(self, release: str) -> None:
        """Find out whether this release can read it."""
        try:
            self.reads.append(self._read(release))
        except CouldNotMeasure as error:
            self.problem = error

    def _read(self, release: str) -> Read:
        argv = self._filled(self._data.read)
        answer = command.ask(argv, "read the synthetic row", f"run it by hand: {shlex.join(argv)}")
        found = answer.status == 0 and self._id in answer.output.split()
        return Read(release, found, answer.said or f"nothing printed, status {answer.status}")

    def _filled(self, argv: list[str]) -> list[str]:
        return [word.replace("{id}", self._id) for word in argv]


@dataclass(frozen=True, slots=True)
class Drilled:
    """The outcome of a drill.

    Attributes:
        origin: the release that was served before, and is again.
        given: the requests before anything was changed.
        changes: all changes, in order; the last one may have been stopped.
        state: what `origin` ran with before.
        reads: whether the synthetic row could be read, after each change.
        row_problem: why the row was not tried; None if it was.
        count_problem: why the replicas could not be counted; None if they could.
        counts: the times and replica counts.
        restored: how the target was restored.
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
        """Whether all that went wrong is that this machine was too busy to probe."""
        starved = any(change.seen.starved for change in self.changes)
        broken = any(change.problem for change in self.changes)
        return starved and not broken and not self.whole.failed


@dataclass(frozen=True, slots=True)
class Leg:
    """One change to make; its attributes are those of `Change`."""

    name: str
    before: str
    goal: str
    back: bool


def legs(origin: str, release: str, previous: str) -> Iterator[Leg]:
    """From the previous release: deploy, roll back, deploy again; then back to the origin.

    If the new release is served already, the previous one is deployed first, not rolled back to: a
    rollback must restore what a deployment of that release sets.
    """
    if origin == release:
        yield Leg(f"deploy {previous}", release, previous, back=False)
    yield Leg(f"deploy {release}", previous, release, back=False)
    yield Leg(f"roll back to {previous}", release, previous, back=True)
    yield Leg(f"deploy {release} again", previous, release, back=False)
    if origin == previous:
        yield Leg(f"roll back to {previous} again", release, previous, back=True)


def drill(deployment: Deployment, adapter: Adapter, safety: Safety) -> Drilled:
    """Run the drill, and restore the previous state, whatever happens.

    Raises:
        CouldNotMeasure: the service is not steady before, another drill runs, or the release could
            not be restored.
    """
    with (
        alone(safety),
        probing(plan_of(deployment)) as prober,
        sampling(adapter.replicas) as counter,
    ):
        return _Drill(deployment, adapter, prober, counter).run(safety)


_Done = tuple[Leg, Made, State | CouldNotMeasure | None]
"""A change, how it went, and what its release runs with afterwards."""


class _Drill:
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
            restored = keeping.restore_all(there=not done[-1][1].problem)
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
            counts=self._counter.between(0),
            restored=restored,
            whole=whole,
        )

    def _walk(self, watch: Watch, keeping: Kept, origin: str) -> Iterator[_Done]:
        """The changes, until one is stopped."""
        release, previous = self._settings.release, self._settings.previous or ""
        for leg in legs(origin, release, previous):
            way = self._adapter.rollback if leg.back else self._adapter.deploy
            made = watch.make(way(leg.goal), leg.goal, keeping.notes)
            yield leg, made, self._state()
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
        """The changes with all requests, including those between two changes."""
        ends = [made.began for _, made, _ in done[1:]] + [_FOREVER]
        for (leg, made, state), end in zip(done, ends, strict=True):
            # A change that was stopped is followed by the restore.
            until = made.ended if made.problem else end
            yield Change(
                **asdict(leg),
                **asdict(made),
                steady_s=self._settings.steady_s,
                state=state,
                counts=self._counter.between(made.began, until),
                seen=whole.between(begin, until),
            )
            begin = until
