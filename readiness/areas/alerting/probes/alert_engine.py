"""Raises alerts in the target's own alert engine, and follows them to channels and records."""

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
from readiness.areas.alerting.inboxes import TIMEOUT_S, Watched, reader_of, texts, wait, watch
from readiness.areas.alerting.probes.synthetic import new_probe
from readiness.lib import api, command, http
from readiness.lib.guardian import Undo
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong
from readiness.model.secrets import Secret

_OK: Final = 200
_LOGIN: Final = {401, 403}
_POLL_S: Final = 0.25
_REMEDY: Final = "run it by hand, as configured in [alerting.engine]"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert in the history."""

    found: bool
    ended: bool  # by what the entry says


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
    found = api.document(answer, "the statistics")
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


class Raised:
    """One alert in the engine: raised as the block begins, ended with it at the latest.

    `began` and `done` are the Unix times before and after the trigger; the engine's own clock began
    in between. `undo` ends the alert if this process is killed.
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
            with suppress(CouldNotMeasure):  # the alert may have been raised nevertheless
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
        # The first error says more, and the guardian ends the alert again.
        with suppress(*([CouldNotMeasure] if problem else [])):
            self.end()

    def acknowledge(self, words: Sequence[str]) -> None:
        """Acknowledge it, by this command."""
        command.run(self._words(words), "acknowledge an alert", _REMEDY)

    def end(self) -> None:
        """End it once. If the command fails, the guardian tries it once more at its own end."""
        if self._token is None or self._ends is None:
            return
        token, self._token = self._token, None
        command.run(self._ends, "end an alert", _REMEDY)
        self._undo.forget(token)

    def _words(self, argv: Sequence[str]) -> list[str]:
        return [word.replace("{probe}", self.probe) for word in argv]


@dataclass(frozen=True, slots=True)
class Followed:
    """What one alert left behind. A part that could not be read is the error itself."""

    probe: str
    notified: Mapping[str, float | CouldNotMeasure | None]  # seconds by channel; None if never
    raised: Entry | CouldNotMeasure | None  # while it lasted; None without a history
    ended: Entry | CouldNotMeasure | None  # after its end; None if no command ends it
    counted: float | CouldNotMeasure | None  # growth of the statistics; None without them


def follow(engine: AlertEngine, channels: Sequence[Channel], undo: Undo) -> Followed:
    """Raise an alert, follow it to the channels and into the records, end it, and look again.

    Raises:
        CouldNotMeasure: a command fails.
    """
    with ExitStack() as stack:
        watched = watch(channels, stack)
        before = _number(engine)
        alert = stack.enter_context(Raised(engine, undo))
        # Twice the time, to distinguish late from never.
        wait(watched, alert.probe, time.monotonic() + 2 * engine.within_s)
        deadline = time.monotonic() + engine.within_s
        counted = _growth(engine, before, deadline)
        raised = _recorded(engine, alert.probe, deadline, ended=False)
        alert.end()
        deadline = time.monotonic() + engine.within_s
        ended = _recorded(engine, alert.probe, deadline, ended=True) if engine.resolve else None
    notified = {w.channel.name: notified_after(w, alert.began) for w in watched}
    return Followed(alert.probe, notified, raised, ended, counted)


def notified_after(watched: Watched, since: float) -> float | CouldNotMeasure | None:
    """Seconds until a channel had the alert; None if never, the error if that cannot be read."""
    after_s = watched.after_s(since, ended=False)
    return watched.problem if after_s is None and watched.problem else after_s


def _number(engine: AlertEngine) -> float | CouldNotMeasure | None:
    settings = engine.statistics
    return _or_error(lambda: count(settings)) if settings else None


def _growth(
    engine: AlertEngine, before: float | CouldNotMeasure | None, deadline: float
) -> float | CouldNotMeasure | None:
    """By how much the number has grown, as soon as it is by one, or at the deadline."""
    settings = engine.statistics
    if settings is None or before is None or isinstance(before, CouldNotMeasure):
        return before
    start = before
    return _until(lambda: count(settings) - start, lambda grown: grown >= 1, deadline)


def _recorded(
    engine: AlertEngine, probe: str, deadline: float, *, ended: bool
) -> Entry | CouldNotMeasure | None:
    """The entry of the history, as soon as there is one (that has ended), or at the deadline."""
    settings = engine.history
    if settings is None:
        return None
    return _until(
        lambda: entry(settings, probe), lambda e: e.found and (e.ended or not ended), deadline
    )


def _until(
    read: Callable[[], _T], good: Callable[[_T], bool], deadline: float
) -> _T | CouldNotMeasure:
    return until(
        lambda: _or_error(read),
        lambda found: not isinstance(found, CouldNotMeasure) and good(found),
        within_s=deadline - time.monotonic(),
        every_s=_POLL_S,
    )


def _or_error(read: Callable[[], _T]) -> _T | CouldNotMeasure:
    try:
        return read()
    except CouldNotMeasure as error:
        return error


_SHARE: Final = 0.1
_SLACK_S: Final = 1.0


def earliest_s(escalation: EngineEscalation) -> float:
    """Seconds before which the second tier must not be notified."""
    return max(0.0, escalation.after_s * (1 - _SHARE) - _SLACK_S)


def latest_s(escalation: EngineEscalation) -> float:
    """Seconds within which the second tier must be notified."""
    return escalation.after_s * (1 + _SHARE) + _SLACK_S


@dataclass(frozen=True, slots=True)
class Escalated:
    """The outcome of two alerts: one without and one with an acknowledgement."""

    ignored: str  # the id of the one without
    after_s: float | None  # from its trigger until the second tier had it; None if never
    trigger_s: float  # how long the trigger took: the engine's clock began within it
    acknowledged: str  # the id of the other one
    escalated_anyway: bool  # whether the second tier has the acknowledged one, too


def escalate(
    engine: AlertEngine,
    escalation: EngineEscalation,
    second: Channel,
    first: Sequence[Channel],
    undo: Undo,
) -> Escalated:
    """Raise two alerts, acknowledge the first one, and see which reaches the second tier.

    Raises:
        CouldNotMeasure: a command fails, the second tier cannot be read, the acknowledged alert
            was seen nowhere, or the acknowledgement came too late.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(reader_of(second))
        held, left = Watched(second, reader), Watched(second, reader)
        firsts = watch(first, stack)
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
        after_s = notified_after(left, ignored.began)
        if isinstance(after_s, CouldNotMeasure):
            raise after_s
        held.must_be_read()
        _must_have_been_raised(engine, [*firsts, held], taken.probe)
    escalated_anyway = bool(held.shown(ended=False))
    if escalated_anyway and took_s > earliest_s(escalation):
        raise TookTooLong(
            f"the acknowledgement was done {took_s:.1f} s after the trigger: the alert may have"
            " escalated before",
            where="[alerting.engine.escalation] acknowledge",
            remedy="make the commands faster, or `after_s` longer",
        )
    trigger_s = ignored.done - ignored.began
    return Escalated(ignored.probe, after_s, trigger_s, taken.probe, escalated_anyway)


def _must_have_been_raised(engine: AlertEngine, watched: Sequence[Watched], probe: str) -> None:
    """That an alert did not escalate proves nothing if it was never raised."""
    for one in watched[:-1]:
        one.look(probe)
    if any(one.shown(ended=False) for one in watched):
        return
    if engine.history:
        with suppress(CouldNotMeasure):
            if entry(engine.history, probe).found:
                return
    raise NoData(
        "the acknowledged alert was seen neither at the first tier nor in the history: that it did"
        " not escalate proves nothing",
        where="[alerting.engine]",
        remedy="see alerting.engine, and configure [alerting.engine.history]",
    )
