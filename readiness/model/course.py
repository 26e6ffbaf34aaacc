"""The course of a drill, slot by slot, which the report draws."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from readiness.model.secrets import redact

Kind = Literal["parts", "misses", "level"]
Values = tuple[float | None, ...]

MOST_SLOTS: Final = 120
"""More of them could not be told apart on a page."""
_LARGE: Final = 1e15


@dataclass(frozen=True, slots=True)
class Band:
    """A named phase of a drill; seconds count from its start."""

    begin_s: float
    end_s: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """One figure for each slot; None where nothing was measured."""

    name: str
    values: Values


@dataclass(frozen=True, slots=True)
class Track:
    """One row of the picture.

    Attributes:
        name: what it shows, in words.
        kind: `parts`, which add up, as answers by release; `misses`, of which there should be
            none, as failed requests; `level`, as the number of replicas.
        series: one for each part; a single one for the other kinds.
        limit: drawn as a line for a level.
        limit_label: that in words, as "3 are needed".
    """

    name: str
    kind: Kind
    series: tuple[Series, ...]
    limit: float | None = None
    limit_label: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """A drill along its time.

    Attributes:
        step_s: seconds of one slot; the first begins with the drill.
        bands: what went on, in order.
        tracks: what was seen.
        better: suggestions, each a sentence with its measured reason.
    """

    step_s: float
    bands: tuple[Band, ...]
    tracks: tuple[Track, ...]
    better: tuple[str, ...] = ()


def folded(course: Course) -> Course:
    """The course in at most `MOST_SLOTS` slots; neighboring slots are joined.

    Of a joined level the lowest is kept: a dip must not vanish.
    """
    longest = max((len(s.values) for track in course.tracks for s in track.series), default=0)
    joined = math.ceil(longest / MOST_SLOTS)
    if joined <= 1:
        return course
    tracks = tuple(replace(track, series=_joined(track, joined)) for track in course.tracks)
    return replace(course, step_s=course.step_s * joined, tracks=tracks)


def encoded(course: Course) -> dict[str, object] | None:
    """As JSON types, folded and redacted; None if its times are not finite."""
    if not math.isfinite(course.step_s):
        return None
    course = folded(course)
    return {
        "step_s": float(course.step_s),
        "bands": [
            {"begin_s": float(b.begin_s), "end_s": float(b.end_s), "label": redact(b.label)}
            for b in course.bands
            if math.isfinite(b.begin_s) and math.isfinite(b.end_s)
        ],
        "tracks": [_encoded(track) for track in course.tracks if track.kind in get_args(Kind)],
        "better": [redact(text) for text in course.better],
    }


def _encoded(track: Track) -> dict[str, object]:
    return {
        "name": redact(track.name),
        "kind": track.kind,
        "series": [
            {"name": redact(s.name), "values": [_short(v) for v in s.values]} for s in track.series
        ],
        "limit": _short(track.limit),
        "limit_label": redact(track.limit_label),
    }


def _short(value: float | None) -> float | None:
    """NaN and infinity, which JSON cannot hold, become None."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < _LARGE else float(value)


def _joined(track: Track, count: int) -> tuple[Series, ...]:
    return tuple(
        Series(s.name, tuple(_join(group, track.kind) for group in _groups(s.values, count)))
        for s in track.series
    )


def _groups(values: Values, count: int) -> Iterator[list[float]]:
    for begin in range(0, len(values), count):
        group = values[begin : begin + count]
        yield [v for v in group if v is not None and math.isfinite(v)]


def _join(group: list[float], kind: Kind) -> float | None:
    if not group:
        return None
    return min(group) if kind == "level" else sum(group)
