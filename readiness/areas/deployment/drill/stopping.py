"""Stops one replica while requests are under way that take a while."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.config import Deployment, SlowRequest
from readiness.areas.deployment.drill.keeping import Kept, kept
from readiness.areas.deployment.drill.watching import Watch, plan_of
from readiness.lib import command
from readiness.lib.drill.notes import Notes
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.prober import watched
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan, Sample
from readiness.lib.prober.prober import Prober, probing
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong

# Several for each replica, so that whichever is stopped has some; and in no simple ratio to what
# else is asked: a balancer that leads to one after the other would lead them all to the same one.
_SLOW_PER_S: Final = 11.0
_SLOW_TIMEOUT_S: Final = 30.0
_SLOW_ENOUGH_S: Final = 0.5
_FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of the requests while a replica was stopped.

    Attributes:
        began: when it was told to stop, on the clock `time.monotonic`.
        stop_s: seconds until the command ended.
        back_s: seconds until all replicas served again; None if that was not seen.
        under_way: the slow requests that were under way when it was told to stop.
        slow: all slow requests.
        others: all quick ones, of a prober beside them.
    """

    began: float
    stop_s: float
    back_s: float | None
    under_way: tuple[Sample, ...]
    slow: Observation
    others: Observation

    @property
    def is_starved(self) -> bool:
        """Whether nothing is known but that this machine did too much else at the time."""
        starved = bool(self.slow.starved or self.others.starved)
        wrong = self.slow.failed or self.others.failed or self.back_s is None
        return starved and not wrong


def stopped(deployment: Deployment, slow: SlowRequest, adapter: Adapter, safety: Safety) -> Stopped:
    """Stop one, and wait until all serve again.

    Raises:
        NoData: no request was under way, none of them was slow, or nothing shows that a replica
            was stopped that had one of them.
        CouldNotMeasure: the service is not steady before, the command fails, or somebody else
            drills.
    """
    with (
        alone(safety),
        probing(plan_of(deployment)) as prober,
        probing(_slow_plan(deployment, slow)) as slowly,
    ):
        origin = Watch(deployment, prober).given(adapter).versions[0]
        with kept(deployment, adapter, origin, safety) as keeping:
            _reach_all(deployment, slowly)
            began, ended = _stop(slow, keeping)
            back = _back(deployment, adapter, prober, began)
            settled = time.monotonic()
            watched.steadily(prober, deployment, settled)
            keeping.put_back(there=back is not None)
        whole, slow_ones = prober.stop(), slowly.stop()
    gone = _gone(whole, deployment, began, settled)
    under_way = tuple(s for s in slow_ones.samples if s.sent < began < s.ended)
    _must_be_slow(under_way, slow_ones)
    if not slow_ones.failed:
        _must_have_met(under_way, gone, deployment)
    return Stopped(
        began=began,
        stop_s=ended - began,
        back_s=None if back is None else back - began,
        under_way=under_way,
        slow=slow_ones,
        others=whole.between(began, _FOREVER),
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
    """Wait until every replica has answered a slow request, as far as anybody can tell."""
    many = deployment.replicas if deployment.replica_header else 0

    def enough(seen: Observation) -> bool:
        answered = any(not sample.failed for sample in seen.samples)
        return answered and len(seen.replicas) >= many

    try:
        slowly.wait(enough, _SLOW_TIMEOUT_S)
    except TookTooLong:
        seen = slowly.seen()
        told = listed(dict.fromkeys(s.problem for s in seen.failed)) or listed(seen.replicas)
        raise NoData(
            f"not every replica answered a slow request within {_SLOW_TIMEOUT_S:g} s, before"
            f" anything was stopped: {told}",
            where=slowly.plan.url,
            remedy="let `path` of [deployment.slow_request] be answered by every replica",
        ) from None


def _stop(slow: SlowRequest, keeping: Kept) -> tuple[float, float]:
    """When the command began and ended; requests are under way by then."""
    began = time.monotonic()
    _run(slow, keeping.notes)
    return began, time.monotonic()


def _run(slow: SlowRequest, notes: Notes) -> None:
    remedy = "run it by hand; see [deployment.slow_request]"
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


def _back(deployment: Deployment, adapter: Adapter, prober: Prober, began: float) -> float | None:
    """When all replicas served again; None if they did not, or nobody can tell."""
    deadline = began + deployment.change_within_s
    while time.monotonic() < deadline:
        asked = time.monotonic()
        count, busy = adapter.replicas(), adapter.under_way()
        if count is None:
            recent = prober.seen().between(asked - deployment.steady_s, _FOREVER)
            count = len(recent.replicas) if asked - began > deployment.steady_s else 0
        if count >= deployment.replicas and not busy:
            return asked
        time.sleep(deployment.steady_s / 10)
    return None


def _gone(whole: Observation, deployment: Deployment, began: float, settled: float) -> set[str]:
    """The replicas that answer no more; empty where answers do not tell who gave them."""
    if not deployment.replica_header:
        return set()
    before = set(whole.between(0.0, began).replicas)
    gone = before - set(whole.between(settled, _FOREVER).replicas)
    if not gone:
        raise NoData(
            "the same replicas answer as before: nothing shows that one was stopped",
            where="[deployment.slow_request] stop_one",
            remedy="let it stop a replica that serves, as a deployment does",
        )
    return gone


def _must_have_met(under_way: Sequence[Sample], gone: set[str], deployment: Deployment) -> None:
    """Where nothing was lost, the replica that was stopped must have had something to lose."""
    if not deployment.replica_header:
        raise NoData(
            "nothing was lost, and nobody knows whether the replica that was stopped had a request"
            " under way",
            where="[deployment] replica_header",
            remedy="name the header that tells which replica answered",
        )
    if not any(sample.replica in gone for sample in under_way):
        raise NoData(
            f"no slow request was under way at {listed(sorted(gone))} when it was stopped: it had"
            " nothing to lose",
            where="[deployment.slow_request]",
            remedy="let `path` take longer than `stop_one` does, and do it again",
        )


def _must_be_slow(under_way: tuple[Sample, ...], slow: Observation) -> None:
    if not under_way or slow.latency_s(0.5) < _SLOW_ENOUGH_S:
        raise NoData(
            f"it is answered in {slow.latency_s(0.5):.2f} s, and {len(under_way)} of them were"
            " under way when the replica was stopped: too few to tell anything",
            where=slow.plan.url,
            remedy="let `path` of [deployment.slow_request] take a second or more",
        )
