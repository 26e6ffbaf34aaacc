"""Alertmanager's conditions: matchers on labels in both of its syntaxes, and time intervals."""

import calendar
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import lru_cache
from typing import Annotated, Final, Literal, Self, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from readiness.model.errors import NoData

# RE2's own 8 MiB are too few for an alternative of 20,000 names, which Go takes.
_MAX_MEMORY: Final = 64 << 20


class GoRegex:
    r"""One expression of Go's syntax, anchored at both ends as Alertmanager anchors it.

    RE2 matches it in linear time. It accepts one escape that Go refuses, `\C`, which neither
    Alertmanager nor Prometheus loads.

    Raises:
        NoData: RE2 cannot read it.
    """

    def __init__(self, source: str) -> None:
        import re2

        options = re2.Options()
        options.log_errors = False  # else they are written to stderr
        options.max_mem = _MAX_MEMORY
        self._source = source
        try:
            # Go, too, puts the text into the middle of another one: an unbalanced `)` counts.
            self._compiled = re2.compile(f"^(?:{source})$", options)
        except re2.error as problem:
            raise _refusal(source, problem.args[0].decode(errors="replace")) from None
        except UnicodeEncodeError:
            raise _refusal(source, "it is not UTF-8") from None

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; a text that is not UTF-8 raises `NoData`."""
        try:
            return self._compiled.search(text) is not None
        except UnicodeEncodeError:
            raise _refusal(self._source, f"{text[:40]!r} is not UTF-8") from None


@lru_cache(maxsize=4096)
def compiled(source: str) -> GoRegex:
    """The expression, compiled once."""
    return GoRegex(source)


def _refusal(source: str, why: str) -> NoData:
    return NoData(
        f"the regular expression {source[:120]!r} cannot be evaluated: {why[:200]}",
        remedy="check it with `amtool check-config` or `promtool check rules`; if they accept it,"
        " write it shorter (the shadow replay runs it unchanged)",
    )


Op = Literal["=", "!=", "=~", "!~"]
Labels = Mapping[str, str]

_CLASSIC: Final = re.compile(
    r"^[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)[\t\n\f\r ]*(.*?)"
    r"[\t\n\f\r ]*\Z",
    re.DOTALL,
)
_RESERVED: Final = "{}!=~,\\\"'`"
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<op>=~|!~|!=|=)|(?P<mark>[{},])"""
    r"""|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<plain>[^\s{}!=~,\\"'`]+))""",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|.|\Z)""",
    re.DOTALL,
)
_SIMPLE: Final = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a missing label is empty."""

    name: str
    op: Op
    value: str

    @classmethod
    def of(cls, name: str, value: str, *, is_regex: bool, is_equal: bool) -> Self:
        """As the API of Alertmanager writes it."""
        op: Op = ("=~" if is_equal else "!~") if is_regex else ("=" if is_equal else "!=")
        return cls(name, op, value)

    def matches(self, labels: Labels) -> bool:
        """Whether it holds; a regular expression that RE2 cannot read raises `NoData`."""
        found = labels.get(self.name, "")
        if self.op in {"=", "!="}:
            return (found == self.value) is (self.op == "=")
        return compiled(self.value).matches(found) is (self.op == "=~")

    def __str__(self) -> str:
        plain = self.name and not any(c.isspace() or c in _RESERVED for c in self.name)
        name = self.name if plain else f'"{_escaped(self.name)}"'
        return f'{name}{self.op}"{_escaped(self.value)}"'


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether every one holds."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of one line of a configuration, as Alertmanager 0.27 and later reads it.

    If both syntaxes can read it, and differ, the classic one counts.

    Raises:
        NoData: neither syntax can read it.
    """
    try:
        return parse_classic(text)
    except NoData:
        return parse_utf8(text)


def parse_classic(text: str) -> tuple[Matcher, ...]:
    """The syntax of 0.22 to 0.26: tolerant, with the label names of Prometheus 2."""
    parts, current, quoted, escaped = [], "", False, False
    for char in text.removeprefix("{").removesuffix("}"):
        if char == "," and not quoted:
            parts.append(current)
            current = ""
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        # A comma inside quotes leaves `escaped` unchanged, as in Alertmanager.
        escaped = (char == "\\" and not escaped) or (char == "," and escaped)
        current += char
    if current.strip():
        parts.append(current)
    return tuple(_classic(part) for part in parts)


def _classic(text: str) -> Matcher:
    found = _CLASSIC.match(text)
    if not found:
        raise _unreadable(text)
    return Matcher(found[1], cast("Op", found[2]), _classic_value(found[3]))


def _classic_value(raw: str) -> str:
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    if quoted:
        if not body.endswith('"'):
            raise _unreadable(raw)
        body = body[:-1]
        if len(body) - len(body.rstrip("\\")) & 1:
            raise _unreadable(raw)
    unescaped = re.sub(r"\\[\\\"]", "", body)
    if '"' in unescaped:
        raise _unreadable(raw)
    return re.sub(r"\\([n\"\\])", lambda m: "\n" if m[1] == "n" else m[1], body)


def parse_utf8(text: str) -> tuple[Matcher, ...]:
    """The syntax of 0.27 and later: strict, with any UTF-8 in quoted names."""
    tokens = _tokens(text)
    opened = tokens[:1] == ["{"]
    closed = tokens[-1:] == ["}"]
    if opened is not closed or tokens == ["{"]:
        raise _unreadable(text)
    inside = tokens[1:-1] if opened else tokens
    if inside[-1:] == [","]:
        inside.pop()
        if not inside:
            raise _unreadable(text)
    return tuple(_triples(inside, text))


def _tokens(text: str) -> list[str]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if not found:
            raise _unreadable(text)
        tokens.append(found[0].strip() if not found["quoted"] else found["quoted"])
        at = found.end()
    return tokens


def _triples(tokens: list[str], text: str) -> Iterable[Matcher]:
    for at in range(0, len(tokens), 4):
        part = tokens[at : at + 4]
        whole = len(part) >= 3 and (part[3:] == [","] or at + 3 == len(tokens))  # noqa: PLR2004 - name, operator, value
        if not whole or at + 4 == len(tokens) or part[1] not in {"=", "!=", "=~", "!~"}:
            raise _unreadable(text)
        yield Matcher(_value(part[0], text), cast("Op", part[1]), _value(part[2], text))


def _value(token: str, text: str) -> str:
    if token in {"{", "}", ",", "=", "!=", "=~", "!~"}:
        raise _unreadable(text)
    return _unquoted(token, text) if token.startswith('"') else token


def _unquoted(token: str, text: str) -> str:
    """Like Go's `strconv.Unquote`."""
    if "\n" in token:
        raise _unreadable(text)
    pieces = bytearray()
    at = 0
    body = token[1:-1]
    for found in _ESCAPE.finditer(body):
        pieces += body[at : found.start()].encode() + _escape(found, text)
        at = found.end()
    try:
        return (bytes(pieces) + body[at:].encode()).decode()
    except UnicodeError:
        raise _unreadable(text) from None


def _escape(found: re.Match[str], text: str) -> bytes:
    simple, byte, short, long, octal = found.groups()
    try:
        if simple:
            return _SIMPLE[simple].encode()
        if byte or octal:
            return bytes([int(byte, 16) if byte else int(octal, 8)])
        return chr(int(short or long, 16)).encode()
    except (TypeError, ValueError, OverflowError):
        raise _unreadable(text) from None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _unreadable(text: str) -> NoData:
    return NoData(f"cannot read the matcher {text[:120]!r}")


_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS: Final = tuple(name.lower() for name in calendar.month_name)
_DAY_MIN: Final = 24 * 60
_MINUTE: Final = timedelta(minutes=1)
Range = tuple[int, int]
Span = tuple[datetime, datetime]
"""From a minute (UTC) until another one, which is excluded."""


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Times(_Node):
    start_time: str
    end_time: str


def _list_or_empty(value: object) -> object:
    return [] if value in ("", "null", "~") else value


_TextList = Annotated[list[str], BeforeValidator(_list_or_empty)]


class _Written(_Node):
    times: Annotated[list[_Times], BeforeValidator(_list_or_empty)] = []
    weekdays: _TextList = []
    days_of_month: _TextList = []
    months: _TextList = []
    years: _TextList = []
    location: str = "UTC"


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """Minutes that meet every condition; a condition without ranges is always met."""

    times: tuple[Range, ...]  # minutes of the day, the end excluded
    weekdays: tuple[Range, ...]  # 0 is Sunday
    days_of_month: tuple[Range, ...]  # negative: from the end of the month, -1 is the last day
    months: tuple[Range, ...]  # 1 is January
    years: tuple[Range, ...]
    zone: ZoneInfo  # of all that

    @staticmethod
    def parse(written: Mapping[str, object]) -> "TimeInterval":
        """One entry of `time_intervals`, all values as texts.

        Raises:
            NoData: it has unknown settings, or a time zone that this machine does not know.
        """
        try:
            entry = _Written.model_validate(written)
            return TimeInterval(
                times=tuple((_minute(t.start_time), _minute(t.end_time)) for t in entry.times),
                weekdays=_ranges(entry.weekdays, _DAYS),
                days_of_month=_ranges(entry.days_of_month),
                months=_ranges(entry.months, _MONTHS),
                years=_ranges(entry.years),
                zone=ZoneInfo(entry.location or "UTC"),
            )
        except ZoneInfoNotFoundError as problem:
            raise NoData(
                f"a time interval is in a time zone that this machine does not know: {problem}",
                remedy="install its time zones: apt-get install tzdata, or pip install tzdata",
            ) from None
        except (ValidationError, ValueError) as problem:
            raise NoData(f"cannot read a time interval: {str(problem)[:200]}") from None

    def contains(self, instant: datetime) -> bool:
        """Whether it holds at an instant."""
        local = instant.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        in_time = not self.times or any(a <= minute < b for a, b in self.times)
        return in_time and self._on(local.date())

    def spans(self, start: datetime, end: datetime) -> list[Span]:
        """When it holds between two instants, to the minute."""
        found: list[Span] = []
        for begin, until in _constant(self.zone, start, end):
            offset = begin.astimezone(self.zone).utcoffset() or timedelta()
            local, last = (t.replace(tzinfo=None) + offset for t in (begin, until))
            day = local.date()
            while datetime.combine(day, clock()) < last:
                midnight = datetime.combine(day, clock())
                for first, second in self._minutes(day):
                    a = max(midnight + first * _MINUTE, local) - offset
                    b = min(midnight + second * _MINUTE, last) - offset
                    if a < b:
                        found.append((a.replace(tzinfo=UTC), b.replace(tzinfo=UTC)))
                day += timedelta(days=1)
        return merged(found)

    def _minutes(self, day: date) -> tuple[Range, ...]:
        if not self._on(day):
            return ()
        return self.times or ((0, _DAY_MIN),)

    def _on(self, day: date) -> bool:
        weekday = (day.weekday() + 1) % 7
        return (
            _within(self.weekdays, weekday)
            and _within(self.months, day.month)
            and _within(self.years, day.year)
            and (not self.days_of_month or any(_in_month(r, day) for r in self.days_of_month))
        )


def _within(ranges: tuple[Range, ...], value: int) -> bool:
    return not ranges or any(a <= value <= b for a, b in ranges)


def _in_month(wanted: Range, day: date) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    begin, end = (length + n + 1 if n < 0 else n for n in wanted)
    return begin <= length and max(begin, -length) <= day.day <= min(end, length)


@lru_cache(maxsize=64)
def _constant(zone: ZoneInfo, start: datetime, end: datetime) -> list[Span]:
    """The time between two instants, cut where the zone's offset changes."""
    cuts, at = [start], start
    while at < end:
        following = min(at + timedelta(hours=6), end)
        if at.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            cuts.append(_change(zone, at, following))
        at = following
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first minute with the offset that holds at `after`."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > _MINUTE:
        middle = before + ((after - before) // 2) // _MINUTE * _MINUTE
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time, sorted, without spans that touch."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def rest(spans: Iterable[Span], start: datetime, end: datetime) -> list[Span]:
    """The time between two instants that no span covers."""
    found, at = [], start
    for begin, until in merged(spans):
        if begin > at:
            found.append((at, begin))
        at = max(at, until)
    return [*found, (at, end)] if at < end else found


def common(lists: Sequence[Iterable[Span]], start: datetime, end: datetime) -> list[Span]:
    """The time between two instants that every list covers; empty without a list."""
    if not lists:
        return []
    return rest((span for spans in lists for span in rest(spans, start, end)), start, end)


def muted(
    intervals: Mapping[str, tuple[TimeInterval, ...]],
    mute: Iterable[str],
    active: Collection[str],
    start: datetime,
    end: datetime,
) -> list[Span]:
    """When a route with these intervals is muted.

    Raises:
        NoData: one of them is not defined.
    """
    held = [span for name in mute for span in _named(intervals, name, start, end)]
    if active:
        works = [span for name in active for span in _named(intervals, name, start, end)]
        held += rest(works, start, end)
    return merged(held)


def _named(
    intervals: Mapping[str, tuple[TimeInterval, ...]], name: str, start: datetime, end: datetime
) -> list[Span]:
    if name not in intervals:
        raise NoData(f"the time interval {name!r} is not defined")
    return [span for interval in intervals[name] for span in interval.spans(start, end)]


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _ranges(texts: Iterable[str], names: tuple[str, ...] = ()) -> tuple[Range, ...]:
    """Ranges as `monday:friday` or `-3:-1`, or single values."""

    def member(text: str) -> int:
        return names.index(text) if text in names else int(text)

    parts = (text.lower().partition(":") for text in texts)
    return tuple((member(low), member(high if colon else low)) for low, colon, high in parts)
