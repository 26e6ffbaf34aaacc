"""A message that arrived, and what all readers have in common."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, Self

TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        text: all texts of it, one a line.
        at: when it arrived, as Unix time by the clock of the receiver; None if unknown.
    """

    text: str
    at: float | None = None


class Reader(Protocol):
    """Reads one channel.

    Attributes:
        poll_s: seconds to leave between two readings, as the service behind it permits.
    """

    poll_s: float

    def read(self, probe: str) -> list[Message]:
        """The messages that contain this text, oldest first.

        Raises:
            CouldNotMeasure: the channel cannot be read.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def messages_in(body: str, probe: str, time_field: str) -> list[Message]:
    """The messages of a body: a JSON list has one in each entry, anything else one a line."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = body.splitlines()
    entries = found if isinstance(found, list) else [found]
    messages = [Message("\n".join(texts(e)), _time_of(e, time_field)) for e in entries]
    return [message for message in messages if probe in message.text]


def texts(found: object) -> Iterator[str]:
    """All texts, those inside of JSON inside of a text too."""
    if isinstance(found, dict):
        for value in found.values():
            yield from texts(value)
    elif isinstance(found, list):
        for value in found:
            yield from texts(value)
    elif isinstance(found, str):
        inner = _unfolded(found)
        if inner is None:
            yield found
        else:
            yield from texts(inner)


def _unfolded(text: str) -> object:
    """What a text holds that is JSON itself: a gateway keeps the body that it was sent."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _time_of(entry: object, field: str) -> float | None:
    told = entry.get(field) if isinstance(entry, dict) else None
    return unix_time(told) if isinstance(told, str) else None


def unix_time(text: str) -> float | None:
    """An RFC 3339 time as Unix time; without a zone it is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
