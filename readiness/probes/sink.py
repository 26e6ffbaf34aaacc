"""Takes what a private Alertmanager sends to webhooks, and remembers when it came."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

from pydantic import Field, TypeAdapter, ValidationError

from readiness.probes import api

_MOST_BYTES: Final = 64 * 1024 * 1024


class _Alert(api.Reply):
    labels: dict[str, str]
    status: str


class _Message(api.Reply):
    alerts: tuple[_Alert, ...]
    group_labels: dict[str, str] = Field(alias="groupLabels")


_MESSAGE: Final = TypeAdapter(_Message)


@dataclass(frozen=True, slots=True)
class Told:
    """One alert in one message.

    Attributes:
        place: the path that the message came to.
        labels: the alert's.
        group: the labels of the group that it was told in.
        at: the clock `time.monotonic` when it came, in seconds.
    """

    place: str
    labels: Mapping[str, str]
    group: Mapping[str, str]
    at: float


class Sink:
    """Listens on 127.0.0.1; use it as a context manager."""

    def __init__(self) -> None:
        self._raw: list[tuple[str, bytes, float]] = []
        self._read = 0
        self._told: list[Told] = []
        self._server = _Server(self._keep)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self) -> list[Told]:
        """Every alert that firing messages told of, in the order in which they came."""
        for path, body, at in self._raw[self._read :]:
            self._read += 1
            try:
                message = _MESSAGE.validate_python(json.loads(body))
            except (ValueError, ValidationError):  # not from Alertmanager
                continue
            self._told += [
                Told(path, alert.labels, message.group_labels, at)
                for alert in message.alerts
                if alert.status == "firing"
            ]
        return self._told

    def _keep(self, path: str, body: bytes) -> None:
        self._raw.append((path, body, time.monotonic()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Many groups are told at once; the usual five would make the others try again later.
    request_queue_size = 512

    def __init__(self, keep: Callable[[str, bytes], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keep = keep


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as Alertmanager wants it
    server: _Server

    def do_POST(self) -> None:
        """Take one message. The time is taken before it is looked at."""
        length = min(int(self.headers.get("content-length") or 0), _MOST_BYTES)
        self.server.keep(self.path, self.rfile.read(length))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
