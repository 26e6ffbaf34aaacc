"""Measures again: until a condition holds, or because this machine was disturbed.

Load on the measuring machine makes a fast target look slow. Its signs are CPU time stolen by the
host (`/proc/stat`, proc(5)) and threads that wake late. A pass measured meanwhile counts, because
interference makes nothing faster; a miss is measured again.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from readiness.model.errors import CouldNotMeasure, TookTooLong, Unreachable
from readiness.model.measurement import Measurement

T = TypeVar("T")

_EVERY_S: Final = 0.5
_MOST_STOLEN: Final = 0.5
"""Share of the time that passed: undisturbed, all would have taken half as long at best."""
_MOST_LATE_S: Final = 0.25
_ATTEMPTS: Final = 4
_PATIENCE_S: Final = 30.0
_TICK_S: Final = 0.01
_GLANCE_S: Final = 1.0
_STAT: Final = Path("/proc/stat")
# The column of the line "cpu" with the stolen time, in clock ticks; see proc(5).
_STOLEN: Final = 8


def until(
    look: Callable[[], T],
    good: Callable[[T], bool],
    *,
    within_s: float,
    every_s: float | None = None,
) -> T:
    """Call `look` until its result is good or the time is over; gives the last result.

    Args:
        look: its exceptions are not caught.
        good: whether to stop.
        within_s: seconds from the first call to the last one.
        every_s: seconds between two calls; default: half a second.
    """
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        left = deadline - time.monotonic()
        if good(seen) or left <= 0:
            return seen
        time.sleep(min(every_s or _EVERY_S, left))


@dataclass(frozen=True, slots=True)
class Interference:
    """The interference during a measurement.

    Attributes:
        stolen: CPU time stolen by the host, as a share of the elapsed time (above 1 if several
            CPUs waited); 0 if unknown.
        late_s: the worst delay of waking a thread, in seconds.
    """

    stolen: float
    late_s: float

    @property
    def disturbed(self) -> bool:
        """Whether a speed measured meanwhile cannot be attributed to the target."""
        return self.stolen > _MOST_STOLEN or self.late_s > _MOST_LATE_S

    def __str__(self) -> str:
        return f"{self.stolen:.0%} of its time stolen, threads woken up to {self.late_s:.2g} s late"


class Watch:
    """Measures how late a thread wakes, repeatedly; made by `watching`."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._late_s = 0.0
        self._began = time.monotonic()
        self._before = _stolen_s()
        self._thread = threading.Thread(target=self._look, name="interference", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        last = time.monotonic()
        while not self._end.wait(_TICK_S):
            moment = time.monotonic()
            self._late_s = max(self._late_s, moment - last - _TICK_S)
            last = moment

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    def seen(self) -> Interference:
        """The interference since the start."""
        passed = time.monotonic() - self._began
        return Interference((_stolen_s() - self._before) / passed, self._late_s)


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch the machine until the end of the block."""
    watch = Watch()
    try:
        yield watch
    finally:
        watch.stop()


def undisturbed(
    measure: Callable[[], T],
    settled: Callable[[T], bool],
    tell: Callable[[Measurement], None],
) -> T:
    """Measure, at most four times while interference may explain a miss.

    A settled result counts, and so does a miss on a quiet machine.

    Args:
        measure: takes the whole measurement.
        settled: whether it passes, or misses in a way that interference cannot explain, such
            as a lost row.
        tell: receives a measurement for each discarded attempt.

    Raises:
        CouldNotMeasure: as `measure` does, or the machine was disturbed each time.
    """
    for _ in range(_ATTEMPTS):
        problem = None
        with watching() as watch:
            try:
                measured = measure()
                if settled(measured):
                    return measured
            except (TookTooLong, Unreachable) as error:
                problem = error
        lost = watch.seen()
        if not lost.disturbed:
            if problem:
                raise problem
            return measured
        tell(Measurement("attempt discarded, machine disturbed", str(lost), "text", "/proc/stat"))
        _await_quiet()
    raise problem or CouldNotMeasure(
        f"the measuring machine was disturbed in all {_ATTEMPTS} attempts; last: {lost}",
        remedy="run readiness on a less busy machine, or at another time",
    )


def _await_quiet() -> None:
    """Return once the machine was quiet for a second, or after 30 s."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with watching() as watch:
            time.sleep(_GLANCE_S)
            if not watch.seen().disturbed:
                return


def _stolen_s() -> float:
    """Seconds stolen since the machine started, over all processors; 0 if unknown."""
    with suppress(OSError, ValueError, IndexError):
        first = _STAT.read_text(encoding="ascii").partition("\n")[0]
        return int(first.split()[_STOLEN]) / os.sysconf("SC_CLK_TCK")
    return 0.0
