"""Raises alerts in an alert engine of the target's own, and follows them to people and records."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

from readiness.areas.alerting.config import (
    AlertEngine,
    Channel,
    EngineEscalation,
    EngineHistory,
    EngineStatistics,
)
from readiness.areas.alerting.inboxes import reader_of
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, texts
from readiness.areas.alerting.probes.round_trip import Watched, wait
from readiness.areas.alerting.probes.synthetic import new_probe
from readiness.lib import api, command, http
from readiness.lib.guardian import Undo
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong
from readiness.model.secrets import Secret

_OK: Final = 200
_LOGIN: Final = {401, 403}
_NAME: Final = "the statistics"


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert in the history.

    Attributes:
        found: whether it is there at all.
        ended: whether its entry says that it has ended.
    """

    found: bool
    ended: bool


def entry(history: EngineHistory, probe: str) -> Entry:
    """The entry of an alert, or of all its events where each has a row.

    Raises:
        CouldNotMeasure: the history cannot be read.
    """
    query = history.query.replace("{probe}", quote(probe, safe=""))
    url = f"{history.url}?{query}" if query else history.url
    body = _ask(url, history.bearer).body.decode("utf-8", "replace")
    rows = list(rows_of(body, probe))
    return Entry(found=bool(rows), ended=any(has_ended(row, history) for row in rows))


def rows_of(body: str, probe: str) -> Iterator[object]:
    """The rows with an id: objects of JSON, wherever a list of them lies, or lines of text."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        yield from (line for line in body.splitlines() if probe in line)
    else:
        yield from _rows(found, probe)


def _rows(found: object, probe: str) -> Iterator[object]:
    """An item of a list that has the id anywhere, or an object with the id in a text of its own."""
    if isinstance(found, list):
        for item in found:
            if isinstance(item, list):
                yield from _rows(item, probe)
            elif any(probe in text for text in texts(item)):
                yield item
    elif isinstance(found, dict):
        if any(isinstance(value, str) and probe in value for value in found.values()):
            yield found
            return
        for key, value in found.items():
            if probe in key:
                yield value
            else:
                yield from _rows(value, probe)
    elif isinstance(found, str) and probe in found:
        yield found


def has_ended(row: object, history: EngineHistory) -> bool:
    """Whether a row says that its alert has ended. Names of keys say nothing."""
    if history.end_field:
        return isinstance(row, dict) and bool(row.get(history.end_field))
    word = history.resolved_text.lower()
    return any(word in text.lower() for text in texts(row))


def count(statistics: EngineStatistics) -> float:
    """The number of alerts so far.

    Raises:
        CouldNotMeasure: it cannot be read, or is not a number.
    """
    answer = _ask(statistics.url, statistics.bearer)
    found = api.document(answer, _NAME)
    for key in statistics.field.split("."):
        if not isinstance(found, dict) or key not in found:
            raise NoData(
                f"the answer has no {clean(statistics.field)}: {key} is missing",
                where=answer.url,
                remedy="correct `field` in [alerting.engine.statistics]",
            )
        found = found[key]
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise NoData(
            f"{clean(statistics.field)} is {clean(json.dumps(found), 40)}, not a number",
            where=answer.url,
            remedy="name the number of all alerts so far in [alerting.engine.statistics] `field`",
        )
    return found


def _ask(url: str, bearer: Secret | None) -> http.Answer:
    answer = http.get(url, timeout_s=TIMEOUT_S, bearer=bearer, max_bytes=api.MAX_BYTES)
    if answer.status in _LOGIN:
        raise NotPermitted(str(answer), where=answer.url, remedy="set `bearer` beside this `url`")
    if answer.status != _OK:
        raise NoData(str(answer), where=answer.url, remedy="correct this `url`")
    return answer


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
        # Where nothing ends it, at least it does not escalate.
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
        # The first error says more, and the guardian tries it again.
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
        channels: those that must be notified.
        undo: ends the alert should this process die.

    Raises:
        CouldNotMeasure: a command fails.
    """
    with ExitStack() as stack:
        watched = [Watched(c, stack.enter_context(reader_of(c))) for c in channels]
        before = _number(engine)
        alert = stack.enter_context(Raised(engine, undo))
        # Twice the time, to distinguish late from never.
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
    """Seconds until a channel had the alert; None if never, the error if that cannot be read."""
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


SHARE: Final = 0.1
SLACK_S: Final = 1.0


def earliest_s(escalation: EngineEscalation) -> float:
    """Seconds before which the second tier must not be notified."""
    return max(0.0, escalation.after_s * (1 - SHARE) - SLACK_S)


def latest_s(escalation: EngineEscalation) -> float:
    """Seconds after which it must have been."""
    return escalation.after_s * (1 + SHARE) + SLACK_S


@dataclass(frozen=True, slots=True)
class Escalated:
    """What became of the two alerts.

    Attributes:
        ignored: the id of the one that nobody acknowledged.
        after_s: seconds from the call of its trigger until the second tier had it; None if never.
        trigger_s: how long that call took: the engine's clock began within it.
        acknowledged: the id of the other one.
        told: whether the second tier has it, too.
    """

    ignored: str
    after_s: float | None
    trigger_s: float
    acknowledged: str
    told: bool


def escalate(
    engine: AlertEngine,
    escalation: EngineEscalation,
    second: Channel,
    first: Sequence[Channel],
    undo: Undo,
) -> Escalated:
    """Raise two alerts, acknowledge the first one, and see which reaches the second tier.

    Args:
        engine: the engine.
        escalation: its `[alerting.engine.escalation]`.
        second: the channel of the second tier.
        first: the channels of the first tier.
        undo: ends the alerts should this process die.

    Raises:
        CouldNotMeasure: a command fails, the second tier cannot be read, the acknowledged alert
            was seen nowhere, or the acknowledgement came too late.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(reader_of(second))
        held, left = Watched(second, reader), Watched(second, reader)
        firsts = [Watched(c, stack.enter_context(reader_of(c))) for c in first]
        taken = stack.enter_context(Raised(engine, undo))
        taken.acknowledge(escalation.acknowledge)
        took_s = time.time() - taken.began
        ignored = stack.enter_context(Raised(engine, undo))
        # Longer than it may take, to distinguish late from never.
        within_s = latest_s(escalation) + engine.within_s
        wait([left], ignored.probe, time.monotonic() + within_s)
        # Until the acknowledged one, too, would have come at its latest.
        left_s = taken.done + latest_s(escalation) - time.time()
        wait([held], taken.probe, time.monotonic() + left_s)
        held.look(taken.probe)
        after_s = heard_after(left, ignored.began)
        _refuse_blindness(engine, held, after_s, firsts, taken)
    told = bool(held.told(ended=False))
    if told and took_s > earliest_s(escalation):
        raise TookTooLong(
            f"the acknowledgement was done {took_s:.1f} s after the trigger: the alert may have"
            " escalated before",
            where="[alerting.engine.escalation] acknowledge",
            remedy="make the commands faster, or `after_s` longer",
        )
    return Escalated(
        ignored.probe,
        after_s if isinstance(after_s, float) else None,
        ignored.done - ignored.began,
        taken.probe,
        told,
    )


def _refuse_blindness(
    engine: AlertEngine,
    held: Watched,
    after_s: float | CouldNotMeasure | None,
    firsts: Sequence[Watched],
    taken: Raised,
) -> None:
    """What did not come proves nothing where the channel was unread, or the alert never raised."""
    if isinstance(after_s, CouldNotMeasure):
        raise after_s
    if held.problem:
        raise held.problem
    for one in firsts:
        one.look(taken.probe)
    seen = any(one.told(ended=False) for one in (*firsts, held))
    if not seen and not was_noted(engine, taken.probe):
        raise NoData(
            "the acknowledged alert was seen neither at the first tier nor in the history: that it"
            " did not escalate proves nothing",
            where="[alerting.engine]",
            remedy="see alerting.engine, and configure [alerting.engine.history]",
        )
