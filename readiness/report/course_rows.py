"""The rows of the chart of a drill.

x is in percent, so that the chart is as wide as the page while text keeps its size; paths are drawn
in a box that is stretched.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

from readiness.model.clean import line
from readiness.model.course import Track, Values
from readiness.model.figures import number

BOX: Final = 1200
"""The width of the stretched boxes, in their own units."""
PAGE: Final = 400
"""The narrowest page, in pixels, on which text must fit."""
LETTER: Final = 5.8
"""Width of a letter in pixels."""
LONGEST: Final = 60
"""Maximal letters of a label."""

_LABEL: Final = 17
_SMALLEST, _LARGEST = 1e-9, 1e15
_MOST_PARTS: Final = 3
_HEIGHTS: Final = {"parts": 46, "misses": 22, "level": 36}
# A row of misses without any miss needs only its label.
_NONE: Final = 2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Words:
    """A text at `x` in percent and `y` in pixels."""

    x: str
    y: int
    text: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A path in a stretched box."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row: label, box and texts.

    Attributes:
        text: its name and total.
        bad: whether that is bad; None if it is neither.
        y: of its label.
        top: of its box.
        height: of its box.
        shapes: what is drawn in the box.
        limit_y: of the dashed line; None for no limit.
        words: the texts in the box.
    """

    text: str
    bad: bool | None
    y: int
    top: int
    height: int
    shapes: tuple[Shape, ...]
    limit_y: int | None
    words: tuple[Words, ...]


def row_of(track: Track, top: int, slots: int) -> Row | None:
    """The row of a track; None if there is nothing to draw.

    Args:
        track: the track.
        top: the top of the row, in pixels.
        slots: the slots of the longest track.
    """
    drawn = track.series if track.kind == "parts" else track.series[:1]
    if not any(_known(s.values) for s in drawn):
        return None
    y, box, height = top + 11, top + _LABEL, _HEIGHTS.get(track.kind, 0)
    name = line(track.name, LONGEST)
    if track.kind == "parts":
        return _parts(track, name, (y, box, height), slots)
    values = _padded(track.series[0].values, slots)
    if track.kind == "misses":
        total = sum(_known(values))
        height = height if total else _NONE
        shape = Shape("b", _bars(values, height))
        return Row(f"{name}: {number(total)}", total > 0, y, box, height, (shape,), None, ())
    return _level(track, values, (y, box, height))


def _parts(track: Track, name: str, place: tuple[int, int, int], slots: int) -> Row:
    """Stacked areas; each is named wherever the name fits."""
    y, box, height = place
    parts = _most_parts(track, slots)
    totals = [sum(column) for column in zip(*(values for _, values in parts), strict=True)]
    scale = _scale(height, max(totals))
    base = [0.0] * slots
    shapes, told = [], []
    words: list[Words] = []
    for index, (part, values) in enumerate(parts):
        upper = [low + value for low, value in zip(base, values, strict=True)]
        edges = [
            (round(height - low * scale), round(height - high * scale))
            for low, high in zip(base, upper, strict=True)
        ]
        draw = _stripes if index == 1 else _area
        shapes.append(Shape(f"p{index}", draw(edges)))
        words += _named(part, values, totals, box + height // 2 + 4)
        told.append(f"{part} ({number(sum(values))})")
        base = upper
    return Row(f"{name}: {', '.join(told)}", None, y, box, height, tuple(shapes), None,
               tuple(words))  # fmt: skip


def _most_parts(track: Track, slots: int) -> list[tuple[str, list[float]]]:
    """The first parts; the others are summed up as one."""
    parts = [(line(s.name, 24), [v or 0.0 for v in _padded(s.values, slots)]) for s in track.series]
    if len(parts) <= _MOST_PARTS:
        return parts
    rest = parts[_MOST_PARTS - 1 :]
    summed = [sum(column) for column in zip(*(values for _, values in rest), strict=True)]
    return [*parts[: _MOST_PARTS - 1], (f"{len(rest)} others", summed)]


def _named(part: str, values: Sequence[float], totals: Sequence[float], y: int) -> Iterator[Words]:
    """The name in the middle of each stretch in which this part is the largest."""
    for begin, end, most in _runs([2 * v > t > 0 for v, t in zip(values, totals, strict=True)]):
        if most and _fits(part, (end - begin) / len(values)):
            yield Words(percent((begin + end) / 2 / len(values)), y, part)


def _level(track: Track, values: Values, place: tuple[int, int, int]) -> Row:
    """A step line above zero, with its figures."""
    y, box, height = place
    known = _known(values)
    limit = _drawable(track.limit)
    scale = _scale(height - 3, max([*known, limit or 0.0]))
    ground, path, words, before = [], [], [], False
    for begin, end, value in _runs(values):
        if value is None:
            before = False
            continue
        at = round(height - value * scale)
        x, until = _unit(begin, len(values)), _unit(end, len(values))
        path.append(f"{f'V{at}' if before else f'M{x} {at}'}H{until}")
        ground.append(f"M{x} {at}H{until}V{height}H{x}z")
        before = True
        if _fits(number(value), (end - begin) / len(values)):
            middle = percent((begin + end) / 2 / len(values))
            words.append(Words(middle, box + height - 4, number(value)))
    told = f"{line(track.name, LONGEST)}: {_span(known)}"
    if limit is not None:
        told += f", {line(track.limit_label, LONGEST) or f'limit {number(limit)}'} (dashed)"
    shapes = (Shape("g0", "".join(ground)), Shape("s", "".join(path)))
    limit_y = None if limit is None else box + round(height - limit * scale)
    return Row(told, None, y, box, height, shapes, limit_y, tuple(words))


def _span(known: Sequence[float]) -> str:
    low, high = number(min(known)), number(max(known))
    return low if low == high else f"{low} to {high}"


def _area(edges: Sequence[tuple[int, int]]) -> str:
    return "".join(
        f"M{_unit(begin, len(edges))} {high}H{_unit(end, len(edges))}V{low}"
        f"H{_unit(begin, len(edges))}z"
        for begin, end, (low, high) in _runs(edges)
        if low > high
    )


def _stripes(edges: Sequence[tuple[int, int]]) -> str:
    """The area with gaps, so that it can be told apart without color."""
    slots = len(edges)
    cuts = math.ceil(60 / slots)
    step = BOX / slots / cuts
    wide = max(1, round(step * 0.62))
    return "".join(
        f"M{round(x * step)} {high}h{wide}V{low}h-{wide}z"
        for x in range(slots * cuts)
        for low, high in [edges[x // cuts]]
        if low > high
    )


def _bars(values: Values, height: int) -> str:
    """Bars; the smallest stays visible."""
    scale = _scale(height, max(_known(values), default=0.0))
    slots = len(values)
    return "".join(
        f"M{_unit(slot, slots)} {height}V{height - max(5, round(value * scale))}"
        f"H{_unit(slot + 1, slots)}V{height}z"
        for slot, value in enumerate(values)
        if value
    )


def _scale(height: int, top: float) -> float:
    """Pixels for one; what is smaller than anybody counts has no scale of its own."""
    return height / (top if top > _SMALLEST else 1.0)


def _runs(values: Sequence[_T]) -> Iterator[tuple[int, int, _T]]:
    """Stretches of equal values: begin, end, value."""
    begin = 0
    for value, run in groupby(values):
        end = begin + sum(1 for _ in run)
        yield begin, end, value
        begin = end


def _fits(text: str, width: float) -> bool:
    return len(text) * LETTER + 4 <= width * PAGE


def _unit(slot: int, slots: int) -> int:
    return round(slot / slots * BOX)


def percent(share: float) -> str:
    """A share of the time as a percentage for SVG."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + "%"


def _padded(values: Values, slots: int) -> Values:
    """The drawable values, padded to `slots`."""
    return (*(_drawable(v) for v in values), *([None] * (slots - len(values))))


def _known(values: Values) -> list[float]:
    return [v for v in map(_drawable, values) if v is not None]


def _drawable(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LARGEST else None
