"""Computes the coordinates of small charts; the template draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.model.clean import line
from readiness.model.figures import number, quantity
from readiness.model.measurement import Measurement
from readiness.report.trends import Point

BAR_WIDTH: Final = 200
SPARK_WIDTH: Final = 110
SPARK_HEIGHT: Final = 26
_SPARK_EDGE: Final = 4
CHART_WIDTH: Final = 420
_LABEL_X: Final = 44
_ROOM_RIGHT: Final = 96
_MOST_QUANTILES: Final = 10
_MOST_MOMENTS: Final = 40
_NEAR: Final = 12
_MOST_SAID: Final = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured value against its limit, in pixels."""

    value: int
    limit: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Spark:
    """The figures of the last runs as a line, in pixels; the last point is this run.

    Attributes:
        path: the line.
        marks: dots on the figures of runs that were not READY.
    """

    path: str
    marks: str
    x: int
    y: int
    limit_y: int | None
    text: str


@dataclass(frozen=True, slots=True)
class QuantileBar:
    """One quantile of a distribution."""

    label: str
    text: str
    y: int
    width: int
    missed: bool


@dataclass(frozen=True, slots=True)
class Distribution:
    """Quantiles as bars, with the limit as a line."""

    bars: tuple[QuantileBar, ...]
    height: int
    limit_x: int | None
    limit_text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a drill; `state` is `well`, `unwell` or `unknown`."""

    x: int
    width: int
    state: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a drill: its number, position in pixels and label."""

    number: int
    at_s: float
    x: int
    y: int
    at: str
    label: str
    state: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The events of a drill along its seconds."""

    stretches: tuple[Stretch, ...]
    events: tuple[Event, ...]
    end: str
    unwell: str
    height: int


def bar(measurement: Measurement) -> Bar | None:
    """A bar; None unless value and limit are numbers that can be drawn to scale."""
    limit = measurement.limit
    if limit is None or limit.op == "!=":
        return None
    value, allowed = _drawable(measurement.value), _drawable(limit.value)
    if value is None or allowed is None or not (value or allowed):
        return None
    top = max(value, allowed) * 1.15
    return Bar(
        max(1, round(value / top * BAR_WIDTH)),
        max(1, round(allowed / top * BAR_WIDTH)),
        limit.holds(measurement.value),
    )


def sparkline(measurement: Measurement, past: Sequence[Point]) -> Spark | None:
    """The figures of the last runs; None unless there are earlier ones that can be drawn."""
    value = _drawable(measurement.value)
    kept = [point for point in past if _drawable(point.value) is not None]
    if value is None or not kept:
        return None
    values = [*(point.value for point in kept), value]
    limit = measurement.limit
    allowed = _drawable(limit.value) if limit else None
    drawn = values if allowed is None else [*values, allowed]
    low, high = min(drawn), max(drawn)

    def height(value: float) -> int:
        share = (value - low) / (high - low) if high > low else 0.5
        return SPARK_HEIGHT - _SPARK_EDGE - round(share * (SPARK_HEIGHT - 2 * _SPARK_EDGE))

    step = (SPARK_WIDTH - 2 * _SPARK_EDGE) / (len(values) - 1)
    points = [(_SPARK_EDGE + round(index * step), height(one)) for index, one in enumerate(values)]
    red = [point for point, one in zip(points, kept, strict=False) if not one.ready]
    return Spark(
        path="M" + "L".join(f"{x} {y}" for x, y in points),
        marks="".join(f"M{x} {y}h0" for x, y in red),
        x=points[-1][0],
        y=points[-1][1],
        limit_y=None if allowed is None else height(allowed),
        text=_said(values, measurement.unit, len(red)),
    )


def _said(values: Sequence[float], unit: str, red: int) -> str:
    """The figures of some runs in words; of many only their range and the last three."""
    shown = [quantity(one, unit, share=False) for one in values]
    told = ", ".join(shown)
    if len(values) > _MOST_SAID:
        low, high = (quantity(one, unit, share=False) for one in (min(values), max(values)))
        told = f"{low} to {high}, lately {', '.join(shown[-3:])}"
    note = f"; not READY: {red} (dots)" if red else ""
    return f"last {len(values)} runs: {told}{note}"


def distribution(measurement: Measurement) -> Distribution | None:
    """The quantiles as bars, slowest last."""
    pairs = sorted((q, v) for q, v in measurement.quantiles if _drawable(v) is not None)
    pairs = pairs[-_MOST_QUANTILES:]
    top = max((v for _, v in pairs), default=0.0)
    if top <= 0:
        return None
    limit = measurement.limit
    allowed = _drawable(limit.value) if limit and limit.op in {"<=", "<"} else None
    scale = (CHART_WIDTH - _LABEL_X - _ROOM_RIGHT) / max(top, (allowed or 0) * 1.05)
    bars = tuple(
        QuantileBar(
            quantile_name(q),
            quantity(v, measurement.unit, share=False),
            20 + index * 18,
            max(1, round(v * scale)),
            allowed is not None and v == measurement.value and v > allowed,
        )
        for index, (q, v) in enumerate(pairs)
    )
    return Distribution(
        bars,
        20 + len(bars) * 18,
        _LABEL_X + round(allowed * scale) if allowed else None,
        f"limit {quantity(allowed, measurement.unit, share=False)}" if allowed else "",
    )


def quantile_name(quantile: float) -> str:
    """The usual name of a quantile: `min`, `p50`, `p99.9`, `max`."""
    return {0.0: "min", 1.0: "max"}.get(quantile) or f"p{number(quantile * 100)}"


def timeline(measurement: Measurement) -> Timeline | None:
    """The events along a line, with the stretches in which the target was unhealthy."""
    moments = sorted(
        (m for m in measurement.timeline if math.isfinite(m.at_s) and m.at_s >= 0),
        key=lambda m: m.at_s,
    )[:_MOST_MOMENTS]
    if not moments:
        return None
    end = moments[-1].at_s or 1.0
    scale = (CHART_WIDTH - 20) / end
    events: list[Event] = []
    stretches: list[Stretch] = []
    unwell = 0.0
    state, begun = "unknown", 0.0

    for index, moment in enumerate(moments, start=1):
        x = 10 + round(moment.at_s * scale)
        # Numbers that would overlap are stacked.
        y = events[-1].y + _NEAR if events and x - events[-1].x < _NEAR else 0
        if moment.good is not None:
            stretches.append(_stretch(begun, moment.at_s, state, scale))
            unwell += moment.at_s - begun if state == "unwell" else 0.0
            state, begun = ("well" if moment.good else "unwell"), moment.at_s
        at = f"{number(round(moment.at_s, 2))} s"
        events.append(Event(index, moment.at_s, x, y, at, line(moment.label, 200), state))
    stretches.append(_stretch(begun, end, state, scale))
    unwell += end - begun if state == "unwell" else 0.0
    return Timeline(
        tuple(s for s in stretches if s.width > 0),
        tuple(events),
        f"{number(round(end, 2))} s",
        f"{number(round(unwell, 2))} s",
        50 + max(e.y for e in events),
    )


def _stretch(begin: float, end: float, state: str, scale: float) -> Stretch:
    return Stretch(10 + round(begin * scale), round((end - begin) * scale), state)


def _drawable(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
