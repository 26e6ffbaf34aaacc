"""Measurements and their limits."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from readiness.model.course import Course
from readiness.model.errors import NoData

Op = Literal["<=", "<", ">=", ">", "==", "!="]
Value = float | int | str | bool

_OPERATORS: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Limit:
    """What a measurement must satisfy: `value OP limit`, in the measurement's unit.

    Attributes:
        op: how the two are compared.
        value: the limit.
        setting: the key of `readiness.toml` that decided it, from `Model.deciding`; empty for a
            fact of the platform.
    """

    op: Op
    value: Value
    setting: str = ""

    def holds(self, value: Value) -> bool:
        """Whether the value satisfies the limit, without rounding.

        Raises:
            NoData: the value is NaN, or of a kind that cannot be compared with the limit.
        """
        if isinstance(value, float) and math.isnan(value):
            raise NoData("the measured value is not a number (NaN)")
        if isinstance(value, str) is not isinstance(self.value, str):
            raise NoData(f"measured {value!r}, which cannot be compared with {self.value!r}")
        return _OPERATORS[self.op](value, self.value)

    def __str__(self) -> str:
        return f"{self.op} {self.value}"


def at_most(value: float, setting: str = "") -> Limit:
    """The limit `<= value`."""
    return Limit("<=", value, setting)


def at_least(value: float, setting: str = "") -> Limit:
    """The limit `>= value`."""
    return Limit(">=", value, setting)


def equal_to(value: Value, setting: str = "") -> Limit:
    """The limit `== value`."""
    return Limit("==", value, setting)


def now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """One event of a drill.

    Attributes:
        at_s: seconds since the drill began.
        label: what happened, in a few words.
        good: whether the target was healthy from here on; None if the event does not say.
    """

    at_s: float
    label: str
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure with its source, samples and time.

    Attributes:
        name: what was measured, in words: "p95 latency".
        value: the figure, exact.
        unit: `s`, `ms`, `bytes`, `rows/s`, `ratio`, `count`; or what the value is, such as
            `status` or `text`.
        source: the query, URL or command that gave it.
        samples: the number of observations.
        at: when it was measured (UTC).
        limit: what it was compared with; None for a figure that is only shown.
        quantiles: pairs of quantile (0 to 1) and value in `unit`, for a distribution.
        timeline: the events of a drill, in order.
        course: the same drill slot by slot, for its picture.
        key: the judgement that it decides, stable within its check; empty for a figure that is
            only shown.
    """

    name: str
    value: Value
    unit: str
    source: str
    samples: int = 1
    at: datetime = field(default_factory=now)
    limit: Limit | None = None
    quantiles: tuple[tuple[float, float], ...] = ()
    timeline: tuple[Moment, ...] = ()
    course: Course | None = None
    key: str = ""

    def against(self, limit: Limit, key: str = "") -> "Measurement":
        """The same measurement with its limit, as the judgement of that key."""
        return replace(self, limit=limit, key=key)

    @property
    def is_missed(self) -> bool:
        """Whether it misses its limit; a value that cannot be compared misses it."""
        if self.limit is None:
            return False
        try:
            return not self.limit.holds(_figure(self.value, self.limit))
        except NoData:
            return True

    def __str__(self) -> str:
        shown = f"{self.value:.6g}" if isinstance(self.value, float) else str(self.value)
        unit = "" if self.unit in {"text", "status", "count"} else f" {self.unit}"
        return f"{self.name} {shown}{unit}"


def _figure(value: Value, limit: Limit) -> Value:
    """Convert text back to a number that JSON cannot hold, such as infinity."""
    if isinstance(value, str) and not isinstance(limit.value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
