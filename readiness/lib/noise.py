"""The noise of the measuring machine: how much of a measured time it can explain.

A machine with more to do than it has processors wakes threads late and lets them wait for a
processor, and its host may take CPU time away. All of it makes a fast target look slow, and nothing
makes a slow one look fast. Noise also comes and goes. Therefore the fastest of several answers is
taken as the target's own, and noise may explain a part of what others took longer:

    own time >= measured - the larger of 10 late wake-ups and (measured - fastest) x time lost,
                and never less than the fastest

* What mostly waits is delayed at each wake-up. A request changes hands about ten times: generator,
  client, service, its pool, the database, and back. Each is taken to be as late as 19 of 20
  wake-ups were; judgements on the tail (above the p95) also allow for the latest of all, once.
* What mostly works is delayed in proportion: by the share of the time in which a thread waited for
  a processor (`/proc/pressure/cpu`), what the host stole (`/proc/stat`, proc(5)), and what a thread
  that wants to work every 10 ms spends waiting.

With 18 busy processes on two processors, a service that answers in 10 ms was seen to answer in
380 ms (p95): 98 % of the time was lost, though wake-ups were 1 ms late. Its fastest answer took
10 ms, so that this proves nothing. If each request sleeps for a second, the fastest took a second.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib.sampling import Bounds, percentile
from readiness.model.measurement import Measurement

_TICK_S: Final = 0.01
_HANDOVERS: Final = 10
USUAL: Final = 0.95
"""Judgements above this quantile are on the tail."""
_MUCH_S: Final = 0.25
_STAT: Final = Path("/proc/stat")
_PRESSURE: Final = Path("/proc/pressure/cpu")
# The column of the line "cpu" with the stolen time, in clock ticks; see proc(5).
_STOLEN: Final = 8


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise during a measurement.

    Attributes:
        usual_s: 19 of 20 wake-ups were at most this late, in seconds.
        worst_s: the latest wake-up.
        lost: the share of the time that was lost, 0 to 1.
        ticks: the number of wake-ups.
    """

    usual_s: float
    worst_s: float
    lost: float
    ticks: int = 1

    def explains(self, seconds: float, fastest: float, q: float = USUAL) -> float:
        """How much of a time it can explain, in seconds.

        Args:
            seconds: the time.
            fastest: the fastest time of the same sample.
            q: the quantile that it is of the sample.
        """
        more = max(0.0, seconds - fastest)
        rare = self.worst_s if q > USUAL else 0.0
        return min(more, max(_HANDOVERS * self.usual_s + rare, more * self.lost))

    def own(self, seconds: float, fastest: float, q: float = USUAL) -> float:
        """The least that the target took itself."""
        return seconds - self.explains(seconds, fastest, q)

    def keeps(
        self, bounds_ms: Bounds, most_ms: float, fastest_ms: float, q: float = USUAL
    ) -> bool | None:
        """Whether the target keeps a limit; None if that cannot be told.

        Args:
            bounds_ms: the bounds of the latency as it was measured.
            most_ms: the limit.
            fastest_ms: the fastest time of the sample.
            q: the quantile that it is of the sample.
        """
        if bounds_ms.upper is not None and bounds_ms.upper <= most_ms:
            return True
        lower = bounds_ms.lower
        if lower is None:
            return None
        return False if self.own(lower / 1000, fastest_ms / 1000, q) * 1000 > most_ms else None

    def keeps_time(
        self, ms: float, most_ms: float, fastest_ms: float, q: float = USUAL
    ) -> bool | None:
        """The same for a single time."""
        return self.keeps(Bounds(ms, ms, ms), most_ms, fastest_ms, q)

    def keeps_rate(self, rate: float, least: float, each_s: float, fastest_s: float) -> bool | None:
        """The same for a rate, if one of its operations took so long, and the fastest so long."""
        if rate >= least:
            return True
        return False if rate * each_s < least * self.own(each_s, fastest_s) else None

    @property
    def is_much(self) -> bool:
        """Whether it also explains that an answer did not come in time."""
        return self.explains(1.0, fastest=0.0, q=1.0) > _MUCH_S

    @property
    def measurement(self) -> Measurement:
        """The noise for the evidence."""
        ms = 1000 * self.usual_s
        return Measurement(
            "noise of this machine: p95 of late wake-ups", ms, "ms", str(self), samples=self.ticks
        )

    def __str__(self) -> str:
        return (
            f"{self.lost:.0%} of the time lost, wake-ups {1000 * self.usual_s:.2g} ms late"
            f" (p95; latest {1000 * self.worst_s:.2g} ms)"
        )


SILENCE: Final = Noise(0.0, 0.0, 0.0)


class Watch:
    """Measures how late a thread wakes, repeatedly; made by `watching`."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._late_s: list[float] = []
        self._began = time.monotonic()
        self._before = _stolen_s(), _waited_s()
        self._thread = threading.Thread(target=self._look, name="noise", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        due = self._began + _TICK_S
        while not self._end.wait(max(0.0, due - time.monotonic())):
            # All ticks that were due meanwhile were late: a stall weighs as long as it lasts.
            while due <= (moment := time.monotonic()):
                self._late_s.append(moment - due)
                due += _TICK_S

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    def seen(self) -> Noise:
        """The noise since the start."""
        late = list(self._late_s) or [0.0]
        mean = sum(late) / len(late)
        passed = time.monotonic() - self._began
        stolen, waited = _stolen_s() - self._before[0], _waited_s() - self._before[1]
        lost = max(max(0.0, stolen / passed) + mean / (mean + _TICK_S), waited / passed)
        return Noise(
            usual_s=percentile(late, USUAL),
            worst_s=max(late),
            lost=min(1.0, lost),
            ticks=len(late),
        )


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch the machine until the end of the block."""
    watch = Watch()
    try:
        yield watch
    finally:
        watch.stop()


def _waited_s() -> float:
    """Seconds in which at least one thread waited for a processor; 0 if unknown.

    The first line is `some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS`.
    """
    with suppress(OSError, ValueError, IndexError):
        first = _PRESSURE.read_text(encoding="ascii").partition("\n")[0]
        return int(first.rpartition("total=")[2]) / 1_000_000
    return 0.0


def _stolen_s() -> float:
    """Seconds stolen since the machine started, over all processors; 0 if unknown."""
    with suppress(OSError, ValueError, IndexError):
        first = _STAT.read_text(encoding="ascii").partition("\n")[0]
        return int(first.split()[_STOLEN]) / os.sysconf("SC_CLK_TCK")
    return 0.0
