"""One replica of what the fleet serves: `python -m readiness.servers.fleet.replica RELEASE NAME`.

Prints its port, and serves until SIGTERM: then it answers what is under way and ends. It ends as
well when its standard input does: whoever started it is gone.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

from readiness.servers.fleet import notes, releases
from readiness.servers.fleet.web import Reply, Request, Server

COLD_ANSWERS: Final = 40
"""How many of a replica's answers are its first ones, where these are to be slow or incomplete."""

_LONGEST_S: Final = 30.0
# The fleet asks for the release so often before it leads anybody here.
_TRIALS: Final = 3
# Whoever was being led here when the balancer was told has arrived by then.
_STILL_LED_S: Final = 0.2
_FINISH_S: Final = 40.0
_VERBS: Final = {"PUT": "write", "GET": "read", "DELETE": "remove"}


class Replica:
    """What one replica answers."""

    def __init__(self, release: str, name: str) -> None:
        self._release = release
        self._name = name
        self._cold_s = _switch("cold_ms") / 1000
        self._untold = bool(_switch("release_untold_at_first"))
        self._cold_left = COLD_ANSWERS

    async def answer(self, request: Request) -> Reply:
        """Answer one request."""
        reply = await self._reply(request)
        return Reply(reply.body, reply.status, {"x-replica": self._name})

    async def _reply(self, request: Request) -> Reply:
        first, _, rest = request.path.strip("/").partition("/")
        if first == "ready":
            return Reply({"status": "ready"})
        if self._release == releases.BAD:
            return Reply({"error": "no such column: basket_id", "version": self._release}, 500)
        cold = self._is_cold()
        if cold and self._cold_s:
            await asyncio.sleep(self._cold_s)
        if first == "notes" and rest and request.method in _VERBS:
            return await self._note(_VERBS[request.method], rest)
        if first == "slow":
            await asyncio.sleep(min(float(request.query.get("s", "1")), _LONGEST_S))
        if cold and self._untold and self._cold_left < COLD_ANSWERS - _TRIALS:
            return Reply({"environment": "reference"})
        return self._page(first)

    def _is_cold(self) -> bool:
        self._cold_left -= 1
        return self._cold_left >= 0

    def _page(self, name: str) -> Reply:
        if name in {"version", "slow"}:
            return Reply({"version": self._release, "environment": "reference"})
        return Reply(_configuration()) if name == "config" else Reply({"error": "not found"}, 404)

    async def _note(self, action: str, name: str) -> Reply:
        how = [notes.NEW_COLUMN_ONLY] if _switch("new_column_only") else []
        said = await notes.run(self._release, action, name, *how)
        if said is None:
            return Reply({"error": "the store does not answer"}, 503)
        if action == "read" and not said:
            return Reply({"error": "not found"}, 404)
        return Reply({"id": said or name, "by": self._release})


def _configuration() -> dict[str, str]:
    return {
        name.removeprefix(releases.PREFIX): value
        for name, value in sorted(os.environ.items())
        if name.startswith(releases.PREFIX)
    }


def _switch(name: str) -> float:
    """One switch of `Behaviour`; pydantic would double the time that a replica needs to start."""
    try:
        return float(json.loads(Path(os.environ[releases.BEHAVIOUR]).read_bytes()).get(name, 0))
    except (KeyError, FileNotFoundError):
        return 0


async def main(release: str, name: str) -> None:
    """Serve until it is told to end."""
    server = Server(Replica(release, name).answer)
    port = await server.listen()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_reader(sys.stdin, os._exit, 1)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await ended.wait()
    await server.finish(_STILL_LED_S, _FINISH_S)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
