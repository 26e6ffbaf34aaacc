"""The control loop: compares the replicas that run with the goal, and changes one thing at a time.

The faulty ways to do so are here too: see `Behaviour`.
"""

import asyncio
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers.fleet import behaviour
from readiness.servers.fleet.balancer import SLOTS, Balancer
from readiness.servers.fleet.behaviour import Behaviour, Rollout
from readiness.servers.fleet.replica import Launcher, Replica, is_well, signal_to

MOST: Final = SLOTS - 4
"""The most replicas; a rollout needs a few more slots."""
_RETRY_S: Final = 0.5
_DRAIN_S: Final = 30.0
_POLL_S: Final = 0.02
# For this long HAProxy routes to a replica that is gone, as one with periodic checks would.
_LATE_S: Final = 0.5
# Longer than users wait.
_STALL_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Goal:
    """What must run.

    Attributes:
        release: the release of all replicas.
        configuration: the release whose configuration they have.
        count: number of replicas.
    """

    release: str
    configuration: str
    count: int

    def met_by(self, replica: Replica) -> bool:
        """Whether a replica has this release and configuration."""
        return (replica.release, replica.configuration) == (self.release, self.configuration)

    def like(self, other: "Goal") -> "Goal":
        """The other goal's release and configuration, with the count of this one."""
        return replace(other, count=self.count)


class Fleet:
    """Replicas behind a balancer.

    Attributes:
        goal: what must run.
        replicas: what runs, the oldest first.
        drains_last: a fault: the last replica that the goal needs receives no users.
    """

    def __init__(
        self, goal: Goal, balancer: Balancer, launcher: Launcher, behaviour_file: Path
    ) -> None:
        self.goal = goal
        self.replicas: list[Replica] = []
        self.drains_last = False
        self.balancer = balancer
        self.launcher = launcher
        self._last_good = goal
        self._behaviour_file = behaviour_file
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def behaviour(self) -> Behaviour:
        """The faults that it has now."""
        return behaviour.read(self._behaviour_file)

    @property
    def settled(self) -> bool:
        """Whether the goal is reached."""
        return self._settled.is_set()

    @property
    def serving(self) -> list[Replica]:
        """The replicas that receive users."""
        return [replica for replica in self.replicas if replica.serves]

    @property
    def stale(self) -> list[Replica]:
        """The replicas to replace, the oldest first."""
        found = [r for r in self.replicas if r.leaving or not self.goal.met_by(r)]
        return found[:-1] if self.behaviour.one_stays_old else found

    async def reach(self, goal: Goal) -> bool:
        """Set the goal and wait; False if the fleet settles on another release."""
        self.set_goal(goal)
        await self._settled.wait()
        return self.goal == self.goal.like(goal)

    def set_goal(self, goal: Goal) -> None:
        """Replace the goal, even while an earlier one is not reached yet."""
        self.goal = goal
        self.wake()

    def wake(self) -> None:
        """Let the control loop compare again."""
        self._settled.clear()
        self._changed.set()

    async def run(self) -> None:
        """Run the control loop until it is canceled."""
        while True:
            self._changed.clear()
            try:
                changed = await _step(self)
            except (ReferenceSystemError, OSError, TimeoutError) as problem:
                sys.stderr.write(f"{problem!r}; retrying\n")
                await asyncio.sleep(_RETRY_S)
                continue
            if not changed and not self._changed.is_set():
                self._settled.set()
                await self._changed.wait()

    async def add(self) -> Replica | None:
        """Start one more replica and route to it; None if its release does not work."""
        goal = self.goal
        replica = await self.launcher.start(goal.release, goal.configuration)
        if not self.behaviour.no_automatic_rollback and not await is_well(replica):
            await self.launcher.stop(replica, abruptly=True)
            self._roll_back(goal)
            return None
        await self._route_to(replica)
        self._last_good = goal
        return replica

    async def add_together(self, count: int) -> None:
        """Start several replicas in parallel and route to all of them."""
        goal = self.goal
        starting = (self.launcher.start(goal.release, goal.configuration) for _ in range(count))
        for replica in await asyncio.gather(*starting):
            await self._route_to(replica)

    async def forget(self, replica: Replica) -> None:
        """Remove a replica that has ended from the balancer and the list."""
        replica.serves = False
        await self.balancer.disable(replica.slot)
        if replica in self.replicas:
            self.replicas.remove(replica)

    async def _route_to(self, replica: Replica) -> None:
        try:
            replica.slot = self.balancer.free_slot()
            await self.balancer.enable(replica.slot, replica.port)
            missing = self.goal.count - sum(map(self.goal.met_by, self.serving))
            if self.drains_last and missing == 1:
                await self.balancer.drain(replica.slot)
        except BaseException:  # an interrupt too must leave nothing
            signal_to(replica.process, signal.SIGKILL)
            raise
        replica.serves = True
        self.replicas.append(replica)
        task = asyncio.create_task(self._watch(replica))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def _roll_back(self, goal: Goal) -> None:
        """Return to the last working release, unless the goal has changed meanwhile."""
        if self.goal == goal:
            self.goal = goal.like(self._last_good)
            if self.goal == goal:
                raise ReferenceSystemError("it answers with errors", where=goal.release)

    async def _watch(self, replica: Replica) -> None:
        """Let the loop replace a replica that ends by itself."""
        await replica.process.wait()
        if not replica.leaving and replica in self.replicas:
            await self.forget(replica)
            self.wake()


async def dismiss(fleet: Fleet, replica: Replica) -> None:
    """Stop a replica as an orchestrator does: it gets SIGTERM while it still serves users."""
    replica.leaving, replica.serves = True, False
    fleet.replicas.remove(replica)
    fleet.wake()  # so that a replacement starts meanwhile
    await fleet.balancer.drain(replica.slot)
    await fleet.launcher.stop(replica, abruptly=fleet.behaviour.abrupt_stop)
    await fleet.forget(replica)


async def _step(fleet: Fleet) -> bool:
    """Change one thing; False if the goal is reached."""
    how, stale = fleet.behaviour, fleet.stale
    missing = fleet.goal.count - len(fleet.replicas)
    if stale and how.rollout is Rollout.RECREATE:
        await asyncio.gather(*(_remove(fleet, replica) for replica in stale))
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


async def _remove(fleet: Fleet, replica: Replica) -> None:
    """Drain a replica, wait for its open requests, and stop it."""
    replica.leaving, replica.serves = True, False
    await fleet.balancer.drain(replica.slot)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DRAIN_S
    while await fleet.balancer.open_requests(replica.slot) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)
    await fleet.launcher.stop(replica, abruptly=fleet.behaviour.abrupt_stop)
    await fleet.forget(replica)


async def _replace(fleet: Fleet, old: Replica) -> None:
    how = fleet.behaviour
    if how.unavailable:
        if len(fleet.replicas) > fleet.goal.count - how.unavailable:
            await _remove(fleet, old)
        else:
            await fleet.add()
        return
    if how.rollout is Rollout.STALL and not any(map(fleet.goal.met_by, fleet.replicas)):
        await _stall(fleet)
    if len(fleet.replicas) <= fleet.goal.count and await fleet.add() is None:
        return
    await (_kill if how.rollout is Rollout.LATE else _remove)(fleet, old)
    if how.rollout is Rollout.CLOSED:
        await fleet.balancer.restart()


async def _shrink(fleet: Fleet, surplus: list[Replica]) -> None:
    """Stop the newest replica, or the whole surplus where that is the fault."""
    how = fleet.behaviour
    chosen = surplus if how.scaler.stops_together else surplus[-1:]
    stop = _kill if how.shrinks_late else _remove
    await asyncio.gather(*(stop(fleet, replica) for replica in chosen))


async def _kill(fleet: Fleet, replica: Replica) -> None:
    """Kill a replica, and disable it in the balancer half a second later."""
    replica.leaving = True
    await fleet.launcher.stop(replica, abruptly=True)
    await asyncio.sleep(_LATE_S)
    await fleet.forget(replica)


async def _stall(fleet: Fleet) -> None:
    paused = list(fleet.replicas)
    for replica in paused:
        signal_to(replica.process, signal.SIGSTOP)
    try:
        await asyncio.sleep(_STALL_S)
    finally:
        for replica in paused:
            signal_to(replica.process, signal.SIGCONT)
