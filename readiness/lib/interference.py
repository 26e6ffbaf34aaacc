"""Watches the machine that measures: time it loses to others makes a fast target look slow.

A virtual machine waits while its host serves others ("steal", `/proc/stat`, proc(5)); a crowded
one wakes its threads late. Speed that was measured meanwhile is judged only if it passes all the
same: interference makes a target slower, never faster. Otherwise it is measured again.
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

Measured = TypeVar("Measured")

_MOST_STOLEN: Final = 0.5
"""Share of the time that passed: undisturbed, all would have taken half as long at best."""
_MOST_LATE_S: Final = 0.25
_ATTEMPTS: Final = 4
_PATIENCE_S: Final = 30.0
_TICK_S: Final = 0.01
_GLANCE_S: Final = 1.0
_STAT: Final = Path("/proc/stat")
# The place of the figure in the line "cpu", behind that word; in ticks of the clock, see proc(5).
_STOLEN: Final = 8


@dataclass(frozen=True, slots=True)
class Interference:
    """What the machine lost while it was watched.

    Attributes:
        stolen: processor time that it wanted and its host gave to others, as a share of the
            time that passed (above 1 if several processors waited); 0 where nobody tells.
        late_s: by how much, at worst, a thread was woken too late; in seconds.
    """

    stolen: float
    late_s: float

    @property
    def disturbed(self) -> bool:
        """Whether speed measured meanwhile says more of the machine than of the target."""
        return self.stolen > _MOST_STOLEN or self.late_s > _MOST_LATE_S

    def __str__(self) -> str:
        return f"{self.stolen:.0%} of its time stolen, threads woken up to {self.late_s:.2g} s late"


class Watch:
    """Takes the time that a thread is woken, again and again; made by `watching`."""

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
        """What was lost since the watch began."""
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
    measure: Callable[[], Measured],
    settled: Callable[[Measured], bool],
    tell: Callable[[Measurement], None],
) -> Measured:
    """Measure, and measure again (four times at most) if others may be to blame for a miss.

    What is settled is taken as it is, and so is what misses on a quiet machine.

    Args:
        measure: takes the measurement, from the beginning.
        settled: whether it is good enough, or misses in a way that no interference explains:
            a row that was lost is lost.
        tell: is given a measurement for each attempt that was set aside.

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
        tell(Measurement("attempt set aside, machine disturbed", str(lost), "text", "/proc/stat"))
        _await_quiet()
    raise problem or CouldNotMeasure(
        f"the machine that measures was disturbed in {_ATTEMPTS} attempts, at last {lost}",
        remedy="run the gate on a machine, or at a time, with less beside it",
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
    """Seconds stolen since the machine started, over all processors; 0 where nobody tells."""
    with suppress(OSError, ValueError, IndexError):
        first = _STAT.read_text(encoding="ascii").partition("\n")[0]
        return int(first.split()[_STOLEN]) / os.sysconf("SC_CLK_TCK")
    return 0.0
