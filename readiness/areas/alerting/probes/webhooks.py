"""Servers that take what Alertmanager posts: one answers as a drill wants, one only keeps it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

from pydantic import Field, TypeAdapter, ValidationError

from readiness.lib import api
from readiness.model.errors import CouldNotMeasure

_MOST_BYTES: Final = 64 * 1024 * 1024
Take = Callable[[str, bytes], int]
"""Takes the path and the body of one request, and gives the status of its answer."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    # Many groups are sent at once; the usual five would make the others retry later.
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], take: Take, *, kept_alive: bool) -> None:
        super().__init__(address, _Handler)
        self.take = take
        self.kept_alive = kept_alive

    def handle_error(self, *_: object) -> None:
        """A client that hung up while it was kept waiting is not logged."""


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


OK: Final = 200


class _Alert(api.Reply):
    status: str
    labels: dict[str, str]
    fingerprint: str = ""


class Notification(api.Reply):
    """What Alertmanager posts to a webhook (version 4).

    Attributes:
        status: `firing` or `resolved`.
        alerts: those of the group.
        truncated: how many more there are, that `max_alerts` left out.
    """

    status: str
    alerts: tuple[_Alert, ...]
    truncatedAlerts: int = 0  # noqa: N815 - as Alertmanager calls it


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came.

    Attributes:
        at: when, as Unix time.
        status: what it was answered.
        notification: what it contained; None if it was not a notification.
    """

    at: float
    status: int
    notification: Notification | None

    def has(self, label: str, value: str) -> bool:
        """Whether one of its alerts carries this label."""
        told = self.notification
        return told is not None and any(a.labels.get(label) == value for a in told.alerts)


_NOTIFICATION: Final = TypeAdapter(Notification)
Answer = Callable[[int], tuple[int, float]]
"""Gives status and delay in seconds for the n-th call, from 0."""


class Listener:
    """The calls that came for one alert, and how the next ones are answered.

    What comes for another one, such as the late word of a peer on the check before, is taken and
    does not count.
    """

    def __init__(self, answer: Answer, label: str, value: str) -> None:
        self._answer = answer
        self._wanted = label, value
        self._calls: list[Call] = []
        self._came = threading.Condition()
        self._closing = threading.Event()

    def wait(self, enough: Callable[[Sequence[Call]], bool], within_s: float) -> list[Call]:
        """Wait until the calls are enough, or the time is over; gives them."""
        deadline = time.monotonic() + within_s
        with self._came:
            while not enough(self._calls):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._came.wait(left)
            return list(self._calls)

    def take(self, body: bytes) -> int:
        """Note a call, and say how it is to be answered, after the delay that was asked for."""
        try:
            told: Notification | None = _NOTIFICATION.validate_python(json.loads(body))
        except (ValueError, ValidationError):
            told = None
        with self._came:
            call = Call(time.time(), OK, told)
            if not call.has(*self._wanted):
                return OK
            status, delay_s = self._answer(len(self._calls))
            self._calls.append(replace(call, status=status))
            self._came.notify_all()
        self._closing.wait(delay_s)
        return status

    def close(self) -> None:
        """Let those go that are kept waiting."""
        self._closing.set()


@contextmanager
def listening(listen: str, answer: Answer, label: str, value: str) -> Iterator[Listener]:
    """Listen on `host:port` for one alert while the block runs.

    Args:
        listen: the address.
        answer: how its calls are answered.
        label: which label distinguishes the alert from others.
        value: its value.

    Raises:
        CouldNotMeasure: that address cannot be listened on.
    """
    host, _, port = listen.rpartition(":")
    listener = Listener(answer, label, value)
    with ExitStack() as stack:
        try:
            stack.enter_context(
                # A connection that stays open would bring the next listener's calls here.
                served(host, int(port), lambda _, body: listener.take(body), kept_alive=False)
            )
        except (OSError, OverflowError) as error:
            raise CouldNotMeasure(
                f"cannot be listened on: {getattr(error, 'strerror', None) or error}",
                where=f"[alerting.probe.drill] listen = {listen}",
                remedy="name an address of this machine and a port that is free"
                f" (ss -ltnp | grep {port})",
            ) from None
        stack.callback(listener.close)
        yield listener


class _SinkAlert(api.Reply):
    labels: dict[str, str]
    status: str


class _Message(api.Reply):
    alerts: tuple[_SinkAlert, ...]
    group_labels: dict[str, str] = Field(alias="groupLabels")


_MESSAGE: Final = TypeAdapter(_Message)


@dataclass(frozen=True, slots=True)
class Told:
    """One alert in one message.

    Attributes:
        place: the path that the message came to.
        labels: the alert's.
        group: the labels of the group in which it was sent.
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
        self._serving = ExitStack()
        self._port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        # Connections are kept, as Alertmanager wants it.
        serving = served("127.0.0.1", 0, self._keep, kept_alive=True)
        self._port = self._serving.enter_context(serving)
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def told(self) -> list[Told]:
        """Every alert of the firing messages, in the order in which they came."""
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

    def _keep(self, path: str, body: bytes) -> int:
        """The time is taken before the message is looked at."""
        self._raw.append((path, body, time.monotonic()))
        return HTTPStatus.OK
