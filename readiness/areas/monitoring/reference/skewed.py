"""A Prometheus that answers differently: a proxy that changes one kind of its answers."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_CLOCK: Final = b"query=time%28%29"
_FLAGS: Final = "/api/v1/status/flags"
_TARGETS: Final = "/api/v1/targets"
_TIMEOUT_S: Final = 30.0
Edit = Callable[[str, bytes, Any], None]
"""Changes an answer in place: the path, the body of the request, and the `data` of the answer."""


def clock_ahead(port: int, seconds: float) -> contextlib.AbstractContextManager[str]:
    """Give the address of a Prometheus whose clock is ahead by so many seconds.

    Args:
        port: where the real one listens, on 127.0.0.1.
        seconds: how far.
    """

    def ahead(_: str, asked: bytes, data: Any) -> None:
        if asked == _CLOCK:
            when, value = data["result"]
            data["result"] = [when + seconds, str(float(value) + seconds)]

    return _changed(port, ahead)


def scraped_before(port: int, job: str, seconds: float) -> contextlib.AbstractContextManager[str]:
    """Give the address of a Prometheus that scraped a job last so many seconds earlier."""

    def before(path: str, _: bytes, data: Any) -> None:
        for target in data["activeTargets"] if path.startswith(_TARGETS) else ():
            if target["scrapePool"] == job:
                last = datetime.fromisoformat(target["lastScrape"])
                target["lastScrape"] = (last - timedelta(seconds=seconds)).isoformat()

    return _changed(port, before)


def with_flag(port: int, name: str, value: str) -> contextlib.AbstractContextManager[str]:
    """Give the address of a Prometheus that was started with another value of a flag."""

    def other(path: str, _: bytes, data: Any) -> None:
        if path.startswith(_FLAGS):
            data[name] = value

    return _changed(port, other)


@contextlib.contextmanager
def _changed(port: int, edit: Edit) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(port, edit))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(port: int, edit: Edit) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, content_type, body = _passed_on(port, self.command, self.path, asked)
            if content_type.startswith("application/json"):
                document = json.loads(body)
                edit(self.path, asked, document.get("data"))
                body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - theirs

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            """Log nothing."""

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
