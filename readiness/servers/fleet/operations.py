"""What one may ask of the fleet, and the ways in which it may not do as it says."""

import asyncio
from dataclasses import replace

from readiness.servers.fleet import notes, releases, steps
from readiness.servers.fleet.fleet import MOST, Fleet, Goal
from readiness.servers.fleet.launcher import ask


class Operations:
    """Asks the fleet for something, and waits until it is done."""

    def __init__(self, fleet: Fleet, base: Goal) -> None:
        self._fleet = fleet
        self._base = base
        self._left: set[str] = set()
        self._turn = 0

    async def deploy(self, release: str) -> bool:
        """Let all replicas be a release; False if they are something else in the end."""
        self._turn += 1
        how = self._fleet.how
        if how.does_nothing:
            return True
        again = release in self._left
        if how.redeploy_fails and again:
            return False
        keeps = how.redeploy_keeps_configuration and again
        return await self._roll(release, self._fleet.goal.configuration if keeps else release)

    async def rollback(self, release: str) -> bool:
        """Return to a release; False if that does not succeed."""
        self._turn += 1
        turn, how, now = self._turn, self._fleet.how, self._fleet.goal
        if how.does_nothing or how.rollback_changes_nothing:
            return True
        await asyncio.sleep(how.rollback_wait_s)
        if how.rollback_fails or turn != self._turn:
            return False
        self._left.add(now.release)
        keeps = how.rollback_keeps_configuration
        self._fleet.leaves_last_out = how.rollback_leaves_one_out
        done = await self._roll(release, now.configuration if keeps else release)
        self._fleet.leaves_last_out = False
        if how.rollback_drops_data:
            await notes.run(release, "remove-newer")
        return done

    async def reset(self) -> bool:
        """Return to how it was at first."""
        self._turn += 1
        self._left.clear()
        return await self._fleet.reach(self._base)

    async def scale(self, count: int) -> bool:
        """Let so many replicas run."""
        wanted = max(1, min(count, MOST))
        await self._fleet.reach(replace(self._fleet.goal, count=wanted))
        return wanted == count

    async def stop_one(self) -> bool:
        """Stop the oldest replica that serves, while it serves; another takes its place."""
        if not (serving := self._fleet.serving):
            return False
        if self._fleet.how.stop_leaves_fewer:
            goal = self._fleet.goal
            self._fleet.want(replace(goal, count=goal.count - 1))
        await steps.dismiss(self._fleet, serving[0])
        return await self._fleet.reach(self._fleet.goal)

    async def state(self) -> list[str]:
        """The configuration that runs, as NAME=value; each value that there is."""
        found = {
            f"{name}={value}"
            for replica in self._fleet.serving
            for name, value in (await ask(replica.port, "/config"))[1].items()
        }
        return sorted(found)

    async def _roll(self, release: str, configuration: str) -> bool:
        if release not in releases.CONFIGURATIONS:
            return False
        goal = Goal(release, configuration, self._fleet.goal.count)
        return await self._fleet.reach(goal)
