"""Time intervals: when Alertmanager mutes a route, to the minute."""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from readiness.model.errors import NoData

_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS: Final = tuple(name.lower() for name in calendar.month_name)
_DAY_MIN: Final = 24 * 60
_MINUTE: Final = timedelta(minutes=1)
Range = tuple[int, int]
Span = tuple[datetime, datetime]
"""From a minute (UTC) until before another one."""


class _Times(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    start_time: str
    end_time: str


def _listed(value: object) -> object:
    return [] if value in ("", "null", "~") else value


_Texts = Annotated[list[str], BeforeValidator(_listed)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    times: Annotated[list[_Times], BeforeValidator(_listed)] = []
    weekdays: _Texts = []
    days_of_month: _Texts = []
    months: _Texts = []
    years: _Texts = []
    location: str = "UTC"


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """Minutes that meet every condition; a condition without ranges is always met.

    Attributes:
        times: minutes of the day, the end excluded.
        weekdays: 0 is Sunday.
        days_of_month: negative ones count from the month's end, -1 is the last day.
        months: 1 is January.
        years: as they are.
        zone: in which all that is meant.
    """

    times: tuple[Range, ...]
    weekdays: tuple[Range, ...]
    days_of_month: tuple[Range, ...]
    months: tuple[Range, ...]
    years: tuple[Range, ...]
    zone: ZoneInfo

    @staticmethod
    def parse(written: Mapping[str, object]) -> "TimeInterval":
        """One entry of `time_intervals`, all values as texts.

        Raises:
            NoData: it says what is not understood, or a place whose time is not known here.
        """
        try:
            entry = _Written.model_validate(written)
            return TimeInterval(
                times=tuple((_minute(t.start_time), _minute(t.end_time)) for t in entry.times),
                weekdays=_ranges(entry.weekdays, _DAYS),
                days_of_month=_ranges(entry.days_of_month, ()),
                months=_ranges(entry.months, _MONTHS),
                years=_ranges(entry.years, ()),
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
        """Whether it holds at that instant."""
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
                for first, second in self._minutes(day):
                    a = max(datetime.combine(day, clock()) + first * _MINUTE, local)
                    b = min(datetime.combine(day, clock()) + second * _MINUTE, last)
                    if a < b:
                        found.append(_utc(a - offset, b - offset))
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


def _utc(begin: datetime, end: datetime) -> Span:
    return begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)


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
    """The same time, sorted, with no two spans that touch."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def rest(spans: Iterable[Span], start: datetime, end: datetime) -> list[Span]:
    """The time between two instants that none of the spans covers."""
    found, at = [], start
    for begin, until in merged(spans):
        if begin > at:
            found.append((at, begin))
        at = max(at, until)
    return [*found, (at, end)] if at < end else found


def common(lists: Sequence[Iterable[Span]], start: datetime, end: datetime) -> list[Span]:
    """The time between two instants that each of the lists covers; none of no list."""
    if not lists:
        return []
    return rest((span for spans in lists for span in rest(spans, start, end)), start, end)


def muted(
    intervals: Mapping[str, tuple[TimeInterval, ...]],
    mute: Iterable[str],
    active: Iterable[str],
    start: datetime,
    end: datetime,
) -> list[Span]:
    """When a route with these intervals is muted.

    Raises:
        NoData: one of them is not defined.
    """
    held = [span for name in mute for span in _named(intervals, name, start, end)]
    names = list(active)
    if names:
        works = [span for name in names for span in _named(intervals, name, start, end)]
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


def _ranges(texts: Iterable[str], names: tuple[str, ...]) -> tuple[Range, ...]:
    return tuple(_range(text, names) for text in texts)


def _range(text: str, names: tuple[str, ...]) -> Range:
    begin, colon, end = text.lower().partition(":")
    low = _member(begin, names)
    return low, _member(end, names) if colon else low


def _member(text: str, names: tuple[str, ...]) -> int:
    return names.index(text) if text in names else int(text)
