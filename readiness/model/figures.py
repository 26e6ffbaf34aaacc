"""Formats figures, durations and times, the same in every output."""

import math
from datetime import UTC, date, datetime
from typing import Final

from readiness.model.clean import line
from readiness.model.measurement import Limit, Measurement, Value

_DIGITS: Final = 4
_MOST_DIGITS: Final = 15
_TINY: Final = 1e-6
_HUGE: Final = 1e15
_BARE: Final = frozenset({"count", "status", "text", ""})
_SIGNS: Final = {"<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}
_BYTES: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_FEW_BYTES: Final = 10_000
_LONG_S: Final = 300
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with thousands separators and `digits` significant digits: `104.6`, `12,346`."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value == 0 or (value.is_integer() and size < _HUGE):
        return f"{int(value):,}"
    if size < _TINY or size >= _HUGE:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def counted(number: int, one: str, many: str = "") -> str:
    """`1 check`, `2 checks`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def quantity(value: Value, unit: str, *, digits: int = _DIGITS, share: bool = True) -> str:
    """A value with its unit, such as `104.6 ms`.

    Args:
        value: the figure, or a text, or yes or no.
        unit: the unit of the measurement.
        digits: significant digits of a number.
        share: whether a `ratio` is a part of a whole, written in percent.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _text(value)
    if unit == "ratio":
        return f"{number(value * 100.0, digits)} %" if share else f"{number(value, digits)} ×"
    if unit == "bytes" and abs(value) >= _FEW_BYTES:
        scale, name = next(pair for pair in _BYTES if abs(value) >= pair[0])
        return f"{number(value / scale, digits)} {name}"
    if unit in _BARE:
        return number(value, digits)
    text = f"{number(value, digits)} {line(unit, 40)}"
    return f"{text} ({duration(value)})" if unit == "s" and value >= _LONG_S else text


def observed_and_limit(value: Value, limit: Limit | None, unit: str) -> tuple[str, str]:
    """The observed value and its limit, such as `104.6 ms` and `≤ 100 ms`.

    Digits are added until the two differ: rounding must not make a missed limit look met.
    """
    share = _is_share(value) and (limit is None or _is_share(limit.value))
    if limit is None:
        return quantity(value, unit, share=share), ""
    sign = _SIGNS.get(limit.op, limit.op)
    for digits in range(_DIGITS, _MOST_DIGITS + 1):
        observed = quantity(value, unit, digits=digits, share=share)
        allowed = quantity(limit.value, unit, digits=digits, share=share)
        if observed != allowed or value == limit.value:
            break
    return observed, f"{sign} {allowed}"


def miss(measurement: Measurement, says: str = "") -> str:
    """The message of a missed limit: what was seen, what was allowed, which key decided it.

    Args:
        measurement: with its limit.
        says: what was seen, as a sentence without a full stop; by default the name and the figure.
    """
    limit = measurement.limit
    observed, _ = observed_and_limit(measurement.value, limit, measurement.unit)
    seen = says or f"{measurement.name}: {observed}"
    if limit is None:
        return seen
    allowed = _allowed(measurement, limit, said=bool(says))
    decided = f" ({limit.setting})" if limit.setting else ""
    return f"{seen}; {allowed}{decided}" if allowed else f"{seen}{decided}"


def _allowed(measurement: Measurement, limit: Limit, *, said: bool) -> str:
    """The limit in words; empty if the sentence before states it."""
    _, signed = observed_and_limit(measurement.value, limit, measurement.unit)
    allowed = signed.split(" ", 1)[1]
    if limit.op in {"<=", "<"}:
        return f"limit {allowed}" if limit.value or not said else ""
    if limit.op in {">=", ">"}:
        return f"at least {allowed} required"
    if limit.op == "!=":
        return "" if said else f"must not be {allowed}"
    return "" if said or limit.value == 0 else f"{allowed} required"


def limit_alone(limit: Limit | None, unit: str) -> str:
    """A limit with all its digits: `≤ 100 ms`."""
    if limit is None:
        return "no limit"
    share = _is_share(limit.value)
    text = quantity(limit.value, unit, digits=_MOST_DIGITS, share=share)
    return f"{_SIGNS.get(limit.op, limit.op)} {text}"


def duration(seconds: float) -> str:
    """A duration for readers: `340 ms`, `12.3 s`, `4 min 12 s`, `1 h 2 min`, `1 d 2 h`."""
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < _MINUTE:
        return f"{number(round(seconds, 1))} s"
    whole = round(seconds)
    for size, name, small, small_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size:,} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def in_utc(moment: datetime) -> datetime:
    """The time in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def when(moment: datetime) -> str:
    """A moment with date and zone: `2026-11-22 00:07:28 UTC`."""
    return f"{in_utc(moment):%Y-%m-%d %H:%M:%S} UTC"


def clock(moment: datetime, day: date) -> str:
    """The same, without the date where that is the day of the run: `00:07:28 UTC`."""
    known = in_utc(moment)
    return f"{known:%H:%M:%S} UTC" if known.date() == day else when(known)


def _is_share(value: Value) -> bool:
    return not isinstance(value, str) and 0 <= value <= 1


def _text(value: str) -> str:
    return line(value, 200) or "(empty)"
