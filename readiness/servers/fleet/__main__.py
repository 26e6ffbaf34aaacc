"""The fleet's own process: `python -m readiness.servers.fleet PORT`, told by a file what to do.

Whoever asks for something waits until it is done; who goes away before has asked all the same.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

from readiness.servers.fleet import releases
from readiness.servers.fleet.autoscaler import autoscale
from readiness.servers.fleet.balancer import Balancer
from readiness.servers.fleet.fleet import Fleet, Goal
from readiness.servers.fleet.launcher import Launcher
from readiness.servers.fleet.operations import Operations
from readiness.servers.fleet.settings import BEHAVIOUR, Settings
from readiness.servers.fleet.web import Reply, Request, Server


class Control:
    """Answers those who ask the fleet for something."""

    def __init__(self, fleet: Fleet, operations: Operations) -> None:
        self._fleet = fleet
        self._operations = operations
        self._asked: set[asyncio.Task[bool]] = set()

    async def answer(self, request: Request) -> Reply:
        """Answer one of them."""
        what, _, argument = request.path.strip("/").partition("/")
        if request.method == "GET":
            return await self._tell(what)
        asked = self._ask(what, argument)
        return Reply({"error": "not found"}, 404) if asked is None else await self._finish(asked)

    def _ask(self, what: str, argument: str) -> Coroutine[None, None, bool] | None:
        if what == "scale" and argument.isdigit():
            return self._operations.scale(int(argument))
        with_release = {"deploy": self._operations.deploy, "rollback": self._operations.rollback}
        if what in with_release:
            return with_release[what](argument)
        alone = {"stop-one": self._operations.stop_one, "reset": self._operations.reset}
        return alone[what]() if what in alone else None

    async def _tell(self, what: str) -> Reply:
        fleet = self._fleet
        if what == "state":
            return Reply({"state": await self._operations.state()})
        busy = fleet.how.says_busy or not fleet.settled
        ready = bool(fleet.serving) and (what != "settled" or fleet.settled)
        return Reply(
            {
                "url": f"http://127.0.0.1:{fleet.balancer.port}",
                "release": fleet.goal.release,
                "serving": len(fleet.serving),
                "busy": busy,
            },
            200 if ready else 503,
        )

    async def _finish(self, asked: Coroutine[None, None, bool]) -> Reply:
        # A task of its own, and kept: it goes on when whoever asked is gone.
        task = asyncio.create_task(asked)
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        done = await asyncio.shield(task)
        return Reply({"done": done, "release": self._fleet.goal.release})


async def main(port: int, settings: Settings) -> None:
    """Run until a signal comes."""
    base = Goal(settings.release, settings.release, settings.count)
    folder = Path.cwd()
    launcher = Launcher(folder, {releases.BEHAVIOUR: str(folder / BEHAVIOUR)})
    fleet = Fleet(base, Balancer(settings.haproxy, folder), launcher, folder / BEHAVIOUR)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await fleet.balancer.start()
    running = [asyncio.create_task(fleet.run()), asyncio.create_task(autoscale(fleet))]
    control = Control(fleet, Operations(fleet, base))
    await Server(control.answer).listen(port)
    over = asyncio.create_task(ended.wait())
    await asyncio.wait((*running, over), return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    fleet.balancer.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Settings.model_validate_json(sys.argv[2])))
