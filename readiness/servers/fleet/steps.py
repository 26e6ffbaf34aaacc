"""One step from what runs to what is wanted; the careless ways are here too."""

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from readiness.servers.fleet.behaviour import Rollout
from readiness.servers.fleet.launcher import Replica, end

if TYPE_CHECKING:
    from readiness.servers.fleet.fleet import Fleet

_DRAIN_S: Final = 30.0
_POLL_S: Final = 0.02
# For so long a balancer leads to a replica that is gone, as one that checks it now and then does.
_LATE_S: Final = 0.5
# Longer than users wait.
_STALL_S: Final = 2.5


async def step(fleet: "Fleet") -> bool:
    """Do one thing that is to be done; False if there is none."""
    how, stale = fleet.how, fleet.stale
    missing = fleet.goal.count - len(fleet.replicas)
    if stale and how.rollout is Rollout.RECREATE:
        await asyncio.gather(*(remove(fleet, replica) for replica in stale))
    elif missing > 1 and not stale and how.scaler.starts_together:
        await fleet.add_together(missing)
    elif missing > (how.unavailable if stale else 0):
        await fleet.add()
    elif stale:
        await _replace(fleet, stale[0])
        await asyncio.sleep(how.pause_s)
    elif missing < 0:
        await _shrink(fleet, fleet.replicas[missing:])
    else:
        return False
    return True


async def remove(fleet: "Fleet", replica: Replica) -> None:
    """Stop one replica: nobody is led to it, what is under way ends, and then it ends."""
    replica.leaving, replica.serves = True, False
    await fleet.balancer.drain(replica.slot)
    await _idle(fleet, replica)
    await fleet.launcher.stop(replica, abruptly=fleet.how.abrupt_stop)
    await fleet.let_go(replica)


async def dismiss(fleet: "Fleet", replica: Replica) -> None:
    """Stop one replica as an orchestrator does: it is told to end while users wait for it."""
    replica.leaving, replica.serves = True, False
    fleet.replicas.remove(replica)
    fleet.look()  # another one is started meanwhile
    await fleet.balancer.drain(replica.slot)
    await fleet.launcher.stop(replica, abruptly=fleet.how.abrupt_stop)
    await fleet.let_go(replica)


async def _idle(fleet: "Fleet", replica: Replica) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DRAIN_S
    while await fleet.balancer.under_way(replica.slot) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)


async def _replace(fleet: "Fleet", old: Replica) -> None:
    how = fleet.how
    if how.unavailable:
        if len(fleet.replicas) > fleet.goal.count - how.unavailable:
            await remove(fleet, old)
        else:
            await fleet.add()
        return
    if how.rollout is Rollout.STALL and not any(map(fleet.goal.met_by, fleet.replicas)):
        await _stall(fleet)
    if len(fleet.replicas) <= fleet.goal.count and await fleet.add() is None:
        return
    if how.rollout is Rollout.LATE:
        await _lose(fleet, old)
    else:
        await remove(fleet, old)
    if how.rollout is Rollout.CLOSED:
        await fleet.balancer.renew()


async def _shrink(fleet: "Fleet", surplus: list[Replica]) -> None:
    """Stop the newest, or all of those that are too many."""
    how = fleet.how
    chosen = surplus if how.scaler.stops_together else surplus[-1:]
    way = _lose if how.shrinks_late else remove
    await asyncio.gather(*(way(fleet, replica) for replica in chosen))


async def _lose(fleet: "Fleet", replica: Replica) -> None:
    """Stop one replica, and tell the balancer afterwards."""
    replica.leaving = True
    await fleet.launcher.stop(replica, abruptly=True)
    await asyncio.sleep(_LATE_S)
    await fleet.let_go(replica)


async def _stall(fleet: "Fleet") -> None:
    held = list(fleet.replicas)
    for replica in held:
        end(replica.process, signal.SIGSTOP)
    try:
        await asyncio.sleep(_STALL_S)
    finally:
        for replica in held:
            end(replica.process, signal.SIGCONT)
