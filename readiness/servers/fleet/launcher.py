"""Starts and stops replicas, and asks one whether it may be led to."""

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

import h11

from readiness.model.errors import ReferenceSystemError
from readiness.servers.fleet import releases

_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 45.0
_ASK_TIMEOUT_S: Final = 10.0
_OK: Final = 200
_TRIALS: Final = 3
_PROGRAM: Final = "readiness.servers.fleet.replica"


@dataclass(eq=False, slots=True)
class Replica:
    """One that runs.

    Attributes:
        name: unlike that of any other.
        release: what it is.
        configuration: the release whose configuration it was started with.
        process: its process.
        port: where it listens.
        slot: of the balancer.
        serves: whether the balancer leads to it.
        leaving: whether it is meant to end.
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
    """Starts replicas.

    Attributes:
        folder: where their log goes.
        environ: what all of them are told.
    """

    folder: Path
    environ: Mapping[str, str]
    _started: int = 0

    async def start(self, release: str, configuration: str) -> Replica:
        """Start one, and wait until it listens.

        Raises:
            ReferenceSystemError: it does not within 30 s.
        """
        self._started += 1
        name = f"r{self._started}"
        with (self.folder / "replicas.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _PROGRAM, release, name),
                # It ends when this is closed: with the process that holds the other end.
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
            end(process, signal.SIGKILL)
            raise
        if not port:
            end(process, signal.SIGKILL)
            raise ReferenceSystemError("it does not come up", where=f"replica {name} of {release}")
        return Replica(name, release, configuration, process, port)

    async def stop(self, replica: Replica, *, abruptly: bool) -> None:
        """End one, and wait until it has ended."""
        end(replica.process, signal.SIGKILL if abruptly else signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await replica.process.wait()
        except TimeoutError:
            end(replica.process, signal.SIGKILL)
            await replica.process.wait()


def end(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal; harmless when it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def is_well(replica: Replica) -> bool:
    """Whether it is ready, and answers what users ask as they expect it."""
    for path in ("/ready", *(["/version"] * _TRIALS)):
        status, said = await ask(replica.port, path)
        if status != _OK:
            return False
    return said.get("version") == replica.release


async def ask(port: int, path: str) -> tuple[int, dict[str, str]]:
    """Status and document of one request; 0 where nobody answers within 10 s."""
    talk = h11.Connection(h11.CLIENT)
    head = h11.Request(
        method="GET", target=path, headers=[("host", "replica"), ("connection", "close")]
    )
    try:
        async with asyncio.timeout(_ASK_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write((talk.send(head) or b"") + (talk.send(h11.EndOfMessage()) or b""))
                return await _reply(talk, reader)
            finally:
                writer.close()
    except (OSError, TimeoutError, h11.ProtocolError):
        return 0, {}


async def _reply(talk: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status, body = 0, b""
    while not isinstance(event := talk.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            return 0, {}
    return status, json.loads(body)
