"""The fleet: brings what runs to what is wanted, one step after the other, for ever."""

import asyncio
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers.fleet import behaviour, steps
from readiness.servers.fleet.balancer import SLOTS, Balancer
from readiness.servers.fleet.launcher import Launcher, Replica, end, is_well

MOST: Final = SLOTS - 4
"""The most replicas; a rollout needs some slots more."""
_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to run.

    Attributes:
        release: what all replicas are to be.
        configuration: the release whose configuration they are to have.
        count: how many.
    """

    release: str
    configuration: str
    count: int

    def met_by(self, replica: Replica) -> bool:
        """Whether a replica is as it should be."""
        return (replica.release, replica.configuration) == (self.release, self.configuration)

    def like(self, other: "Goal") -> "Goal":
        """The same number of what another goal is of."""
        return replace(other, count=self.count)


class Fleet:
    """Replicas behind a balancer.

    Attributes:
        goal: what is to run.
        replicas: what runs, the oldest first.
        leaves_last_out: whether no user is led to the last replica that the goal needs.
    """

    def __init__(
        self, goal: Goal, balancer: Balancer, launcher: Launcher, behaviour_file: Path
    ) -> None:
        self.goal = goal
        self.replicas: list[Replica] = []
        self.leaves_last_out = False
        self.balancer = balancer
        self.launcher = launcher
        self._good = goal
        self._behaviour_file = behaviour_file
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def how(self) -> behaviour.Behaviour:
        """What it does wrong, now."""
        return behaviour.read(self._behaviour_file)

    @property
    def settled(self) -> bool:
        """Whether all is as it should be."""
        return self._settled.is_set()

    @property
    def serving(self) -> list[Replica]:
        """The replicas that users are led to."""
        return [replica for replica in self.replicas if replica.serves]

    @property
    def _is_last_missing(self) -> bool:
        """Whether the goal needs one replica more."""
        return sum(map(self.goal.met_by, self.serving)) == self.goal.count - 1

    @property
    def stale(self) -> list[Replica]:
        """Those that must give way, the oldest first."""
        found = [r for r in self.replicas if r.leaving or not self.goal.met_by(r)]
        return found[:-1] if self.how.one_stays_old else found

    async def reach(self, goal: Goal) -> bool:
        """Let this run; False if something else runs in the end."""
        self.want(goal)
        await self._settled.wait()
        return self.goal == self.goal.like(goal)

    def want(self, goal: Goal) -> None:
        """Let this run, and return at once; goes before what was wanted until now."""
        self.goal = goal
        self.look()

    def look(self) -> None:
        """There may be something to do."""
        self._settled.clear()
        self._changed.set()

    async def run(self) -> None:
        """Do what is to be done, for ever."""
        while True:
            self._changed.clear()
            try:
                busy = await steps.step(self)
            except (ReferenceSystemError, OSError, TimeoutError) as problem:
                sys.stderr.write(f"{problem!r}; again\n")
                await asyncio.sleep(_AGAIN_S)
                continue
            if not busy and not self._changed.is_set():
                self._settled.set()
                await self._changed.wait()

    async def add(self) -> Replica | None:
        """Start one more replica and lead to it; None if its release is no good."""
        goal = self.goal
        replica = await self.launcher.start(goal.release, goal.configuration)
        if not self.how.no_automatic_rollback and not await is_well(replica):
            await self.launcher.stop(replica, abruptly=True)
            self._take_back(goal)
            return None
        await self._lead_to(replica)
        self._good = goal
        return replica

    async def add_together(self, count: int) -> None:
        """Start so many more beside each other, and lead to all of them."""
        goal = self.goal
        starting = (self.launcher.start(goal.release, goal.configuration) for _ in range(count))
        for replica in await asyncio.gather(*starting):
            await self._lead_to(replica)

    async def let_go(self, replica: Replica) -> None:
        """Forget a replica that has ended."""
        replica.serves = False
        await self.balancer.lead_nowhere(replica.slot)
        if replica in self.replicas:
            self.replicas.remove(replica)

    async def _lead_to(self, replica: Replica) -> None:
        try:
            replica.slot = self.balancer.free_slot()
            await self.balancer.lead_to(replica.slot, replica.port)
            if self.leaves_last_out and self._is_last_missing:
                await self.balancer.drain(replica.slot)
        except BaseException:  # an interrupt too must leave nothing
            end(replica.process, signal.SIGKILL)
            raise
        replica.serves = True
        self.replicas.append(replica)
        self._watch(replica)

    def _take_back(self, goal: Goal) -> None:
        """Return to what last worked, unless something else is wanted meanwhile."""
        if self.goal == goal:
            self.goal = goal.like(self._good)
            if self.goal == goal:
                raise ReferenceSystemError("does not answer as it should", where=goal.release)

    def _watch(self, replica: Replica) -> None:
        task = asyncio.create_task(self._outlive(replica))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _outlive(self, replica: Replica) -> None:
        """Replace a replica that ends by itself."""
        await replica.process.wait()
        if not replica.leaving and replica in self.replicas:
            await self.let_go(replica)
            self.look()
