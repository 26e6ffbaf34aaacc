"""A small HTTP server and client over asyncio and h11; frameworks take much longer to import."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import h11

_CHUNK_BYTES: Final = 65536
_LIMIT_BYTES: Final = 1 << 20
_BACKLOG: Final = 500
_TOO_LARGE: Final = 413
_GET_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        path: without the query.
        query: the last value of each name.
        body: at most 1 MiB.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a JSON document."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Awaitable[Reply]]


class Server:
    """Listens on 127.0.0.1, and can stop without dropping requests."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._closing = False
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> int:
        """Start to listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=_BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def finish(self, accept_s: float, within_s: float) -> None:
        """Stop after the open requests, and those that a balancer still routes here.

        Args:
            accept_s: seconds for which new connections are still accepted.
            within_s: seconds after which open connections are abandoned.
        """
        self._closing = True
        await asyncio.sleep(accept_s)
        if self._server:
            self._server.close()
        if self._open:
            await asyncio.wait(self._open, timeout=within_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of start_server is a task
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, h11.ProtocolError):
            pass  # the client has disconnected, or does not speak HTTP
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = h11.Connection(h11.SERVER)
        while (request := await _receive(link, reader)) is not None:
            if len(request.body) > _LIMIT_BYTES:
                reply = Reply("too large", _TOO_LARGE)
            else:
                reply = await self._answer(request)
            writer.write(_encoded(link, reply, last=self._closing))
            await writer.drain()
            if link.our_state is h11.MUST_CLOSE or link.their_state is not h11.DONE:
                return
            link.start_next_cycle()


async def _receive(link: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the client has closed the connection."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = link.next_event()
        if event is h11.NEED_DATA:
            link.receive_data(await reader.read(_CHUNK_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data[: _LIMIT_BYTES + 1 - len(body)]
        elif head is None:
            return None
        else:
            url = urlsplit(head.target.decode())
            query = dict(parse_qsl(url.query))
            return Request(head.method.decode(), url.path, query, bytes(body))


def _encoded(link: h11.Connection, reply: Reply, *, last: bool) -> bytes:
    body = json.dumps(reply.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **reply.headers,
        **({"connection": "close"} if last else {}),
    }
    head = h11.Response(status_code=reply.status, headers=list(headers.items()))
    events = (head, h11.Data(body), h11.EndOfMessage())
    return b"".join(link.send(event) or b"" for event in events)


async def get(port: int, path: str) -> tuple[int, dict[str, str]]:
    """Status and JSON document of a GET on 127.0.0.1; status 0 if no answer comes within 10 s."""
    link = h11.Connection(h11.CLIENT)
    head = h11.Request(
        method="GET", target=path, headers=[("host", "replica"), ("connection", "close")]
    )
    try:
        async with asyncio.timeout(_GET_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write((link.send(head) or b"") + (link.send(h11.EndOfMessage()) or b""))
                return await _reply(link, reader)
            finally:
                writer.close()
    except (OSError, TimeoutError, h11.ProtocolError):
        return 0, {}


async def _reply(link: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status, body = 0, b""
    while not isinstance(event := link.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            link.receive_data(await reader.read(_CHUNK_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            return 0, {}
    return status, json.loads(body)
