"""Webhooks of Alertmanager that end here: a drill answers them as needed, a sink records them."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

from pydantic import Field, TypeAdapter, ValidationError

from readiness.areas.alerting.config import Channel, Config, DeliveryDrill, SyntheticProbe
from readiness.areas.alerting.inboxes import Watched, must_be_read, reader_of, wait
from readiness.areas.alerting.probes.synthetic import DRILL_PREFIX, new_probe, synthetic
from readiness.config.base.watching import Alertmanager
from readiness.lib import api
from readiness.model.errors import CouldNotMeasure, NoData

OK: Final = 200
_MOST_BYTES: Final = 64 * 1024 * 1024
Take = Callable[[str, bytes], int]
"""Takes the path and the body of one request; gives the status of the answer."""


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
    """Serve while the block runs, each request in a thread of its own; gives the port.

    A connection that is kept alive would bring calls meant for the next server on this port here.

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


class _Alert(api.Reply):
    status: str
    labels: dict[str, str]
    fingerprint: str = ""


class Notification(api.Reply):
    """What Alertmanager posts to a webhook (version 4)."""

    status: str  # `firing` or `resolved`
    alerts: tuple[_Alert, ...]
    group_labels: dict[str, str] = Field(default={}, alias="groupLabels")
    truncated: int = Field(0, alias="truncatedAlerts")  # how many more `max_alerts` left out


_NOTIFICATION: Final = TypeAdapter(Notification)


def _notification(body: bytes) -> Notification | None:
    """What a request contained; None if it was not from Alertmanager."""
    try:
        return _NOTIFICATION.validate_json(body)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came."""

    at: float  # as Unix time
    status: int  # of the answer
    notification: Notification | None

    def has(self, label: str, value: str) -> bool:
        """Whether one of its alerts carries this label."""
        sent = self.notification
        return sent is not None and any(a.labels.get(label) == value for a in sent.alerts)


Answer = Callable[[int], tuple[int, float]]
"""Gives status and delay in seconds for the n-th call, from 0."""


class Listener:
    """The calls that came for one alert, and how the next ones are answered.

    A call for another alert, such as a late message of an earlier check, is accepted and ignored.
    """

    def __init__(self, answer: Answer, label: str, value: str) -> None:
        self._answer = answer
        self._wanted = label, value
        self._calls: list[Call] = []
        self._came = threading.Condition()
        self._closing = threading.Event()

    def wait(self, enough: Callable[[Sequence[Call]], bool], within_s: float) -> list[Call]:
        """Wait until the calls are enough, or the time is over; gives them."""
        with self._came:
            self._came.wait_for(lambda: enough(self._calls), within_s)
            return list(self._calls)

    def take(self, body: bytes) -> int:
        """Note a call, and give the status of its answer, after the delay that was asked for."""
        with self._came:
            call = Call(time.time(), OK, _notification(body))
            if not call.has(*self._wanted):
                return OK
            status, delay_s = self._answer(len(self._calls))
            self._calls.append(replace(call, status=status))
            self._came.notify_all()
        self._closing.wait(delay_s)
        return status

    def close(self) -> None:
        """Answer the calls that are kept waiting."""
        self._closing.set()


@contextmanager
def listening(listen: str, answer: Answer, label: str, value: str) -> Iterator[Listener]:
    """Listen on `host:port` while the block runs, for the alert with this label.

    Raises:
        CouldNotMeasure: that address cannot be listened on.
    """
    host, _, port = listen.rpartition(":")
    listener = Listener(answer, label, value)
    with ExitStack() as stack:
        try:
            stack.enter_context(
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


@dataclass(frozen=True, slots=True)
class Received:
    """One alert in one message."""

    place: str  # the path that the message came to
    labels: Mapping[str, str]
    group: Mapping[str, str]  # the labels of the group in which it was sent
    at: float  # on the clock `time.monotonic`


class Sink:
    """Listens on 127.0.0.1; use it as a context manager."""

    def __init__(self) -> None:
        self._raw: list[tuple[str, bytes, float]] = []
        self._read = 0
        self._received: list[Received] = []
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

    def received(self) -> list[Received]:
        """Every alert of the firing messages, in the order in which they came."""
        for path, body, at in self._raw[self._read :]:
            self._read += 1
            if message := _notification(body):
                self._received += [
                    Received(path, alert.labels, message.group_labels, at)
                    for alert in message.alerts
                    if alert.status == "firing"
                ]
        return self._received

    def _keep(self, path: str, body: bytes) -> int:
        """Take the time before the message is parsed."""
        self._raw.append((path, body, time.monotonic()))
        return OK


@dataclass(frozen=True, slots=True)
class Drilled:
    """The outcome of one drill."""

    sent_at: float  # when the alert was handed over, as Unix time
    calls: tuple[Call, ...]  # those that contained it, in their order
    beside_s: float | None = None  # until the channel beside the webhook had it; None if never

    @property
    def accepted_s(self) -> float | None:
        """Seconds from the hand-over until the first call that was accepted; None without one."""
        return next((call.at - self.sent_at for call in self.calls if call.status == OK), None)


def fingerprints(calls: Sequence[Call]) -> set[str]:
    """The fingerprints of all alerts in these calls."""
    sent = [call.notification for call in calls if call.notification]
    return {alert.fingerprint for notification in sent for alert in notification.alerts}


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """Where drills are sent, and where their webhook ends."""

    alertmanager: Alertmanager
    probe: SyntheticProbe
    drill: DeliveryDrill
    beside: Channel

    @classmethod
    def of(cls, config: Config) -> "DrillPlan":
        """The plan.

        Raises:
            NoData: a table is missing, or the channel beside it cannot be read.
        """
        alertmanager, alerting = config.alertmanager, config.alerting
        probe = alerting.probe if alerting else None
        if alertmanager is None or alerting is None or probe is None or probe.drill is None:
            raise NoData(
                "a drill of the delivery needs [alertmanager] and [alerting.probe.drill]",
                where="readiness.toml",
                remedy="see an example: readiness init --template example.toml",
            )
        beside = alerting.channels[probe.drill.beside]
        if beside.inbox is None:
            raise NoData(
                f"the channel {beside.name} has no inbox: its messages cannot be read",
                where=f"[alerting.channels.{beside.name}]",
                remedy=f"add [alerting.channels.{beside.name}.inbox], or name another channel in"
                " [alerting.probe.drill] beside",
            )
        return cls(alertmanager, probe, probe.drill, beside)


def answered(
    plan: DrillPlan,
    answer: Answer,
    enough: Callable[[Sequence[Call]], bool],
    *,
    within_s: float,
    count: int = 1,
) -> Drilled:
    """Send `count` alerts whose webhook ends here, and take its calls until they are enough.

    Raises:
        NoData: no call came at all, so that retries cannot be judged.
        CouldNotMeasure: the address is taken, or an Alertmanager does not take the alert.
        SafetyRefusal: the alert would reach another receiver.
    """
    probe = new_probe(DRILL_PREFIX)
    with (
        listening(plan.drill.listen, answer, plan.probe.label, probe) as listener,
        synthetic(plan.alertmanager, plan.probe, drill=True) as sender,
    ):
        sender.hops(probe)
        sent = sender.send(probe, count=count)
        calls = listener.wait(enough, within_s)
        if not calls:
            raise _never_called(plan, within_s)
        sender.end(sent)
    return Drilled(sent.at, tuple(calls))


def beside_hanging(plan: DrillPlan, hang_s: float) -> Drilled:
    """Let the webhook hang, and see when the channel beside it is notified.

    Raises:
        NoData: the webhook was not called, so that nothing hung.
        CouldNotMeasure: the channel cannot be read, or an Alertmanager does not take the alert.
        SafetyRefusal: the alert would reach another receiver.
    """
    probe = new_probe(DRILL_PREFIX)
    with ExitStack() as stack:
        hang = listening(plan.drill.listen, lambda _: (OK, hang_s), plan.probe.label, probe)
        listener = stack.enter_context(hang)
        sender = stack.enter_context(synthetic(plan.alertmanager, plan.probe, drill=True))
        watched = Watched(plan.beside, stack.enter_context(reader_of(plan.beside)))
        sender.hops(probe)
        watched.look(probe)
        sent = sender.send(probe)
        began = time.monotonic()
        calls = listener.wait(bool, hang_s)
        if not calls:
            raise _never_called(plan, hang_s)
        wait([watched], probe, began + hang_s)
        must_be_read([watched])
        listener.close()
        sender.end(sent)
    return Drilled(sent.at, tuple(calls), watched.after_s(sent.at, ended=False))


def _never_called(plan: DrillPlan, within_s: float) -> NoData:
    return NoData(
        f"the webhook of receiver {plan.drill.receiver} was not called within {within_s:g} s",
        where=f"[alerting.probe.drill] listen = {plan.drill.listen}",
        remedy="point a webhook of that receiver to this machine, as Alertmanager sees it: "
        f"webhook_configs: [{{url: 'http://THIS-HOST:{plan.drill.listen.rpartition(':')[2]}/'}}]",
    )
