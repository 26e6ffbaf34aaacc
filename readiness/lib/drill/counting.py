"""Polls a tool, such as for the replica count, while something changes."""

import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from readiness.lib import command
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData

_PERIOD_S: Final = 1.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Said(Generic[_T]):
    """One answer, which was true at some time between question (`asked`) and arrival (`came`).

    Both are on the clock `time.monotonic`.
    """

    asked: float
    came: float
    what: _T


class Sampler(Generic[_T]):
    """Polls in a thread of its own; made by `sampling`.

    Attributes:
        problem: why polling stopped; None while it goes on.
    """

    def __init__(self, ask: Callable[[], _T | None], period_s: float) -> None:
        self._ask = ask
        self._period_s = period_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._said: list[Said[_T]] = []
        self.problem: CouldNotMeasure | None = None

    def between(self, begin: float, end: float = float("inf")) -> tuple[tuple[float, _T], ...]:
        """The answers to questions of a period, each with the time of its question."""
        return tuple((said.asked, said.what) for said in self.said(begin, end))

    def said(self, begin: float, end: float = float("inf")) -> tuple[Said[_T], ...]:
        """The answers to questions of a period."""
        return tuple(said for said in self._said if begin <= said.asked < end)

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, after the current question."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            asked = time.monotonic()
            try:
                said = self._ask()
            except CouldNotMeasure as error:
                self.problem = error  # the missing answer may be the decisive one
                return
            if said is None:
                return
            self._said.append(Said(asked, time.monotonic(), said))
            self._over.wait(max(0.0, asked + self._period_s - time.monotonic()))


@contextmanager
def sampling(ask: Callable[[], _T | None], period_s: float = _PERIOD_S) -> Iterator[Sampler[_T]]:
    """Call `ask` every `period_s` seconds while the block runs; an answer of None ends it."""
    sampler = Sampler(ask, period_s)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def counted(argv: Sequence[str], remedy: str) -> int:
    """The number of replicas that a command prints.

    Raises:
        CouldNotMeasure: it fails, or prints something other than a whole number.
    """
    said = command.run(argv, "count the replicas", remedy, timeout_s=command.ASK_S)
    printed = said.strip()
    if not re.fullmatch(r"[0-9]{1,6}", printed, re.ASCII):
        raise NoData(
            f"printed {clean(printed, 60)!r}, which is not a number of replicas",
            where=shlex.join(argv),
            remedy=remedy,
        )
    return int(printed)
