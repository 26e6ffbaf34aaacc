"""Starts an instance from nothing, and sends it its first requests as a balancer would."""

import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from readiness.areas.performance.config import ColdStart, Request
from readiness.areas.performance.pressure import Asked, Crowd, Sender
from readiness.config.base.tables import Service
from readiness.lib import command
from readiness.lib.command import Started
from readiness.lib.guardian import Undo
from readiness.model.errors import CouldNotMeasure, NoData

PATIENCE: Final = 3
"""How many times as long as is agreed a start is awaited, to tell how long it takes."""
_POLL_S: Final = 0.02
_LOOK_S: Final = 5.0
_END_S: Final = 5.0
# A client that gives up does not see how much later an answer would have come.
_LONGER_S: Final = 10.0
_REMEDY: Final = "run `start` by hand, and see what it says"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Begun:
    """The first seconds of an instance.

    Attributes:
        ready_s: from the start until it might get requests; None if it was not ready in time.
        served_s: from the start to the first good answer; None if there was none in time.
        waited_s: how long both were awaited at most.
        asked: all requests from then on, in order.
        source: what was started.
    """

    ready_s: float | None
    served_s: float | None
    waited_s: float
    asked: tuple[Asked, ...]
    source: str

    @property
    def all(self) -> Crowd:
        """All requests."""
        return Crowd(self.asked, self.source)

    @property
    def good(self) -> Crowd:
        """Those that were answered well."""
        return Crowd(tuple(one for one in self.asked if not one.problem), self.source)

    @property
    def start_ms(self) -> float:
        """Milliseconds to the first good answer, or for how long it was awaited."""
        return 1000 * (self.waited_s if self.served_s is None else self.served_s)


def started(cold: ColdStart, service: Service, undo: Undo) -> Begun:
    """Start the instance, send it requests once it may get them, and stop it whatever happens.

    Args:
        cold: the commands, the address, and the requests.
        service: what it is an instance of; has the token.
        undo: stops it if this process is killed meanwhile.

    Raises:
        CouldNotMeasure: something answers at its address before or after, or a command failed.
    """
    if _listens(cold.url):
        raise CouldNotMeasure(
            "something listens before it is started: that is not a cold start",
            where=cold.url,
            remedy=f"end it: {shlex.join(cold.stop)}",
        )
    token = undo.run(cold.stop)
    try:
        began = time.monotonic()
        with command.started(cold.start, f"start {cold.name}", _REMEDY) as running:
            try:
                return _begin(cold, service, running, began)
            finally:
                _stop(cold)
    finally:
        undo.forget(token)


def _begin(cold: ColdStart, service: Service, running: Started, began: float) -> Begun:
    instance = service.model_copy(update={"url": cold.url})
    sender = Sender(instance, cold.max_first_ms / 1000 + _LONGER_S)
    waited_s = PATIENCE * cold.max_start_s
    deadline = began + waited_s
    source = f"{cold.method} {cold.url}{cold.path} after {shlex.join(cold.start)}"
    if not _is_ready(_readiness(cold, instance), running, deadline):
        return Begun(None, None, waited_s, (), source)
    ready_s = time.monotonic() - began
    asked: list[Asked] = []
    served_s = None
    good = 0
    end = deadline + cold.requests * cold.max_first_ms / 1000
    while good < cold.requests and time.monotonic() < end:
        asked.append(sender.once(cold))
        if asked[-1].problem:
            _check(running)
            time.sleep(_POLL_S)
            continue
        good += 1
        served_s = served_s or time.monotonic() - began
    return Begun(ready_s, served_s, waited_s, tuple(asked), source)


def _readiness(cold: ColdStart, instance: Service) -> Callable[[], bool]:
    """Whether it may get requests now."""
    if cold.ready is None:
        return lambda: _listens(cold.url)
    page = Request(path=cold.ready)
    sender = Sender(instance, _LOOK_S)
    return lambda: not sender.once(page).problem


def _is_ready(look: Callable[[], bool], running: Started, deadline: float) -> bool:
    while not look():
        _check(running)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _check(running: Started) -> None:
    answer = running.poll()
    if answer and answer.status:
        raise CouldNotMeasure(
            f"the command to start it ended with {answer.status}: {answer.said}", remedy=_REMEDY
        )


def _stop(cold: ColdStart) -> None:
    remedy = f"run it by hand, and make sure that nothing answers at {cold.url}"
    command.run(cold.stop, f"stop {cold.name}", remedy)
    deadline = time.monotonic() + _END_S
    while _listens(cold.url):
        if time.monotonic() > deadline:
            raise NoData("it still accepts connections after `stop`", where=cold.url, remedy=remedy)
        time.sleep(_POLL_S)


def _listens(url: str) -> bool:
    """Whether connections are accepted, which is all that a balancer without checks knows."""
    parts = urlsplit(url)
    try:
        socket.create_connection(
            (parts.hostname or "", parts.port or _PORTS[parts.scheme]), _LOOK_S
        ).close()
    except OSError:
        return False
    return True
