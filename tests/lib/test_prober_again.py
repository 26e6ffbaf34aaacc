"""What was not measured is tried again, and not for ever."""

from dataclasses import dataclass

import pytest

from readiness.lib.prober import watched
from readiness.lib.prober.watched import fairly


@dataclass(frozen=True)
class Done:
    number: int
    is_starved: bool


class Drills:
    """A machine that is too busy for the first few."""

    def __init__(self, starved: int) -> None:
        self.starved, self.done = starved, 0

    def __call__(self) -> Done:
        self.done += 1
        return Done(self.done, self.done <= self.starved)


def test_what_was_measured_is_done_once() -> None:
    assert fairly(Drills(0)) == Done(1, False)


def test_a_short_drill_is_done_until_it_is_seen() -> None:
    assert fairly(Drills(3)) == Done(4, False)


def test_not_for_ever() -> None:
    assert fairly(Drills(100)) == Done(6, True)


def test_a_long_drill_is_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_PATIENCE_S", -1)
    assert fairly(Drills(100)) == Done(2, True)
