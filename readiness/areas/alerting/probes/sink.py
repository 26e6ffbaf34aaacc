"""Takes what a private Alertmanager sends to webhooks, and remembers when it came."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

from pydantic import Field, TypeAdapter, ValidationError

from readiness.areas.alerting.probes.webhooks import served
from readiness.lib import api


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

    def _keep(self, path: str, body: bytes) -> int:
        """The time is taken before the message is looked at."""
        self._raw.append((path, body, time.monotonic()))
        return HTTPStatus.OK
