"""Listens where a webhook of Alertmanager ends, and answers as it is told to: errors, delays."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter, ValidationError

from readiness.areas.alerting.probes.webhooks import served
from readiness.lib import api
from readiness.model.errors import CouldNotMeasure

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
        notification: what it told; None if it was no notification.
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
        label: which label tells the alert from others.
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
