"""What was there before is no beat, and what cannot be read is no silence."""

from collections.abc import Sequence
from typing import Self

import pytest

from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.inboxes import Message
from readiness.areas.alerting.probes.outages import Beats
from readiness.model.errors import Unreachable

CHANNEL = Channel(name="watchdog", integration="webhook")
OLD, NEW = Message("Watchdog", 100.0), Message("Watchdog", 105.0)


class Script:
    """A channel that shows one thing after the other, and goes on with the last one."""

    poll_s = 0.0

    def __init__(self, *shows: Sequence[Message] | Unreachable) -> None:
        self._shows = list(shows)

    def read(self, _: str) -> list[Message]:
        now = self._shows.pop(0) if len(self._shows) > 1 else self._shows[0]
        if isinstance(now, Unreachable):
            raise now
        return list(now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def beats(*shows: Sequence[Message] | Unreachable) -> Beats:
    return Beats(CHANNEL, Script(*shows), "Watchdog")


def test_what_was_there_before_is_no_beat() -> None:
    assert beats([OLD]).next_s(0.02) is None


def test_one_more_is_a_beat() -> None:
    assert beats([OLD], [OLD], [OLD, NEW]).next_s(5) is not None


def test_an_inbox_that_shows_the_last_one_only() -> None:
    assert beats([OLD], [NEW]).next_s(5) is not None


def test_messages_without_a_time_are_counted() -> None:
    timeless = Message("Watchdog")
    assert beats([timeless], [timeless]).next_s(0.02) is None
    assert beats([timeless], [timeless, timeless]).next_s(5) is not None


def test_a_channel_that_cannot_be_read_at_first_knows_nothing_of_before() -> None:
    with pytest.raises(Unreachable):
        beats(Unreachable("away"), [OLD])


def test_a_channel_that_is_away_for_a_moment_goes_on_from_what_it_knew() -> None:
    assert beats([OLD], Unreachable("away"), [OLD]).next_s(0.02) is None


def test_a_channel_that_cannot_be_read_at_the_end_is_an_error() -> None:
    with pytest.raises(Unreachable):
        beats([OLD], Unreachable("away")).next_s(0.02)
