"""A Prometheus whose clock is wrong: a server in front of the real one, that shifts its time.

Only the answer to the query `time()` is changed; all else passes through as it is.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_CLOCK: Final = b"query=time%28%29"
_TIMEOUT_S: Final = 30.0


@contextlib.contextmanager
def clock_ahead(port: int, seconds: float) -> Iterator[str]:
    """Give the address of a Prometheus that is ahead by so many seconds.

    Args:
        port: where the real one listens, on 127.0.0.1.
        seconds: how far.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(port, seconds))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(port: int, seconds: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, content_type, body = _passed_on(port, self.command, self.path, asked)
            if asked == _CLOCK:
                body = _ahead(body, seconds)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - theirs

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            """Say nothing."""

    return Handler


def _passed_on(port: int, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read()
    finally:
        connection.close()


def _ahead(body: bytes, seconds: float) -> bytes:
    document = json.loads(body)
    when, value = document["data"]["result"]
    document["data"]["result"] = [when + seconds, str(float(value) + seconds)]
    return json.dumps(document).encode()
