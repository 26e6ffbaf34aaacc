"""A service behind a load balancer, which changes its release in one of five ways when told to.

A process of its own: `python -m tests.support.rollouts` prints its port, then takes one word a line
(`recreate`, `late`, `closed`, `drain`, `stall`), and prints `done` once that is over.
"""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BEHAVIOURS = ("recreate", "late", "closed", "drain", "stall")
GAP_S = 0.3
LATE_S = 0.5
STALL_S = 2.5
# Whoever was being led somewhere has arrived there by then.
LED_S = 0.2
SERVICE_S = 0.01
_LONGEST_DRAIN_S = 10.0


@dataclass(eq=False)
class Replica:
    """One instance of the service, which keeps connections open."""

    version: str
    port: int = 0
    draining: bool = False
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _busy: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self, port: int = 0) -> "Replica":
        self.waits.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=500)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def refuse(self) -> None:
        """Take no more connections."""
        if self._server:
            self._server.close()

    def kill(self) -> None:
        """Be gone at once."""
        self.refuse()
        for writer in list(self._open):
            writer.transport.abort()

    async def finish(self) -> None:
        """End what is under way, and close what is idle."""
        await self._empty(self._busy)
        for writer in list(self._open):
            writer.close()

    async def drain(self) -> None:
        """Announce the end with each answer, and go when nobody is left."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_DRAIN_S):
                await self._empty(self._open)
        await asyncio.sleep(LED_S)
        self.refuse()

    async def _empty(self, some: set[asyncio.StreamWriter]) -> None:
        while some:
            self._left.clear()
            await self._left.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        body = json.dumps({"version": self.version}).encode()
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self._busy.add(writer)
                await self.waits.wait()
                await asyncio.sleep(SERVICE_S)
                last = self.draining
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n"
                writer.write((head + "connection: close\r\n" * last + "\r\n").encode() + body)
                await writer.drain()
                self._busy.discard(writer)
                self._left.set()
                if last:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._busy.discard(writer)
            self._open.discard(writer)
            self._left.set()
            writer.close()


class Balancer:
    """Leads each connection to the next replica, byte by byte, and asks nobody how it is."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._turn = itertools.count()

    async def start(self) -> int:
        server = await asyncio.start_server(self._lead, "127.0.0.1", 0, backlog=500)
        return int(server.sockets[0].getsockname()[1])

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.ports[next(self._turn) % len(self.ports)]
        try:
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


class Service:
    """Two replicas behind a balancer."""

    def __init__(self) -> None:
        self._balancer = Balancer()
        self._replicas: list[Replica] = []
        self._release = 0

    async def start(self) -> int:
        await self._renew()
        return await self._balancer.start()

    async def _renew(self) -> list[Replica]:
        """Start two replicas of the next release, and lead there; gives those of before."""
        self._release += 1
        before = self._replicas
        version = f"1.{self._release}"
        self._replicas = [await Replica(version).start() for _ in range(2)]
        self._balancer.ports = [replica.port for replica in self._replicas]
        return before

    async def recreate(self) -> None:
        """The old ones end, and then the new ones start."""
        for replica in self._replicas:
            replica.kill()
        await asyncio.sleep(GAP_S)
        await self._renew()

    async def late(self) -> None:
        """Each old one ends before the balancer knows of it."""
        before = self._replicas
        new = [await Replica(f"1.{self._release + 1}").start() for _ in before]
        self._release += 1
        for i, (old, fresh) in enumerate(zip(before, new, strict=True)):
            old.kill()
            await asyncio.sleep(LATE_S)
            self._balancer.ports[i] = fresh.port
        self._replicas = new

    async def closed(self) -> None:
        """Everybody is led to the new ones; the old ones close what is idle without a word."""
        for replica in await self._renew():
            await asyncio.sleep(LED_S)
            replica.refuse()
            await replica.finish()

    async def drain(self) -> None:
        """As `closed`, and each answer of an old one says that it is the last."""
        await asyncio.gather(*(replica.drain() for replica in await self._renew()))

    async def stall(self) -> None:
        """A release is followed by one long pause."""
        for replica in self._replicas:
            replica.waits.clear()
        await asyncio.sleep(STALL_S)
        for replica in self._replicas:
            replica.waits.set()
        await self.drain()


async def _main() -> None:
    service = Service()
    print(await service.start(), flush=True)  # noqa: T201 - told to who started it
    loop = asyncio.get_running_loop()
    while word := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        await getattr(service, word)()
        print("done", flush=True)  # noqa: T201


class Rollouts:
    """That process, for a test."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{int(self._read())}/version"

    def change(self, behaviour: str) -> None:
        """Change the release in one way; returns once that is over."""
        assert self._process.stdin
        self._process.stdin.write(f"{behaviour}\n")
        self._process.stdin.flush()
        assert self._read() == "done"

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def rollouts() -> Iterator[Rollouts]:
    """The service, while the block runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.rollouts"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Rollouts(process)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_main())
