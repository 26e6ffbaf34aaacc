"""A server that takes POST requests, as webhooks end at: who runs it says how each is answered."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_MOST_BYTES: Final = 64 * 1024 * 1024
Take = Callable[[str, bytes], int]
"""Takes the path and the body of one request, and gives the status of its answer."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    # Many groups are told at once; the usual five would make the others try again later.
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], take: Take, *, kept_alive: bool) -> None:
        super().__init__(address, _Handler)
        self.take = take
        self.kept_alive = kept_alive

    def handle_error(self, *_: object) -> None:
        """A client that hung up while it was kept waiting: it is told of nowhere."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        length = min(int(self.headers.get("content-length") or 0), _MOST_BYTES)
        self.send_response(self.server.take(self.path, self.rfile.read(length)))
        self.send_header("content-length", "0")
        if not self.server.kept_alive:
            self.send_header("connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """What was taken is record enough."""


@contextmanager
def served(host: str, port: int, take: Take, *, kept_alive: bool) -> Iterator[int]:
    """Serve while the block runs; gives the port.

    Args:
        host: the address to listen on.
        port: the port; 0 is any that is free.
        take: takes each request, in a thread of its own.
        kept_alive: whether connections stay open. One that does would bring the calls meant for
            whoever listens next on this port here.

    Raises:
        OSError, OverflowError: that address cannot be listened on.
    """
    server = _Server((host, port), take, kept_alive=kept_alive)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
