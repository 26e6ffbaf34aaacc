"""Sets the number of replicas by the rate of user requests, a few at a time."""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from readiness.servers.fleet.behaviour import Scaler
from readiness.servers.fleet.fleet import Fleet

LEAST: Final = 3
MOST: Final = 8
PER_REPLICA: Final = 20.0
"""Requests per second that one replica is meant to serve."""

_TOLERANCE: Final = 0.1
_TICK_S: Final = 0.5
_AVERAGE_TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the autoscaler adds and removes replicas.

    Attributes:
        up_pods: most replicas added in one period.
        up_s: seconds between the end of a change and the next addition.
        down_pods: most replicas removed in one period.
        down_s: seconds between the end of a change and the next removal.
        hold_s: seconds for which fewer must be enough before any is removed.
        leaps: whether it scales to the maximum as soon as more are wanted.
        overshoots: whether it may remove more than the surplus.
    """

    up_pods: int = 2
    up_s: float = 2
    down_pods: int = 1
    down_s: float = 2
    hold_s: float = 2
    leaps: bool = False
    overshoots: bool = False


PACES: Final = {
    Scaler.NORMAL: Pace(),
    Scaler.NONE: Pace(up_pods=0, down_pods=0),
    Scaler.HASTY: Pace(up_s=0, down_pods=MOST, down_s=0, hold_s=0, leaps=True),
    Scaler.GREEDY: Pace(up_s=0, leaps=True),
    Scaler.STUCK: Pace(down_pods=0),
    Scaler.OVERSHOOTING: Pace(down_pods=2, overshoots=True),
    Scaler.SLOW: Pace(up_s=120, down_s=120, hold_s=120),
}


def wanted(rate: float, count: int) -> int:
    """Number of replicas for a rate of requests per second, when `count` are running."""
    if abs(rate / (PER_REPLICA * count) - 1) <= _TOLERANCE:
        return count
    return max(LEAST, min(MOST, math.ceil(rate / PER_REPLICA)))


@dataclass(slots=True)
class Autoscaler:
    """Decides from the recently wanted numbers and the time of the last change."""

    _wishes: list[tuple[float, int]] = field(default_factory=list)
    _changed: float = -math.inf

    def busy(self, now: float) -> None:
        """Record that a change is in progress."""
        self._changed = now

    def next(self, now: float, wish: int, count: int, pace: Pace) -> int:
        """The number of replicas to run, when `count` are running and `wish` are wanted."""
        self._wishes = [(at, n) for at, n in self._wishes if now - at <= pace.hold_s]
        self._wishes.append((now, wish))
        enough = max(n for _, n in self._wishes)
        since = now - self._changed
        if wish > count and since >= pace.up_s:
            return MOST if pace.leaps else min(wish, count + pace.up_pods)
        if enough < count and since >= pace.down_s:
            return max(0 if pace.overshoots else enough, count - pace.down_pods)
        return count


async def autoscale(fleet: Fleet) -> None:
    """Adjust the fleet's goal to the rate of requests, until it is canceled."""
    scaler = Autoscaler()
    seen: deque[tuple[float, int]] = deque(maxlen=_AVERAGE_TICKS + 1)
    while True:
        await asyncio.sleep(_TICK_S)
        try:
            seen.append((time.monotonic(), await fleet.balancer.requests()))
        except (OSError, TimeoutError):
            continue  # HAProxy is being restarted
        (began, before), (now, after) = seen[0], seen[-1]
        if after < before:  # HAProxy was restarted and counts from zero
            seen.clear()
        if not fleet.settled:
            scaler.busy(now)
        elif len(seen) > _AVERAGE_TICKS:
            count = fleet.goal.count
            wish = wanted((after - before) / (now - began), count)
            chosen = scaler.next(now, wish, count, PACES[fleet.behaviour.scaler])
            if chosen != count:
                # The change may be complete before the next tick.
                scaler.busy(now)
                fleet.set_goal(replace(fleet.goal, count=chosen))
