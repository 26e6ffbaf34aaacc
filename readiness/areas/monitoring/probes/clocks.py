"""How far the clock of another program is from ours."""

from dataclasses import dataclass
from typing import Final, Protocol

from readiness.model.measurement import Measurement

_ASKED: Final = 3


class Clock(Protocol):
    """What tells its time: a Prometheus, an Alertmanager."""

    url: str

    def clock_offset_s(self) -> tuple[float, float]:
        """How far it is ahead of ours, and how exactly that is known; both in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a clock is from ours.

    Attributes:
        name: whose it is.
        url: where it was asked.
        ahead_s: seconds that it is ahead of ours; negative where it is behind.
        error_s: seconds by which that may be wrong.
    """

    name: str
    url: str
    ahead_s: float
    error_s: float

    def least(self) -> Measurement:
        """The least that it is off, in seconds, whatever the way there and back hides."""
        return Measurement(
            f"clock of {self.name} at {self.url}, off by at least",
            max(0.0, abs(self.ahead_s) - self.error_s),
            "s",
            f"GET {self.url}",
            _ASKED,
        )


def offset_of(clock: Clock, name: str) -> Offset:
    """The most exact of three answers.

    Raises:
        CouldNotMeasure: it does not answer, or tells no time.
    """
    ahead, error = min((clock.clock_offset_s() for _ in range(_ASKED)), key=lambda pair: pair[1])
    return Offset(name, clock.url, ahead, error)
