"""Raises alerts in an alert engine of the target's own, and follows them to whoever is told."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.engine_config import AlertEngine
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.probes.engine_records import Entry, count, entry
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import new_probe
from readiness.lib import command
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure

_T = TypeVar("_T")
_POLL_S: Final = 0.25
_REMEDY: Final = "run it by hand, as it stands in [alerting.engine]"


class Raised:
    """One alert in the engine: raised as the block begins, ended with it at the latest.

    Args:
        engine: how it is raised and ended.
        undo: ends it should this process die.

    Attributes:
        probe: its id.
        began: when the trigger was called, as Unix time.
        done: when it had been taken. The engine's own clock began in between.
    """

    def __init__(self, engine: AlertEngine, undo: Undo) -> None:
        self.probe = new_probe()
        self.began = self.done = 0.0
        self._engine = engine
        self._undo = undo
        self._token: int | None = None
        # Where nothing ends it, at least nobody further is told.
        escalation = engine.escalation
        ends = engine.resolve or (escalation.acknowledge if escalation else None)
        self._ends = self._words(ends) if ends else None

    def __enter__(self) -> Self:
        if self._ends:
            self._token = self._undo.run(self._ends)
        self.began = time.time()
        try:
            command.run(self._words(self._engine.trigger), "raise an alert", _REMEDY)
        except CouldNotMeasure:
            with suppress(CouldNotMeasure):  # it may have been raised all the same
                self.end()
            raise
        self.done = time.time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What went wrong first is the more telling, and the guardian tries it again.
        with suppress(*([CouldNotMeasure] if problem else [])):
            self.end()

    def acknowledge(self, words: Sequence[str]) -> None:
        """Acknowledge it, by this command.

        Raises:
            CouldNotMeasure: the command fails.
        """
        command.run(self._words(words), "acknowledge an alert", _REMEDY)

    def end(self) -> None:
        """End it, unless that has been done.

        Raises:
            CouldNotMeasure: the command fails; it is tried once more when the guardian ends.
        """
        if self._token is None or self._ends is None:
            return
        token, self._token = self._token, None
        command.run(self._ends, "end an alert", _REMEDY)
        self._undo.forget(token)

    def _words(self, argv: Sequence[str]) -> list[str]:
        return [word.replace("{probe}", self.probe) for word in argv]


@dataclass(frozen=True, slots=True)
class Told:
    """What one alert left behind. A part that could not be read is the error itself.

    Attributes:
        probe: its id.
        heard: seconds until each channel had it, by name; None if it never came.
        raised: its entry in the history while it lasted; None without a history.
        ended: the same once it had ended; None where nothing ends it either.
        counted: by how much the statistics moved; None without statistics.
    """

    probe: str
    heard: Mapping[str, float | CouldNotMeasure | None]
    raised: Entry | CouldNotMeasure | None
    ended: Entry | CouldNotMeasure | None
    counted: float | CouldNotMeasure | None


def follow(engine: AlertEngine, channels: Sequence[Channel], undo: Undo) -> Told:
    """Raise an alert, see it arrive, see what the engine writes down, end it, and look again.

    Args:
        engine: the engine.
        channels: those that must hear it.
        undo: ends the alert should this process die.

    Raises:
        CouldNotMeasure: a command fails.
    """
    with ExitStack() as stack:
        watched = [Watched(c, stack.enter_context(reader_of(c))) for c in channels]
        before = _number(engine)
        alert = stack.enter_context(Raised(engine, undo))
        # Twice the time: what comes late is told from what never comes.
        wait(watched, alert.probe, time.monotonic() + 2 * engine.within_s)
        deadline = time.monotonic() + engine.within_s
        counted = _moved(engine, before, deadline)
        raised = _noted(engine, alert.probe, deadline, ended=False)
        alert.end()
        deadline = time.monotonic() + engine.within_s
        ended = _noted(engine, alert.probe, deadline, ended=True) if engine.resolve else None
    heard = {w.channel.name: heard_after(w, alert.began) for w in watched}
    return Told(alert.probe, heard, raised, ended, counted)


def heard_after(watched: Watched, since: float) -> float | CouldNotMeasure | None:
    """Seconds until a channel had the alert; None if it never came, the error if none can tell."""
    after_s = watched.after_s(since, ended=False)
    return watched.problem if after_s is None and watched.problem else after_s


def was_noted(engine: AlertEngine, probe: str) -> bool:
    """Whether the history, if there is one that can be read, has an alert now."""
    if engine.history is None:
        return False
    with suppress(CouldNotMeasure):
        return entry(engine.history, probe).found
    return False


def _number(engine: AlertEngine) -> float | CouldNotMeasure | None:
    settings = engine.statistics
    return _or_error(lambda: count(settings)) if settings else None


def _moved(
    engine: AlertEngine, before: float | CouldNotMeasure | None, deadline: float
) -> float | CouldNotMeasure | None:
    """By how much the number moved, as soon as it is by one, or at the deadline."""
    settings = engine.statistics
    if settings is None or before is None or isinstance(before, CouldNotMeasure):
        return before
    start = before
    return _until(lambda: count(settings) - start, lambda moved: moved >= 1, deadline)


def _noted(
    engine: AlertEngine, probe: str, deadline: float, *, ended: bool
) -> Entry | CouldNotMeasure | None:
    """The entry of the history, as soon as there is one (that has ended), or at the deadline."""
    settings = engine.history
    if settings is None:
        return None
    return _until(
        lambda: entry(settings, probe),
        lambda seen: seen.found and (seen.ended or not ended),
        deadline,
    )


def _until(
    read: Callable[[], _T], good: Callable[[_T], bool], deadline: float
) -> _T | CouldNotMeasure:
    while True:
        found = _or_error(read)
        if time.monotonic() >= deadline:
            return found
        if not isinstance(found, CouldNotMeasure) and good(found):
            return found
        time.sleep(_POLL_S)


def _or_error(read: Callable[[], _T]) -> _T | CouldNotMeasure:
    try:
        return read()
    except CouldNotMeasure as error:
        return error
