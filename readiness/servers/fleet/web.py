"""A small HTTP server over asyncio and h11, which starts in a fraction of a framework's time."""

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


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked.

    Attributes:
        method: such as `GET`.
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
    """What is answered: a status, and a JSON document."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Awaitable[Reply]]


class Server:
    """Answers on 127.0.0.1, and can end without cutting anybody off."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._closing = False
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> int:
        """Begin; gives the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=_BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def finish(self, still_led_s: float, within_s: float) -> None:
        """End: answer what is under way, and whoever is still being led here.

        Args:
            still_led_s: seconds for which new connections are taken.
            within_s: seconds after which those that are still open are left.
        """
        self._closing = True
        await asyncio.sleep(still_led_s)
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
            pass  # whoever asked has gone, or speaks something else
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = h11.Connection(h11.SERVER)
        while (request := await _hear(talk, reader)) is not None:
            if len(request.body) > _LIMIT_BYTES:
                reply = Reply("too large", _TOO_LARGE)
            else:
                reply = await self._answer(request)
            writer.write(_said(talk, reply, last=self._closing))
            await writer.drain()
            if talk.our_state is h11.MUST_CLOSE or talk.their_state is not h11.DONE:
                return
            talk.start_next_cycle()


async def _hear(talk: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when there is none any more."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(_CHUNK_BYTES))
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


def _said(talk: h11.Connection, reply: Reply, *, last: bool) -> bytes:
    body = json.dumps(reply.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **reply.headers,
        **({"connection": "close"} if last else {}),
    }
    head = h11.Response(status_code=reply.status, headers=list(headers.items()))
    events = (head, h11.Data(body), h11.EndOfMessage())
    return b"".join(talk.send(event) or b"" for event in events)
