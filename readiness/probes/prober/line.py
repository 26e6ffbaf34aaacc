"""One HTTP/1.1 connection: a request at a time, and how it came to its end."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

import h11

_LARGEST_HEAD: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}


class Lost(Exception):
    """A request that got no whole answer; the text says why, in a word or two."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go, and what each of them says.

    Attributes:
        host: the name or address.
        port: the port.
        tls: how the connection is protected; None if it is not.
        request: the request, ready to be sent.
        max_bytes: the largest body.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    request: h11.Request
    max_bytes: int


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def place(url: str, headers: dict[str, str], *, verify_tls: bool, max_bytes: int) -> Place:
    """What a URL means.

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
    request = h11.Request(method="GET", target=target, headers=list(sent.items()))
    port = parts.port or _PORTS[parts.scheme]
    return Place(parts.hostname, port, tls, request, max_bytes)


class Connection(asyncio.Protocol):
    """A connection, made by `connected`.

    Attributes:
        reusable: whether another request may be sent: it is open and was not announced to close.
    """

    def __init__(self, where: Place, hung_up: Callable[[bool], None]) -> None:
        self._place = where
        self._hung_up = hung_up
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._transport: asyncio.Transport
        self._answer = Answer()
        self._waiting: asyncio.Future[Answer] | None = None
        self.reusable = True

    async def ask(self) -> Answer:
        """Send the request, and wait for the whole answer.

        Raises:
            Lost: none came, or no whole one.
        """
        if not self.reusable:
            raise Lost("closed before the request")
        self._answer = Answer()
        self._waiting = asyncio.get_running_loop().create_future()
        head = self._state.send(self._place.request) or b""
        self._transport.write(head + (self._state.send(h11.EndOfMessage()) or b""))
        answer = await self._waiting
        self._waiting = None
        return answer

    @property
    def busy(self) -> bool:
        """Whether a request is under way, or was given up: nothing more may be sent."""
        return self._waiting is not None

    def close(self) -> None:
        """Close it, now."""
        self.reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Something came."""
        try:
            self._state.receive_data(data)
            self._read()
        except h11.RemoteProtocolError:
            self._lose("not HTTP")
            self.close()

    def eof_received(self) -> bool:
        """The other side has closed: that may be how the answer ends."""
        with contextlib.suppress(h11.RemoteProtocolError):
            self._state.receive_data(b"")
            self._read()
        self._end()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is gone."""
        self._end()

    def _end(self) -> None:
        if self.reusable:  # it had not been said
            self._hung_up(self._waiting is None)
        self.reusable = False
        self._lose("answer cut off" if self._answer.status else "closed without answer")

    def _read(self) -> None:
        while self._waiting:
            event = self._state.next_event()
            if isinstance(event, h11.Response):
                self._answer.status = event.status_code
                self._answer.headers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
                }
            elif isinstance(event, h11.Data):
                self._take(event.data)
            elif not isinstance(event, h11.InformationalResponse):
                if isinstance(event, h11.EndOfMessage):
                    self._done()
                return

    def _take(self, data: bytes) -> None:
        self._answer.body += data
        if len(self._answer.body) > self._place.max_bytes:
            self._lose("answer too large")
            self.close()

    def _done(self) -> None:
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        else:
            self.reusable = False  # the answer said that it would be closed
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _lose(self, why: str) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(Lost(why))


async def connected(where: Place, hung_up: Callable[[bool], None]) -> Connection:
    """A new connection.

    Args:
        where: to whom.
        hung_up: is called when the other side closes it without having said so; True if no
            request was under way.

    Raises:
        Lost: there is none to be had.
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
