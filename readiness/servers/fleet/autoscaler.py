"""Lets as many replicas run as the requests of users ask for, a few more or fewer at a time."""

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
"""Requests a second that one replica is meant to answer."""

_TOLERANCE: Final = 0.1
_TICK_S: Final = 0.5
_AVERAGE_TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly it goes.

    Attributes:
        up_pods: so many more, at most, in each period.
        up_s: the period, in seconds from the end of the last change.
        down_pods: so many fewer.
        down_s: the same for these.
        hold_s: for so long must fewer be enough before there are fewer.
        leaps: whether it starts all that there may be, where any more are wished for.
        overshoots: whether it stops more than are too many.
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
    """How many replicas a rate of requests, in 1/s, asks for when so many run."""
    if abs(rate / (PER_REPLICA * count) - 1) <= _TOLERANCE:
        return count
    return max(LEAST, min(MOST, math.ceil(rate / PER_REPLICA)))


@dataclass(slots=True)
class Autoscaler:
    """Decides, from what was wanted lately and when the last change was over."""

    _wishes: list[tuple[float, int]] = field(default_factory=list)
    _changed: float = -math.inf

    def busy(self, now: float) -> None:
        """A change is under way."""
        self._changed = now

    def next(self, now: float, wish: int, count: int, pace: Pace) -> int:
        """How many are to run, where so many run and so many are wished for."""
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
    """Watch the rate of requests for ever."""
    scaler = Autoscaler()
    seen: deque[tuple[float, int]] = deque(maxlen=_AVERAGE_TICKS + 1)
    while True:
        await asyncio.sleep(_TICK_S)
        try:
            seen.append((time.monotonic(), await fleet.balancer.requests()))
        except (OSError, TimeoutError):
            continue  # it is being started anew
        (began, before), (now, after) = seen[0], seen[-1]
        if after < before:  # so it was
            seen.clear()
        if not fleet.settled:
            scaler.busy(now)
        elif len(seen) > _AVERAGE_TICKS:
            count = fleet.goal.count
            wish = wanted((after - before) / (now - began), count)
            chosen = scaler.next(now, wish, count, PACES[fleet.how.scaler])
            if chosen != count:
                # It may be over before the next look.
                scaler.busy(now)
                fleet.want(replace(fleet.goal, count=chosen))
