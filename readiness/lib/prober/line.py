"""One HTTP/1.1 connection: a request at a time, and how it came to its end."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

import h11
import httptools

_LARGEST_HEAD: Final = 64 * 1024
_FINAL: Final = 200
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
        request: the bytes of the request.
        max_bytes: the largest body.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    request: bytes
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
    port = parts.port or _PORTS[parts.scheme]
    return Place(parts.hostname, port, tls, _bytes_of(target, sent), max_bytes)


def _bytes_of(target: str, headers: dict[str, str]) -> bytes:
    """The same for each request: so it is made, and looked at, once."""
    line = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target=target, headers=list(headers.items()))
    return (line.send(request) or b"") + (line.send(h11.EndOfMessage()) or b"")


class Connection(asyncio.Protocol):
    """A connection, made by `connected`; the methods named `on_…` are called by its parser.

    Attributes:
        reusable: whether another request may be sent: it is open and was not announced to close.
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
        """Send the request, and wait for the whole answer.

        Raises:
            Lost: none came, or no whole one.
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
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse("not HTTP")
        else:
            if not self._answer.status:
                self._head_bytes += len(data)
                if self._head_bytes > _LARGEST_HEAD:
                    self._refuse("not HTTP")

    def eof_received(self) -> bool:
        """The other side has closed: where no length was told, that is how the answer ends."""
        told = self._answer.headers.keys() & {"content-length", "transfer-encoding"}
        if self._answer.status and not told:
            self.reusable = False
            self._done()
        self._end()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is gone."""
        self._end()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head."""
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole; one that only says to go on is forgotten."""
        status = self._parser.get_status_code()
        if status >= _FINAL:
            self._answer.status = status
        else:
            self._answer.headers.clear()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._answer.body += body
        if len(self._answer.body) > self._place.max_bytes:
            self._refuse("answer too large")

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._answer.status:
            if not self._parser.should_keep_alive():
                self.reusable = False  # the answer said that it would be closed
            self._done()

    def _end(self) -> None:
        if self.reusable:  # it had not been said
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
