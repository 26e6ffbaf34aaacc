"""Stops one replica while slow requests are under way."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.config import Deployment, SlowRequest
from readiness.areas.deployment.drill.change import Watch, plan_of
from readiness.areas.deployment.drill.restoring import kept
from readiness.lib import command
from readiness.lib.drill.safety import Notes, Safety, alone
from readiness.lib.prober import watched
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan, Sample
from readiness.lib.prober.prober import Prober, probing
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong

# Several for each replica, so that the stopped one has some; and not in a simple ratio to the
# other requests, or a round-robin balancer would send all of them to the same replica.
_SLOW_PER_S: Final = 11.0
_SLOW_TIMEOUT_S: Final = 30.0
_SLOW_ENOUGH_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stopped:
    """The requests while a replica was stopped.

    Attributes:
        stop_s: seconds until the command to stop it ended.
        back_s: seconds until all replicas served again; None if that was not seen.
        under_way: the slow requests that were under way when the command began.
        slow: all slow requests.
        others: all quick ones, of a second prober.
    """

    stop_s: float
    back_s: float | None
    under_way: tuple[Sample, ...]
    slow: Observation
    others: Observation

    @property
    def is_starved(self) -> bool:
        """Whether all that went wrong is that this machine was too busy to probe."""
        starved = bool(self.slow.starved or self.others.starved)
        wrong = self.slow.failed or self.others.failed or self.back_s is None
        return starved and not wrong


def stopped(deployment: Deployment, slow: SlowRequest, adapter: Adapter, safety: Safety) -> Stopped:
    """Stop a replica, and wait until all serve again.

    Raises:
        NoData: no slow request was under way, or nothing shows that the stopped replica had one.
        CouldNotMeasure: the service is not steady before, the command fails, or another drill
            runs.
    """
    with (
        alone(safety),
        probing(plan_of(deployment)) as prober,
        probing(_slow_plan(deployment, slow)) as slowly,
    ):
        origin = Watch(deployment, prober).given(adapter).versions[0]
        with kept(deployment, adapter, origin, safety) as keeping:
            _reach_all(deployment, slowly)
            began, ended = _stop(slow, keeping.notes)
            back = _back(deployment, adapter, prober, began)
            settled = time.monotonic()
            watched.steadily(prober, deployment, settled)
            keeping.restore_all(there=back is not None)
        whole, slow_ones = prober.stop(), slowly.stop()
    gone = _gone(whole, deployment, began, settled)
    under_way = tuple(s for s in slow_ones.samples if s.sent < began < s.ended)
    _must_be_slow(under_way, slow_ones)
    if not slow_ones.failed:
        _must_have_met(under_way, gone, deployment)
    return Stopped(
        stop_s=ended - began,
        back_s=None if back is None else back - began,
        under_way=under_way,
        slow=slow_ones,
        others=whole.between(began),
    )


def _slow_plan(deployment: Deployment, slow: SlowRequest) -> Plan:
    plan = plan_of(deployment)
    parts = urlsplit(plan.url)
    return plan.model_copy(
        update={
            "url": f"{parts.scheme}://{parts.netloc}{slow.path}",
            "rate_per_s": _SLOW_PER_S,
            "timeout_s": _SLOW_TIMEOUT_S,
            "version_key": "",
            "connections": 2 * int(_SLOW_PER_S),
        }
    )


def _reach_all(deployment: Deployment, slowly: Prober) -> None:
    """Wait until every replica has answered a slow request, by `replica_header`."""
    many = deployment.replicas if deployment.replica_header else 0

    def enough(seen: Observation) -> bool:
        answered = any(not sample.failed for sample in seen.samples)
        return answered and len(seen.replicas) >= many

    try:
        slowly.wait(enough, _SLOW_TIMEOUT_S)
    except TookTooLong:
        seen = slowly.seen()
        found = listed(dict.fromkeys(s.problem for s in seen.failed)) or listed(seen.replicas)
        raise NoData(
            f"only some replicas answered a slow request within {_SLOW_TIMEOUT_S:g} s, so that none"
            f" was stopped: {found}",
            where=slowly.plan.url,
            remedy="set `path` in [deployment.slow_request] to one that every replica answers",
        ) from None


def _stop(slow: SlowRequest, notes: Notes) -> tuple[float, float]:
    """When the command began and ended."""
    began, remedy = time.monotonic(), "run it by hand; see [deployment.slow_request]"
    with command.started(slow.stop_one, "stop one replica", remedy) as running:
        notes.tool(running.pid)
        try:
            answer = running.wait(command.TIMEOUT_S)
        finally:
            notes.tool(None)
    if answer.status:
        raise CouldNotMeasure(
            f"the command to stop one replica ended with {answer.status}: {answer.said}",
            where=" ".join(slow.stop_one),
            remedy=remedy,
        )
    return began, time.monotonic()


def _back(deployment: Deployment, adapter: Adapter, prober: Prober, began: float) -> float | None:
    """When all replicas served again; None if they did not in time."""
    deadline = began + deployment.change_within_s
    while time.monotonic() < deadline:
        asked = time.monotonic()
        count, busy = adapter.replicas(), adapter.under_way()
        if count is None:
            recent = prober.seen().between(asked - deployment.steady_s)
            count = len(recent.replicas) if asked - began > deployment.steady_s else 0
        if count >= deployment.replicas and not busy:
            return asked
        time.sleep(deployment.steady_s / 10)
    return None


def _gone(whole: Observation, deployment: Deployment, began: float, settled: float) -> set[str]:
    """The replicas that no longer answer; empty if answers do not name their replica."""
    if not deployment.replica_header:
        return set()
    before = set(whole.between(0.0, began).replicas)
    gone = before - set(whole.between(settled).replicas)
    if not gone:
        raise NoData(
            "the same replicas answer as before, so that nothing shows that one was stopped",
            where="[deployment.slow_request] stop_one",
            remedy="set it to a command that stops a serving replica, as a deployment does",
        )
    return gone


def _must_have_met(under_way: Sequence[Sample], gone: set[str], deployment: Deployment) -> None:
    """If no request was lost, the stopped replica must have had one under way."""
    if not deployment.replica_header:
        raise NoData(
            "no request was lost, but it is unknown whether the stopped replica had one under way",
            where="[deployment] replica_header",
            remedy="set it to the response header that names the replica",
        )
    if not any(sample.replica in gone for sample in under_way):
        raise NoData(
            f"no slow request was under way at {listed(sorted(gone))} when it was stopped",
            where="[deployment.slow_request]",
            remedy="set `path` to one that takes longer than `stop_one` does",
        )


def _must_be_slow(under_way: tuple[Sample, ...], slow: Observation) -> None:
    if not under_way or slow.latency_s(0.5) < _SLOW_ENOUGH_S:
        raise NoData(
            f"it takes {slow.latency_s(0.5):.2f} s, and {len(under_way)} were under way when the"
            " replica was stopped: too few to judge",
            where=slow.plan.url,
            remedy="set `path` in [deployment.slow_request] to one that takes a second or more",
        )
