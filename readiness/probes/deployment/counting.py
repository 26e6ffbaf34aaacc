"""How many replicas can serve, counted again and again while something changes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.errors import CouldNotMeasure
from readiness.probes.deployment.adapters.adapter import Adapter

_PERIOD_S: Final = 0.5


class Counter:
    """Asks the tool in a thread of its own; made by `counting`."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._counts: list[tuple[float, int]] = []
        self.problem: CouldNotMeasure | None = None

    def between(self, begin: float, end: float) -> tuple[tuple[float, int], ...]:
        """The counts of a time, on the clock `time.monotonic`."""
        return tuple((at, count) for at, count in self._counts if begin <= at < end)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the question that is under way is waited for."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            asked = time.monotonic()
            try:
                count = self._adapter.replicas()
            except CouldNotMeasure as error:
                self.problem = error  # a count that is missing may be the one that counts
                return
            if count is None:
                return
            # What was true while it was asked: an answer takes its time.
            self._counts.append((asked, count))
            self._over.wait(max(0.0, asked + _PERIOD_S - time.monotonic()))


@contextmanager
def counting(adapter: Adapter) -> Iterator[Counter]:
    """Count while the block runs."""
    counter = Counter(adapter)
    counter.start()
    try:
        yield counter
    finally:
        counter.stop()
