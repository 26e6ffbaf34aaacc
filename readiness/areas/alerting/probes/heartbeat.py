"""Waits for the next beat of an alert that always fires, where it is missed when it stops."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.inboxes import Message, Reader, reader_of
from readiness.areas.alerting.probes.round_trip import Watched
from readiness.model.errors import NoData


@dataclass(frozen=True, slots=True)
class Beat:
    """The next beat.

    Attributes:
        waited_s: seconds until it came; None if it did not.
        last_known: when the last one before it came, in words.
    """

    waited_s: float | None
    last_known: str


class Beats:
    """Waits for a message that was not there when it began to look.

    Raises:
        CouldNotMeasure: the channel cannot be read: what is there later might be old.
    """

    def __init__(self, channel: Channel, reader: Reader, text: str) -> None:
        self._watched = Watched(channel, reader)
        self._text = text
        self._look()
        self.before = self._watched.messages

    def next_s(self, within_s: float) -> float | None:
        """Seconds until one comes; None if none does in time.

        Raises:
            CouldNotMeasure: the channel cannot be read at the end of that time.
        """
        began = time.monotonic()
        while time.monotonic() - began <= within_s:
            self._watched.look(self._text)
            if _is_newer(self._watched.messages, self.before):
                return time.monotonic() - began
            time.sleep(self._watched.reader.poll_s)
        self._look()
        came = _is_newer(self._watched.messages, self.before)
        return time.monotonic() - began if came else None

    def _look(self) -> None:
        self._watched.look(self._text)
        self._watched.must_be_read()


@contextmanager
def beats(channel: Channel, text: str) -> Iterator[Beats]:
    """Look at a channel for messages with some text, from now on.

    Raises:
        NoData: the channel has no inbox.
        CouldNotMeasure: it cannot be read.
    """
    if channel.inbox is None:
        raise NoData(
            f"the channel {channel.name} has no inbox: nobody can see what arrives there",
            where=f"[alerting.channels.{channel.name}]",
            remedy="add its inbox",
        )
    with reader_of(channel) as reader:
        yield Beats(channel, reader, text)


def next_beat(channel: Channel, name: str, within_s: float) -> Beat:
    """Wait until one more message about an alert arrives than were there before.

    Args:
        channel: where the beats go.
        name: of the alert, as its messages contain it.
        within_s: how long one may take.

    Raises:
        NoData: the channel has no inbox.
        CouldNotMeasure: it cannot be read.
    """
    with beats(channel, name) as seen:
        return Beat(seen.next_s(within_s), _in_words(_newest(seen.before)))


def _is_newer(messages: Sequence[Message], before: Sequence[Message]) -> bool:
    """Whether one came; an inbox that shows the last few only does not show more of them."""
    return _newest(messages) > _newest(before) or len(messages) > len(before)


def _newest(messages: Sequence[Message]) -> float:
    return max((message.at for message in messages if message.at), default=0.0)


def _in_words(at: float) -> str:
    if not at:
        return "not known"
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
