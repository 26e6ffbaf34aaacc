"""The prober's own process: sends what the plan says until its stdin ends, and writes a record.

python -m readiness.lib.prober.child DESCRIPTOR < PLAN
"""

import asyncio
import gc
import json
import os
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Final, cast
from urllib.parse import urlsplit

import h11
import httptools
import uvloop

from readiness.lib.prober.plan import (
    MODES,
    UNANSWERED,
    End,
    Hangup,
    Line,
    Mode,
    Plan,
    Sample,
    encode,
)

_LARGEST_HEAD: Final = 64 * 1024
_FINAL: Final = 200
_PORTS: Final = {"http": 80, "https": 443}


class Lost(Exception):
    """A request that got no complete answer; the text says why, in one to three words."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests are sent, the bytes of each, and the largest body of an answer."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    request: bytes
    max_bytes: int


@dataclass(slots=True)
class Answer:
    """A complete answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def place(url: str, headers: dict[str, str], *, verify_tls: bool, max_bytes: int) -> Place:
    """Where requests to a URL are sent.

    Raises:
        ValueError: it is not one of http or https.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("the address is not one of http or https")
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context()
        if not verify_tls:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"host": parts.netloc.rpartition("@")[2], "accept": "*/*", **headers}
    port = parts.port or _PORTS[parts.scheme]
    return Place(parts.hostname, port, tls, _bytes_of(target, sent), max_bytes)


def _bytes_of(target: str, headers: dict[str, str]) -> bytes:
    """The bytes of a request, made and validated once, since all requests are the same."""
    line = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target=target, headers=list(headers.items()))
    return (line.send(request) or b"") + (line.send(h11.EndOfMessage()) or b"")


class Connection(asyncio.Protocol):
    """A connection, made by `connected`; the methods named `on_…` are called by its parser.

    Attributes:
        reusable: whether another request may be sent: it is open, and no answer announced its end.
    """

    def __init__(self, where: Place, hung_up: Callable[[bool], None]) -> None:
        self._place = where
        self._hung_up = hung_up
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._answer = Answer()
        self._head_bytes = 0
        self._waiting: asyncio.Future[Answer] | None = None
        self.reusable = True

    async def ask(self) -> Answer:
        """Send the request, and wait for the complete answer.

        Raises:
            Lost: no complete answer came.
        """
        if not self.reusable:
            raise Lost("closed before the request")
        self._answer, self._head_bytes = Answer(), 0
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(self._place.request)
        answer = await self._waiting
        self._waiting = None
        return answer

    @property
    def busy(self) -> bool:
        """Whether a request is under way or timed out, so that no other may be sent."""
        return self._waiting is not None

    def close(self) -> None:
        """Close it at once."""
        self.reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse("not HTTP")
        else:
            if not self._answer.status:
                self._head_bytes += len(data)
                if self._head_bytes > _LARGEST_HEAD:
                    self._refuse("not HTTP")

    def eof_received(self) -> bool:
        """The other side has closed, which ends an answer without a length."""
        delimited = self._answer.headers.keys() & {"content-length", "transfer-encoding"}
        if self._answer.status and not delimited:
            self.reusable = False
            self._done()
        self._end()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is gone."""
        self._end()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header."""
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Keep the status; an interim response (1xx) is dropped."""
        status = self._parser.get_status_code()
        if status >= _FINAL:
            self._answer.status = status
        else:
            self._answer.headers.clear()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._answer.body += body
        if len(self._answer.body) > self._place.max_bytes:
            self._refuse("answer too large")

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if self._answer.status:
            if not self._parser.should_keep_alive():
                self.reusable = False  # the answer announced that the connection ends
            self._done()

    def _end(self) -> None:
        if self.reusable:  # its end was not announced
            self._hung_up(self._waiting is None)
        self.reusable = False
        self._lose("answer cut off" if self._answer.status else "closed without answer")

    def _done(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _refuse(self, why: str) -> None:
        self._lose(why)
        self.close()

    def _lose(self, why: str) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(Lost(why))


async def connected(where: Place, hung_up: Callable[[bool], None]) -> Connection:
    """A new connection.

    Args:
        where: the server, and the request.
        hung_up: is called when the other side closes it without notice; with True if no request
            was under way.

    Raises:
        Lost: it cannot be established.
    """
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(where, hung_up), where.host, where.port, ssl=where.tls
        )
    except ssl.SSLError:
        raise Lost("no TLS") from None
    except ConnectionRefusedError:
        raise Lost("refused") from None
    except socket.gaierror:
        raise Lost("no such name") from None
    except OSError:
        raise Lost("not reachable") from None
    return connection


class Prober:
    """Sends requests on schedule, whatever the outcome of earlier ones."""

    def __init__(self, plan: Plan, record: IO[str]) -> None:
        self._plan = plan
        self._record = record
        self._place: Place = place(
            plan.url, plan.headers, verify_tls=plan.verify_tls, max_bytes=plan.max_bytes
        )
        self._idle: deque[Connection] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._began = 0.0
        self._slots = 0
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Send until stdin ends, and wait for the requests under way then."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, self._read_stdin)
        self._began, cpu_s = loop.time(), time.process_time()
        self._send_those_due()
        await self._over.wait()
        if self._under_way:
            await asyncio.wait(self._under_way)
        for connection in self._idle:
            connection.close()
        self._write(End(time.monotonic(), self._slots, time.process_time() - cpu_s))

    def _send_those_due(self) -> None:
        """No request waits for another: a missing answer delays no other request."""
        loop = asyncio.get_running_loop()
        while not self._over.is_set():
            due = self._began + self._slots * self._plan.period_s
            if due > loop.time():
                loop.call_at(due, self._send_those_due)
                return
            task = loop.create_task(self._send(self._slots, due))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            self._slots += 1

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 1):
            # An ended stdin is always readable: the reader would be called all the time.
            asyncio.get_running_loop().remove_reader(sys.stdin)
            self._over.set()

    async def _send(self, slot: int, due: float) -> None:
        mode = MODES[slot % len(MODES)]
        sent = time.monotonic()
        answer, problem = Answer(), ""
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                answer = await (self._kept() if mode is Mode.KEPT else self._new())
        except Lost as lost:
            problem = str(lost)
        except TimeoutError:
            problem = UNANSWERED
        ended = time.monotonic()
        if not problem and answer.status not in self._plan.statuses:
            problem = f"status {answer.status}"
        replica = answer.headers.get(self._plan.replica_header.lower(), "")
        version = self._version(answer)
        self._write(Sample(slot, mode, due, sent, ended, answer.status, problem, version, replica))

    async def _new(self) -> Answer:
        connection = await connected(self._place, lambda _: None)
        try:
            return await connection.ask()
        finally:
            connection.close()

    async def _kept(self) -> Answer:
        self._busy += 1
        try:
            connection = self._rested() or await connected(self._place, self._hung_up)
            try:
                return await connection.ask()
            finally:
                self._rest(connection)
        finally:
            self._busy -= 1

    def _rested(self) -> Connection | None:
        """The connection that was idle longest; None while fewer are open than planned."""
        while self._idle and not self._idle[0].reusable:
            self._idle.popleft()
        full = len(self._idle) + self._busy > self._plan.connections
        return self._idle.popleft() if self._idle and full else None

    def _rest(self, connection: Connection) -> None:
        if connection.reusable and not connection.busy and len(self._idle) < self._plan.connections:
            self._idle.append(connection)
        else:
            connection.close()

    def _hung_up(self, idle: bool) -> None:
        self._write(Hangup(time.monotonic(), idle))

    def _version(self, answer: Answer) -> str:
        if not self._plan.version_key:
            return ""
        try:
            document = json.loads(answer.body)
        except ValueError:
            return ""
        value = document.get(self._plan.version_key, "") if isinstance(document, dict) else ""
        return value if isinstance(value, str) else ""

    def _write(self, line: Line) -> None:
        self._record.write(encode(line) + "\n")


def main() -> None:
    """Run until stdin ends; its first line is the plan."""
    plan = Plan.model_validate_json(sys.stdin.buffer.readline())
    gc.freeze()  # the garbage collector need not look at imported modules
    with suppress(OSError):  # a higher priority keeps the schedule, where it is permitted
        os.nice(-5)
    with open(int(sys.argv[1]), "w", encoding="utf-8", buffering=1) as record:  # noqa: PTH123
        prober = Prober(plan, record)
        uvloop.run(prober.run())


if __name__ == "__main__":
    main()
