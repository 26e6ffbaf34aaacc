"""Small real servers on loopback, well behaved and otherwise, for tests of probes."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self, TypeVar

T = TypeVar("T")
HANG_S = 30.0


@dataclass(frozen=True)
class Reply:
    """What a route answers."""

    body: str | bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Reply | Callable[[], Reply]


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class _Listening(ThreadingHTTPServer):
    # Of 5, the default, the kernel drops connections of a burst; clients try again 1 s later.
    request_queue_size = 128


class SmallServer:
    """An HTTP server whose routes a test may change while it runs."""

    def __init__(self, routes: Mapping[str, Route], host: str = "127.0.0.1") -> None:
        self.routes = dict(routes)
        self.otherwise: Route = Reply("no such page", 404, "text/plain")
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.clients: set[str] = set()
        self.dates = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                outer.connections += 1
                outer.clients.add(self.client_address[0])
                super().setup()

            def send_header(self, keyword: str, value: str) -> None:
                if outer.dates or keyword != "Date" or value in self.given:
                    super().send_header(keyword, value)

            def do_GET(self) -> None:
                self.given: set[str] = set()
                outer.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
                outer.requests.append((self.command, self.path, lower(dict(self.headers))))
                route = outer.routes.get(self.path, outer.otherwise)
                reply = route() if callable(route) else route
                body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
                self.given = set(reply.headers.values())
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(body)))
                if reply.content_type:
                    self.send_header("Content-Type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):  # a client may have read enough
                    self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - theirs
            do_PUT = do_GET  # noqa: N815 - theirs

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
                pass

        self._server = _Listening((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Line:
    """One accepted connection of a raw server, and a way to wait that ends with the test."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self.connection = connection
        self.stopped = stopped

    def hear(self) -> bytes:
        """The head of a request."""
        heard = b""
        while b"\r\n\r\n" not in heard and (more := self.connection.recv(65536)):
            heard += more
        return heard

    def say(self, data: bytes) -> None:
        """Send."""
        self.connection.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.05) -> None:
        """Send byte by byte, for as long as the test lasts."""
        while not self.stopped.wait(every_s):
            for place in range(len(data)):
                self.say(data[place : place + 1])
                if self.stopped.wait(every_s):
                    return


@contextmanager
def raw_server(talk: Callable[[Line], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that says over each connection whatever `talk` says; gives `host:port`."""
    stopped = threading.Event()
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            line = tls.wrap_socket(connection, server_side=True) if tls else connection
            with line:
                talk(Line(line, stopped))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            opened.append(connection)
            thread = threading.Thread(target=serve, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            for end in (listener, *opened):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for running in (thread, *threads):
                running.join(HANG_S)


def in_time(call: Callable[[], T]) -> T:
    """What the call returns or raises; a call that hangs fails the test instead of stopping it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - handed on to the caller below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANG_S)
    assert not thread.is_alive(), f"the call hangs: not back after {HANG_S:g} s"
    if errors:
        raise errors[0]
    return results[0]
