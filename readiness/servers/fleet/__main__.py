"""The process that runs the fleet: `python -m readiness.servers.fleet PORT SETTINGS`.

Its HTTP interface is what `tool` calls. A POST is answered when its change is complete; the change
continues if the client disconnects.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path

from readiness.servers.fleet import releases
from readiness.servers.fleet.autoscaler import autoscale
from readiness.servers.fleet.balancer import Balancer
from readiness.servers.fleet.behaviour import FILE, Settings
from readiness.servers.fleet.fleet import MOST, Fleet, Goal, dismiss
from readiness.servers.fleet.replica import Launcher
from readiness.servers.fleet.web import Reply, Request, Server, get


class Operations:
    """The changes that can be requested. Each returns whether it succeeded, once it is complete."""

    def __init__(self, fleet: Fleet, base: Goal) -> None:
        self._fleet = fleet
        self._base = base
        self._rolled_back: set[str] = set()
        self._turn = 0

    async def deploy(self, release: str) -> bool:
        """Replace all replicas by a release."""
        self._turn += 1
        behaviour = self._fleet.behaviour
        if behaviour.does_nothing:
            return True
        again = release in self._rolled_back
        if behaviour.redeploy_fails and again:
            return False
        keeps = behaviour.redeploy_keeps_configuration and again
        return await self._roll(release, self._fleet.goal.configuration if keeps else release)

    async def rollback(self, release: str) -> bool:
        """Return to a release."""
        self._turn += 1
        turn, behaviour, now = self._turn, self._fleet.behaviour, self._fleet.goal
        if behaviour.does_nothing or behaviour.rollback_changes_nothing:
            return True
        await asyncio.sleep(behaviour.rollback_wait_s)
        if behaviour.rollback_fails or turn != self._turn:
            return False
        self._rolled_back.add(now.release)
        keeps = behaviour.rollback_keeps_configuration
        self._fleet.drains_last = behaviour.rollback_leaves_one_out
        done = await self._roll(release, now.configuration if keeps else release)
        self._fleet.drains_last = False
        if behaviour.rollback_drops_data:
            await releases.run(release, "remove-newer")
        return done

    async def reset(self) -> bool:
        """Return to the release and the number of replicas that the fleet started with."""
        self._turn += 1
        self._rolled_back.clear()
        return await self._fleet.reach(self._base)

    async def scale(self, count: int) -> bool:
        """Set the number of replicas."""
        possible = max(1, min(count, MOST))
        await self._fleet.reach(replace(self._fleet.goal, count=possible))
        return possible == count

    async def stop_one(self) -> bool:
        """Stop the oldest serving replica under load; another one replaces it."""
        if not (serving := self._fleet.serving):
            return False
        if self._fleet.behaviour.stop_leaves_fewer:
            goal = self._fleet.goal
            self._fleet.set_goal(replace(goal, count=goal.count - 1))
        await dismiss(self._fleet, serving[0])
        return await self._fleet.reach(self._fleet.goal)

    async def state(self) -> list[str]:
        """The configuration of the serving replicas, as NAME=value, every distinct value."""
        found = {
            f"{name}={value}"
            for replica in self._fleet.serving
            for name, value in (await get(replica.port, "/config"))[1].items()
        }
        return sorted(found)

    async def _roll(self, release: str, configuration: str) -> bool:
        if release not in releases.CONFIGURATIONS:
            return False
        goal = Goal(release, configuration, self._fleet.goal.count)
        return await self._fleet.reach(goal)


class Control:
    """The HTTP interface."""

    def __init__(self, fleet: Fleet, operations: Operations) -> None:
        self._fleet = fleet
        self._operations = operations
        self._changes: set[asyncio.Task[bool]] = set()

    async def answer(self, request: Request) -> Reply:
        """GET reads the status, POST changes something."""
        action, _, argument = request.path.strip("/").partition("/")
        if request.method == "GET":
            return await self._status(action)
        change = self._change(action, argument)
        return Reply({"error": "not found"}, 404) if change is None else await self._finish(change)

    def _change(self, action: str, argument: str) -> Coroutine[None, None, bool] | None:
        if action == "scale" and argument.isdigit():
            return self._operations.scale(int(argument))
        with_release = {"deploy": self._operations.deploy, "rollback": self._operations.rollback}
        if action in with_release:
            return with_release[action](argument)
        alone = {"stop-one": self._operations.stop_one, "reset": self._operations.reset}
        return alone[action]() if action in alone else None

    async def _status(self, view: str) -> Reply:
        fleet = self._fleet
        if view == "state":
            return Reply({"state": await self._operations.state()})
        ready = bool(fleet.serving) and (view != "settled" or fleet.settled)
        return Reply(
            {
                "url": f"http://127.0.0.1:{fleet.balancer.port}",
                "release": fleet.goal.release,
                "serving": len(fleet.serving),
                "busy": fleet.behaviour.says_busy or not fleet.settled,
            },
            200 if ready else 503,
        )

    async def _finish(self, change: Coroutine[None, None, bool]) -> Reply:
        # A task of its own, with a reference: it must not end with the client's connection.
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        done = await asyncio.shield(task)
        return Reply({"done": done, "release": self._fleet.goal.release})


async def main(port: int, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    base = Goal(settings.release, settings.release, settings.count)
    folder = Path.cwd()
    launcher = Launcher(folder, {releases.BEHAVIOUR: str(folder / FILE)})
    fleet = Fleet(base, Balancer(settings.haproxy, folder), launcher, folder / FILE)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await fleet.balancer.start()
    running = [asyncio.create_task(fleet.run()), asyncio.create_task(autoscale(fleet))]
    control = Control(fleet, Operations(fleet, base))
    await Server(control.answer).listen(port)
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait((*running, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    fleet.balancer.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Settings.model_validate_json(sys.argv[2])))
