"""Waits for the next beat of an alert that always fires, where it is missed when it stops."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from readiness.config.alerting import Channel
from readiness.errors import NoData
from readiness.probes.inboxes import Message, reader_of
from readiness.probes.round_trip import Watched


@dataclass(frozen=True, slots=True)
class Beat:
    """The next beat.

    Attributes:
        waited_s: seconds until it came; None if it did not.
        last_known: when the last one before it came, in words.
    """

    waited_s: float | None
    last_known: str


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
    if channel.inbox is None:
        raise NoData(
            f"the channel {channel.name} has no inbox: nobody can see whether a beat arrives",
            where=f"[alerting.channels.{channel.name}]",
            remedy="add its inbox",
        )
    with reader_of(channel) as reader:
        watched = Watched(channel, reader)
        watched.look(name)
        before = watched.messages
        began = time.monotonic()
        while not (came := _is_newer(watched.messages, before)):
            if time.monotonic() - began > within_s:
                break
            time.sleep(reader.poll_s)
            watched.look(name)
        if watched.problem:
            raise watched.problem
        return Beat(time.monotonic() - began if came else None, _in_words(_newest(before)))


def _is_newer(messages: Sequence[Message], before: Sequence[Message]) -> bool:
    """Whether one came; an inbox that shows the last few only does not show more of them."""
    return _newest(messages) > _newest(before) or len(messages) > len(before)


def _newest(messages: Sequence[Message]) -> float:
    return max((message.at for message in messages if message.at), default=0.0)


def _in_words(at: float) -> str:
    if not at:
        return "not known"
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
