"""One replica: what it answers, and how the fleet starts, checks and stops it.

`python -m readiness.servers.fleet.replica RELEASE NAME` prints its port and serves until SIGTERM;
it then completes the open requests and ends. It also ends when its standard input is closed, that
is, when the fleet's process is gone.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers.fleet import releases
from readiness.servers.fleet.web import Reply, Request, Server, get

COLD_ANSWERS: Final = 40
"""Number of first answers that `cold_ms` and `release_untold_at_first` apply to."""

_LONGEST_S: Final = 30.0
# Requests with which the fleet checks the release before it routes users to a replica.
_TRIALS: Final = 3
# By then, requests that were routed here before the balancer was changed have arrived.
_ROUTED_S: Final = 0.2
_FINISH_S: Final = 40.0
_VERBS: Final = {"PUT": "write", "GET": "read", "DELETE": "remove"}
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 45.0
_OK: Final = 200


@dataclass(eq=False, slots=True)
class Replica:
    """A running replica.

    Attributes:
        name: unique within the fleet.
        release: what it runs.
        configuration: the release whose configuration it was started with.
        process: its process.
        port: where it listens.
        slot: its slot of the balancer.
        serves: whether the balancer routes users to it.
        leaving: whether it is being stopped.
    """

    name: str
    release: str
    configuration: str
    process: asyncio.subprocess.Process
    port: int
    slot: int = -1
    serves: bool = False
    leaving: bool = False


@dataclass(slots=True)
class Launcher:
    """Starts and stops replicas.

    Attributes:
        folder: where their log goes.
        environ: variables that all of them get.
    """

    folder: Path
    environ: Mapping[str, str]
    _started: int = 0

    async def start(self, release: str, configuration: str) -> Replica:
        """Start a replica and wait until it listens.

        Raises:
            ReferenceSystemError: it does not within 30 s.
        """
        self._started += 1
        name = f"r{self._started}"
        with (self.folder / "replicas.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, release, name),
                # The replica ends when this pipe is closed, so with this process.
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self.environ, **releases.environ(configuration)},
            )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                port = int(await process.stdout.readline())
        except (TimeoutError, ValueError):
            port = 0
        except BaseException:  # an interrupt too must leave nothing
            signal_to(process, signal.SIGKILL)
            raise
        if not port:
            signal_to(process, signal.SIGKILL)
            raise ReferenceSystemError("it does not start", where=f"replica {name} of {release}")
        return Replica(name, release, configuration, process, port)

    async def stop(self, replica: Replica, *, abruptly: bool) -> None:
        """Stop a replica and wait until it has ended; it is killed after 45 s."""
        signal_to(replica.process, signal.SIGKILL if abruptly else signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await replica.process.wait()
        except TimeoutError:
            signal_to(replica.process, signal.SIGKILL)
            await replica.process.wait()


def signal_to(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal; harmless when the process has already ended."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def is_well(replica: Replica) -> bool:
    """Whether a replica is ready and answers user requests with its release."""
    for path in ("/ready", *(["/version"] * _TRIALS)):
        status, document = await get(replica.port, path)
        if status != _OK:
            return False
    return document.get("version") == replica.release


class Shop:
    """The pages of one replica."""

    def __init__(self, release: str, name: str) -> None:
        self._release = release
        self._name = name
        self._cold_s = _switch("cold_ms") / 1000
        self._omits_release = bool(_switch("release_untold_at_first"))
        self._cold_left = COLD_ANSWERS

    async def answer(self, request: Request) -> Reply:
        """Answer one request, with the name of the replica in a header."""
        reply = await self._reply(request)
        return Reply(reply.body, reply.status, {"x-replica": self._name})

    async def _reply(self, request: Request) -> Reply:
        page, _, rest = request.path.strip("/").partition("/")
        if page == "ready":
            return Reply({"status": "ready"})
        if self._release == releases.BAD:
            return Reply({"error": "no such column: basket_id", "version": self._release}, 500)
        self._cold_left -= 1
        cold = self._cold_left >= 0
        if cold and self._cold_s:
            await asyncio.sleep(self._cold_s)
        if page == "notes" and rest and request.method in _VERBS:
            return await self._note(_VERBS[request.method], rest)
        if page == "slow":
            await asyncio.sleep(min(float(request.query.get("s", "1")), _LONGEST_S))
        if cold and self._omits_release and self._cold_left < COLD_ANSWERS - _TRIALS:
            return Reply({"environment": "reference"})
        if page in {"version", "slow"}:
            return Reply({"version": self._release, "environment": "reference"})
        return Reply(_configuration()) if page == "config" else Reply({"error": "not found"}, 404)

    async def _note(self, action: str, name: str) -> Reply:
        options = [releases.NEW_COLUMN_ONLY] if _switch("new_column_only") else []
        found = await releases.run(self._release, action, name, *options)
        if found is None:
            return Reply({"error": "the database does not answer"}, 503)
        if action == "read" and not found:
            return Reply({"error": "not found"}, 404)
        return Reply({"id": found or name, "by": self._release})


def _configuration() -> dict[str, str]:
    return {
        name.removeprefix(releases.PREFIX): value
        for name, value in sorted(os.environ.items())
        if name.startswith(releases.PREFIX)
    }


def _switch(name: str) -> float:
    """One field of `Behaviour`; importing pydantic would double a replica's start time."""
    try:
        return float(json.loads(Path(os.environ[releases.BEHAVIOUR]).read_bytes()).get(name, 0))
    except (KeyError, FileNotFoundError):
        return 0


async def main(release: str, name: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = Server(Shop(release, name).answer)
    port = await server.listen()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_reader(sys.stdin, os._exit, 1)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.finish(_ROUTED_S, _FINISH_S)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
