"""Health endpoints: their answers, and how they follow a dependency that is taken away."""

import json
import secrets
import shlex
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from readiness.areas.monitoring.config import Drill, Service
from readiness.areas.monitoring.probes import health_bodies
from readiness.lib import command
from readiness.lib.guardian import Undo
from readiness.lib.http import Answer, ask
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement, Moment

TRIES: Final = 5
_HALF_A_SECOND: Final = 0.5
OK: Final = 200
# A balancer and a kubelet take both; a body is not required.
_FINE: Final = frozenset({OK, 204})
HTML: Final = "text/html"
NOTHING: Final = "nothing"
NOT_READY: Final = 503
_POLL_S: Final = 0.2
# A single 503 may be accidental; this many in a row are not.
_AWAY_IN_A_ROW: Final = 3
# More, since several workers answer in turn, and each has to reconnect by itself.
_BACK_IN_A_ROW: Final = 10


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the clock of a service is ahead of ours, and the uncertainty, in seconds."""

    ahead_s: float
    error_s: float

    @property
    def least_s(self) -> float:
        """The smallest possible difference."""
        return max(0.0, abs(self.ahead_s) - self.error_s)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The answers of one path of a service, and what they say of its clock."""

    path: str
    answers: tuple[Answer, ...]
    offsets: tuple["Offset", ...] = ()

    @property
    def last(self) -> Answer:
        """The last answer."""
        return self.answers[-1]

    @property
    def worst(self) -> Answer:
        """The last answer that was neither 200 nor 204, or else the last one."""
        return next((a for a in reversed(self.answers) if a.status not in _FINE), self.last)

    @property
    def is_well(self) -> bool:
        """Whether all answers were 200 or 204."""
        return self.worst.status in _FINE

    def times_ok(self) -> Measurement:
        """The number of answers that were 200 or 204."""
        good = sum(answer.status in _FINE for answer in self.answers)
        return self._measured("200 of", good, "count")

    def media_type(self) -> Measurement:
        """The content type of the last answer without its parameters; `none` if it has none."""
        return self._measured("content type of", self.last.media_type or "none", "text")

    def times(self, status: int) -> Measurement:
        """The number of answers with a status."""
        good = sum(answer.status == status for answer in self.answers)
        return self._measured(f"{status} of", good, "count")

    def lacking(self, texts: Sequence[str]) -> Measurement:
        """The first of the texts that an answer lacks; `nothing` if all have all."""
        bodies = [answer.body.decode("utf-8", "replace") for answer in self.answers]
        absent = [text for text in texts if any(text not in body for body in bodies)]
        return self._measured("text missing in", clean(absent[0]) if absent else NOTHING, "text")

    def content(self) -> Measurement:
        """The same, but `text/html` for a page, and for a page alone, whatever its type says."""
        kind = self.last.media_type or "none"
        if health_bodies.is_page(self.last):
            kind = HTML
        elif kind == HTML:
            kind = "plain text"
        return self._measured("content of", kind, "text")

    @property
    def median_ms(self) -> float:
        """The median time to the last byte, as one slow answer means little on a busy host."""
        return statistics.median(a.elapsed_ms for a in self.answers)

    @property
    def fastest_ms(self) -> float:
        """The time of the fastest answer."""
        return min(a.elapsed_ms for a in self.answers)

    def latency(self) -> Measurement:
        """The median time, in ms."""
        return self._measured("median latency of", self.median_ms, "ms")

    def said(self, verdict: str) -> Measurement:
        """What the body of the last answer says."""
        return self._measured("body of", verdict, "text")

    def _measured(self, what: str, value: float | str, unit: str) -> Measurement:
        return Measurement(
            f"{what} {self.path}",
            value,
            unit,
            source=f"GET {self.last.url}",
            samples=len(self.answers),
        )


def control(service: Service) -> Measurement:
    """The status of a path that cannot exist: it must not be 200, or no 200 means anything.

    Raises:
        NoData: the path that cannot exist answers 200.
        CouldNotMeasure: see `readiness.lib.http.Session.request`.
    """
    answer = ask(service, f"/readiness-control-{secrets.token_hex(8)}")
    if answer.status == OK:
        raise NoData(
            "every path answers 200, even one that does not exist, so that no 200 proves anything",
            where=answer.url,
            remedy="set `url` to the service itself, not to a page that catches all paths",
        )
    return Measurement(
        "answer to a path that does not exist", answer.status, "status", source=f"GET {answer.url}"
    )


def endpoint(service: Service, path: str, tries: int = TRIES) -> Endpoint:
    """Request one path several times.

    Raises:
        CouldNotMeasure: one of the requests had no answer.
    """
    answers, offsets = [], []
    for _ in range(tries):
        answers.append(ask(service, path))
        if offset := _offset(answers[-1], time.time()):
            offsets.append(offset)
    return Endpoint(path, tuple(answers), tuple(offsets))


def _offset(answer: Answer, now: float) -> Offset | None:
    """By the `Date` of an answer, in whole seconds; None without one, or from a cache."""
    if "age" in answer.headers:
        return None
    try:
        theirs = parsedate_to_datetime(answer.date).timestamp() + _HALF_A_SECOND
    except ValueError:
        return None
    took_s = answer.elapsed_ms / 1000
    return Offset(theirs - (now - took_s / 2), _HALF_A_SECOND + took_s / 2)


def json_object(answer: Answer) -> dict[str, object] | str:
    """The JSON object in an answer, or why it contains none, as a text."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:  # ValueError: also what is not UTF-8
        return f"is not JSON ({clean(str(error), 80)}); it begins {_beginning(answer)}"
    if not isinstance(found, dict):
        return f"is JSON, but not an object; it begins {_beginning(answer)}"
    return found


def missing(document: dict[str, object], fields: Sequence[str]) -> list[str]:
    """The fields that the document lacks, or that are empty."""
    return [name for name in fields if document.get(name) in (None, "", [], {})]


def _beginning(answer: Answer) -> str:
    return repr(clean(answer.body[:200].decode("utf-8", "replace"), 60))


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill showed. Seconds count from the end of the command that changed something.

    Attributes:
        not_ready_s: when `ready` began to answer 503 for good; None if it never did.
        ready_again_s: when `ready` began to answer 200 for good; None if it never did.
        ready_said: what `ready` last answered while the dependency was away.
        live_failures: how often `live` answered anything but 200.
        live_said: the last such answer.
        polls: how often both were requested.
        timeline: every change, in seconds since the drill began.
    """

    not_ready_s: float | None
    ready_again_s: float | None
    ready_said: str
    live_failures: int
    live_said: str
    polls: int
    timeline: tuple[Moment, ...]


@dataclass(slots=True)
class _Watch:
    """Polls `ready` and `live`, and records every change."""

    service: Service
    began: float = field(default_factory=time.monotonic)
    ready: str = "200"
    ready_at: float = 0.0
    live: str = "200"
    live_said: str = ""
    live_failures: int = 0
    polls: int = 0
    timeline: list[Moment] = field(default_factory=list)

    def note(self, label: str, *, good: bool | None = None) -> None:
        self.timeline.append(Moment(time.monotonic() - self.began, label, good))

    def poll(self) -> None:
        ready = _said(self.service, self.service.ready)
        self.ready_at = time.monotonic()
        live = _said(self.service, self.service.live)
        if ready != self.ready:
            self.note(f"ready: {ready}", good=ready == str(OK))
        if live != self.live:
            self.note(f"live: {live}", good=live == str(OK))
        if live != str(OK):
            self.live_failures += 1
            self.live_said = live
        self.ready, self.live, self.polls = ready, live, self.polls + 1

    def until_ready_says(self, status: int, in_a_row: int, within_s: float) -> float | None:
        """Seconds until `ready` began to answer so, several times in a row; None if not in time."""
        began = time.monotonic()
        first: float | None = None
        seen = 0
        while seen < in_a_row:
            asked = time.monotonic() - began
            self.poll()
            if self.ready == str(status):
                first = self.ready_at - began if first is None else first
                seen += 1
            elif asked > within_s:
                return None
            else:
                first, seen = None, 0
            time.sleep(_POLL_S)
        return first


def run(service: Service, drill: Drill, undo: Undo) -> Drilled:
    """Take the dependency away, watch, and restore it whatever happens.

    Args:
        service: whose `ready` and `live` are watched.
        drill: the commands, and how long each change may take.
        undo: restores the dependency if this process is killed meanwhile.

    Raises:
        CouldNotMeasure: the service is not healthy before the drill, or a command failed.
    """
    _require_healthy(service)
    watch = _Watch(service)
    token = undo.run(drill.back)
    try:
        watch.note(f"{drill.dependency}: taking away")
        _command(drill.away, "take away", drill)
        watch.note(f"{drill.dependency}: away")
        not_ready_s = watch.until_ready_says(NOT_READY, _AWAY_IN_A_ROW, drill.within_s)
        ready_said = watch.ready
    finally:
        _command(drill.back, "bring back", drill)
        undo.forget(token)
    watch.note(f"{drill.dependency}: back")
    ready_again_s = watch.until_ready_says(OK, _BACK_IN_A_ROW, drill.within_s)
    return Drilled(
        not_ready_s=not_ready_s,
        ready_again_s=ready_again_s,
        ready_said=ready_said,
        live_failures=watch.live_failures,
        live_said=watch.live_said,
        polls=watch.polls,
        timeline=tuple(watch.timeline),
    )


def _require_healthy(service: Service) -> None:
    for path in (service.ready, service.live):
        answer = ask(service, path)
        if answer.status not in _FINE:
            raise CouldNotMeasure(
                f"answers {answer.status} before anything was taken away",
                where=f"GET {answer.url}",
                remedy="restore the service first, then run the drill",
            )


def _said(service: Service, path: str) -> str:
    """The status as text, or that there was no answer, which also is a result during a drill."""
    try:
        status = ask(service, path).status
        return str(OK if status in _FINE else status)
    except CouldNotMeasure as error:
        return f"no answer ({error.message})"


def _command(argv: Sequence[str], verb: str, drill: Drill) -> None:
    remedy = (
        f"run it by hand, and make sure that {drill.dependency} is back: {shlex.join(drill.back)}"
    )
    command.run(argv, f"{verb} {drill.dependency}", remedy)
