"""The drill: a load starts and ends, while replicas are counted and a prober sends requests.

GIVEN a steady minimum replica count, WHEN the load starts THEN as many replicas serve as it needs;
WHEN it ends THEN the minimum is left. The load ends with the drill, even if the drill is killed.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from readiness.areas.scaling.config import Live, Scaling
from readiness.lib import command
from readiness.lib.drill.counting import Said, Sampler, counted, sampling
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.guardian import Undo
from readiness.lib.prober import watched
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import Prober, probing
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData

Counts = Sequence[Said[int]]
_LOAD_REMEDY: Final = "run it by hand; see [scaling.NAME.live]"
# An autoscaler averages over many seconds: a few late requests do not change the load.
_LEAST_SENT: Final = 0.95
_LEAST_IN_A_SECOND: Final = 0.5
_POLL_S: Final = 0.2
_SLOWEST_S: Final = 1.0
# At least so many counts in each `up_s` and `down_s`.
_COUNTS_IN_A_PERIOD: Final = 5
_FOREVER: Final = float("inf")
_REMEDY: Final = "run it by hand; see [scaling.NAME.live] replicas"


@dataclass(frozen=True, slots=True)
class Phase:
    """Scaling in one direction.

    Attributes:
        name: the direction and its cause.
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
        """The most replicas that were added within a time."""
        return _most(self.counts, seconds, lambda before, after: after - before)

    def removed(self, seconds: float) -> "Pace":
        """The most replicas that were removed within a time."""
        return _most(self.counts, seconds, lambda before, after: before - after)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many replicas were added, or removed, within a time.

    Attributes:
        certain: the most between two counts within that time.
        possible: the most between two counts that were further apart, if it happened at once.
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


@dataclass(slots=True)
class Load:
    """What makes a workload scale up; made by `pressing`.

    Attributes:
        what: its description.
        check: raises CouldNotMeasure if the load has stopped by itself.
        seen: the outcome of the prober's requests, once the load has ended; None for a command.
    """

    what: str
    check: Callable[[], object]
    seen: Observation | None = None


def pressing(live: Live, undo: Undo) -> AbstractContextManager[Load]:
    """Make it scale up while the block runs.

    Raises:
        CouldNotMeasure: it cannot be started or stopped.
    """
    if live.up and live.down:
        return _set(live.up, live.down, undo, live.down_within_s)
    if live.load:
        return _made(live.load, undo)
    return _asked(live, live.load_rate_per_s or 0)


def starved(seen: Observation, until: float) -> str:
    """Why there was less load than configured until its end; empty if there was not."""
    if not seen.samples:
        return "nothing was sent"
    rate, began = seen.plan.rate_per_s, seen.samples[0].due
    sent = [sample.sent - began for sample in seen.samples if sample.sent < until]
    due = (until - began) * rate
    if len(sent) < _LEAST_SENT * due:
        return f"{len(sent)} of {due:.0f} requests were sent in time"
    in_second = Counter(int(at_s) for at_s in sent)
    least = min((in_second[second] for second in range(int(until - began))), default=len(sent))
    if least < _LEAST_IN_A_SECOND * rate:
        return f"in one second {least} requests were sent, of {rate:g}"
    return ""


@contextmanager
def _asked(live: Live, rate_per_s: float) -> Iterator[Load]:
    """The prober's process ends when its input is closed, and so with this process."""
    plan = watched.plan_of(live).model_copy(update={"rate_per_s": rate_per_s})
    with probing(plan) as users:
        load = Load(f"{rate_per_s:g} requests/s to {live.url}", users.seen)
        yield load
        load.seen = users.stop()


@contextmanager
def _made(argv: list[str], undo: Undo) -> Iterator[Load]:
    verb = "make the load"
    with command.started(argv, verb, _LOAD_REMEDY) as running:
        token = undo.kill(running.pid)

        def check() -> None:
            if answer := running.poll():
                raise CouldNotMeasure(
                    f"the command to {verb} ended by itself, with {answer.status}: {answer.said}",
                    where=argv[0],
                    remedy="let it run until the drill stops it",
                )

        try:
            yield Load(f"the load of {argv[0]}", check)
        finally:
            running.kill()
            undo.forget(token)


@contextmanager
def _set(up: list[str], down: list[str], undo: Undo, timeout_s: float) -> Iterator[Load]:
    """Scale it up by a command, and down again whatever happens."""
    token = undo.run(down, timeout_s=timeout_s)
    try:
        with command.started(up, "scale it up", _LOAD_REMEDY) as running:

            def check() -> None:
                answer = running.poll()
                if answer and answer.status:
                    raise CouldNotMeasure(
                        f"the command to scale it up ended with {answer.status}: {answer.said}",
                        where=up[0],
                        remedy=_LOAD_REMEDY,
                    )

            yield Load(f"the command {up[0]}", check)
    finally:
        command.run(down, "scale it down", _LOAD_REMEDY, timeout_s=timeout_s)
        undo.forget(token)


@dataclass(frozen=True, slots=True)
class Scaled:
    """The outcome of a drill.

    Attributes:
        fewest: the replica count before the load.
        load: a description of what made it scale up.
        loading: the requests that did; None for a command.
        load_ended: when the load ended, on the clock `time.monotonic`.
        up: how it scaled up.
        down: how it scaled down; None if scaling up failed, or was aborted to protect users.
        whole: all requests of the watching prober.
    """

    fewest: int
    load: str
    loading: Observation | None
    load_ended: float
    up: Phase
    down: Phase | None
    whole: Observation

    @property
    def starved(self) -> str:
        """Why there was less load than configured; empty if not, or if a command made it."""
        return starved(self.loading, self.load_ended) if self.loading else ""

    @property
    def is_starved(self) -> bool:
        """Whether all that went wrong is that this machine was too busy."""
        return bool(self.starved or self.whole.starved) and not self.whole.failed

    def must_be_fair(self) -> None:
        """Raise NoData if the load or the prober was starved."""
        if why := self.starved:
            raise NoData(
                f"the load was starved: {why}",
                where=self.load,
                remedy="run the gate on a less busy machine, lower `load_rate_per_s`, or set `load`"
                " to make the load elsewhere",
            )
        self.whole.must_be_fair()


def drill(scaling: Scaling, live: Live, safety: Safety) -> Scaled:
    """Run the drill; the load has ended when this returns, whatever happens.

    Raises:
        CouldNotMeasure: the service is not steady before, another drill runs, replicas cannot be
            counted, or the load ended by itself.
    """
    paces = [pace for pace in (scaling.pace("up"), scaling.pace("down")) if pace]
    period_s = min([_SLOWEST_S, *(pace.seconds / _COUNTS_IN_A_PERIOD for pace in paces)])
    with (
        alone(safety),
        probing(watched.plan_of(live)) as prober,
        sampling(lambda: counted(live.replicas, _REMEDY), period_s) as counter,
    ):
        return _Drill(scaling, live, prober, counter).run(safety)


@dataclass(frozen=True, slots=True)
class _Made:
    """A phase, as far as it is known during the drill."""

    began: float
    ended: float
    arrived: float | None
    problem: str


class _Drill:
    """A drill under way."""

    def __init__(self, scaling: Scaling, live: Live, prober: Prober, counter: Sampler[int]) -> None:
        self._scaling = scaling
        self._live = live
        self._prober = prober
        self._counter = counter

    def run(self, safety: Safety) -> Scaled:
        live, fewest = self._live, self._given()
        began = time.monotonic()
        with pressing(live, safety.undo) as load:
            up = self._arrive(began, lambda n: n >= live.loaded_replicas, live.up_within_s, load)
            until = time.monotonic()
        # What never scaled up cannot be seen to scale down.
        grew = up.arrived is not None and not up.problem
        down = self._arrive(until, lambda n: n <= fewest, live.down_within_s) if grew else None
        self._counter.stop()
        self._must_count()
        whole = self._prober.stop()
        return Scaled(
            fewest=fewest,
            load=load.what,
            loading=load.seen,
            load_ended=until,
            up=self._phase(f"scaling up under {load.what}", up, until, whole),
            down=self._phase("scaling down", down, _FOREVER, whole) if down else None,
            whole=whole,
        )

    def _given(self) -> int:
        """The replica count before the load, which must be steady, and the minimum if one is set.

        Raises:
            NoData: it is not, or the load would need no more replicas.
        """
        began = time.monotonic()
        seen = watched.steadily(self._prober, self._live, began)
        if seen.failed:
            raise self._unsteady(watched.failures_of(seen))
        self._await_count(began)
        counts = sorted({said.what for said in self._counter.said(began)})
        told = listed(map(str, counts)) or "an unknown number of"
        agreed, needed = self._scaling.min_replicas, self._live.loaded_replicas
        if agreed is not None and counts != [agreed]:
            raise self._unsteady(f"{told} replicas serve, and `min_replicas` is {agreed}")
        if len(counts) != 1:
            raise self._unsteady(f"the replica count is not steady: {told} replicas serve")
        if counts[0] >= needed:
            raise self._unsteady(f"{told} replicas serve, and `loaded_replicas` is {needed}")
        seen.must_be_fair()
        return counts[0]

    def _unsteady(self, problem: str) -> NoData:
        return NoData(
            f"{problem} before the load: the drill was not started",
            where=self._live.url,
            remedy="wait until it is idle and at its minimum replica count, then run again",
        )

    def _arrive(
        self,
        began: float,
        good: Callable[[int], bool],
        within_s: float,
        load: Load | None = None,
    ) -> _Made:
        """Wait until the count is good and stays so, or the time is up."""
        steady_s = self._live.steady_s
        while True:
            self._must_count()
            if load:
                load.check()
            counts = self._counter.said(began)
            arrived = settled_at(counts, good)
            now = time.monotonic()
            seen = self._prober.seen().between(began)
            problem = watched.suffering(seen, self._live)
            steady = arrived is not None and counts[-1].asked - arrived >= steady_s
            if steady or problem or now - began > within_s + steady_s:
                return _Made(began, now, arrived, problem)
            time.sleep(_POLL_S)

    def _await_count(self, since: float) -> None:
        """Wait for the first count: on a busy machine the command takes longer than `steady_s`."""
        deadline = time.monotonic() + command.ASK_S
        while not self._counter.said(since) and time.monotonic() < deadline:
            self._must_count()
            time.sleep(_POLL_S)
        self._must_count()

    def _must_count(self) -> None:
        problem: CouldNotMeasure | None = self._counter.problem
        if problem:
            raise problem

    def _phase(self, name: str, made: _Made, until: float, whole: Observation) -> Phase:
        # An answer that came after the end may show what happened after it.
        before = [said for said in self._counter.said(0, made.began) if said.came < made.began][-1:]
        counts = [said for said in self._counter.said(made.began, until) if said.came < until]
        if not (before and counts):
            raise NoData("no replicas were counted", where=name, remedy=_REMEDY)
        return Phase(
            name=name,
            began=made.began,
            ended=made.ended,
            arrived_s=None if made.arrived is None else made.arrived - made.began,
            problem=made.problem,
            # With the last count before: a sudden change may be over at the next one.
            counts=before + counts,
            seen=whole.between(made.began, until),
        )
