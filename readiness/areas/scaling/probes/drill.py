"""The drill: a load starts and ends, while replicas are counted and a prober sends requests.

GIVEN a steady minimum replica count, WHEN the load starts THEN as many replicas serve as it needs;
WHEN it ends THEN the minimum is left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from readiness.areas.scaling.config import Live, Scaling
from readiness.areas.scaling.probes.load import Load, pressing, starved
from readiness.areas.scaling.probes.phase import Phase, settled_at
from readiness.lib.drill.counting import Sampler, counted, sampling
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.prober import watched
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import Prober, probing
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData

_POLL_S: Final = 0.2
_SLOWEST_S: Final = 1.0
# At least so many counts in each `up_s` and `down_s`.
_COUNTS_IN_A_PERIOD: Final = 5
_FOREVER: Final = float("inf")
_REMEDY: Final = "run it by hand; see [scaling.NAME.live] replicas"


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a drill showed.

    Attributes:
        fewest: the replica count before the load.
        load: what made it scale up, in words.
        loading: our own requests that did; None for a command.
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
        """Why there was less load than declared; empty if not, or if a command made it."""
        return starved(self.loading, self.load_ended) if self.loading else ""

    @property
    def is_starved(self) -> bool:
        """Whether all that is known is that this machine was too busy."""
        return bool(self.starved or self.whole.starved) and not self.whole.failed

    def must_be_fair(self) -> None:
        """Refuse to judge where the load or the prober was starved.

        Raises:
            NoData: one of them was.
        """
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
    period_s = min(_SLOWEST_S, min(scaling.up_s, scaling.down_s) / _COUNTS_IN_A_PERIOD)
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
        live, fewest = self._live, self._scaling.min_replicas
        self._given()
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

    def _given(self) -> None:
        began = time.monotonic()
        seen = watched.steadily(self._prober, self._live, began)
        if seen.failed:
            raise self._unsteady(watched.failures_of(seen))
        self._must_count()
        counts = {said.what for said in self._counter.said(began)}
        if counts != {self._scaling.min_replicas}:
            told = listed(str(count) for count in sorted(counts)) or "an unknown number of"
            raise self._unsteady(
                f"{told} replicas serve, and `min_replicas` is {self._scaling.min_replicas}"
            )
        seen.must_be_fair()

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
            seen = self._prober.seen().between(began, _FOREVER)
            problem = watched.suffering(seen, self._live)
            steady = arrived is not None and counts[-1].asked - arrived >= steady_s
            if steady or problem or now - began > within_s + steady_s:
                return _Made(began, now, arrived, problem)
            time.sleep(_POLL_S)

    def _must_count(self) -> None:
        problem: CouldNotMeasure | None = self._counter.problem
        if problem:
            raise problem

    def _phase(self, name: str, made: _Made, until: float, whole: Observation) -> Phase:
        before = self._counter.said(0, made.began)[-1:]
        counts = self._counter.said(made.began, until)
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
