"""The drills of a run: the course of each as a chart, with its checks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from readiness.model.clean import line
from readiness.model.course import Band, Course, folded
from readiness.model.figures import duration, number
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord
from readiness.report import charts
from readiness.report.build import anchor
from readiness.report.course_rows import LETTER, LONGEST, PAGE, Row, Words, percent, row_of
from readiness.report.view import ORDER

_LINE: Final = 13
# A label is cut where its band ends. On a narrow page a word may be this much too long, as most
# pages are wider.
_BANDS: Final = 340
_CUT: Final = 1.9
_MOST_LINES: Final = 3
_MOST_BANDS: Final = 20
_MOST_TRACKS: Final = 5
_MOST_BETTER: Final = 8
_GAP: Final = 9
_TICKS: Final = 6
_MARK: Final = 2.4 * LETTER
_SHORTEST_S, _LONGEST_S = 1e-6, 1e9
_STEPS_S: Final = (60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)


@dataclass(frozen=True, slots=True)
class Phase:
    """A band: position and width in percent, and the lines of its label."""

    x: str
    width: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The chart; y in pixels, x in percent of the time."""

    said: str
    phases: tuple[Phase, ...]
    phases_height: int
    rows: tuple[Row, ...]
    marks: tuple[Words, ...]
    axis_y: int
    ticks: tuple[Words, ...]
    end: str
    height: int
    left_out: int
    better: tuple[str, ...]


def picture(measurement: Measurement) -> Picture | None:
    """The chart of a drill; None if there is nothing to draw."""
    given = measurement.course
    if given is None:
        return None
    course = folded(replace(given, tracks=given.tracks[:_MOST_TRACKS]))
    length_s = _length(course)
    if not _SHORTEST_S <= length_s <= _LONGEST_S:
        return None
    phases = tuple(_phases(course.bands[:_MOST_BANDS], length_s))
    top = phases_height = _phases_height(phases)
    rows: list[Row] = []
    for track in course.tracks:
        if row := row_of(track, top, _slots(course)):
            rows.append(row)
            top = row.top + row.height + _GAP
    marks = tuple(_marks(measurement, length_s, top + 10))
    axis_y = max((m.y for m in marks), default=top - 8) + 4
    return Picture(
        said=_said(course, rows, length_s),
        phases=phases,
        phases_height=phases_height,
        rows=tuple(rows),
        marks=marks,
        axis_y=axis_y,
        ticks=tuple(_ticks(length_s, axis_y + 13)),
        end=_seconds(length_s),
        height=axis_y + 18,
        left_out=max(0, len(given.tracks) - _MOST_TRACKS),
        better=tuple(line(text, 400) for text in course.better[:_MOST_BETTER]),
    )


def _length(course: Course) -> float:
    """The seconds drawn: all slots, or all bands if there are no slots."""
    if slots := _slots(course):
        return slots * course.step_s
    return max((b.end_s for b in course.bands if math.isfinite(b.end_s)), default=0.0)


def _slots(course: Course) -> int:
    return max((len(s.values) for track in course.tracks for s in track.series), default=0)


def _said(course: Course, rows: Sequence[Row], length_s: float) -> str:
    """A text alternative for the chart."""
    names = [line(band.label, LONGEST) for band in course.bands[:_MOST_BANDS]]
    what = ", then ".join(name for name in names if name)
    seen = "; ".join(row.text for row in rows)
    return f"{_seconds(length_s)}: {'. '.join(part for part in (what, seen) if part)}"


def _phases(bands: Sequence[Band], length_s: float) -> Iterator[Phase]:
    for band in bands:
        if math.isfinite(band.begin_s) and math.isfinite(band.end_s):
            begin = min(max(band.begin_s / length_s, 0.0), 1.0)
            width = min(max(band.end_s / length_s, 0.0), 1.0) - begin
            if width > 0:
                lines = tuple(_wrapped(line(band.label, LONGEST), width))
                yield Phase(percent(begin), percent(width), lines)


def _phases_height(phases: Sequence[Phase]) -> int:
    lines = max((len(phase.lines) for phase in phases), default=0)
    return 6 + lines * _LINE + _GAP if phases else 0


def _wrapped(text: str, width: float) -> Iterator[str]:
    """The words in a few lines; none if the band is too narrow."""
    room = (width * _BANDS - 4) / LETTER
    words, lines = text.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) <= _MOST_LINES and max(map(len, lines)) <= _CUT * room:
        yield from (text for text in lines if text)


def _marks(measurement: Measurement, length_s: float, y: int) -> Iterator[Words]:
    """The numbers of the moments, each in the first line where it overlaps no other."""
    story = charts.timeline(measurement)
    ends: list[float] = []
    for event in story.events if story else ():
        place = min(event.at_s / length_s, 1.0)
        free = (n for n, end in enumerate(ends) if (place - end) * PAGE >= _MARK)
        row = next(free, len(ends))
        ends[row:] = [place, *ends[row + 1 :]]
        yield Words(percent(place), y + row * _LINE, str(event.number))


def _ticks(length_s: float, y: int) -> Iterator[Words]:
    step = _step(length_s / _TICKS)
    for index in range(_TICKS + 1):
        at_s = index * step
        # Leave room for the end.
        if at_s / length_s < 1 - 60 / PAGE:
            yield Words(percent(at_s / length_s), y, _seconds(at_s))


def _step(least_s: float) -> float:
    """The smallest round step of at least so many seconds."""
    if least_s > _STEPS_S[0] / 2:
        days = math.ceil(least_s / _STEPS_S[-1]) * float(_STEPS_S[-1])
        return next((float(s) for s in _STEPS_S if s >= least_s), days)
    power = 10.0 ** math.floor(math.log10(least_s))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= least_s * 0.999)


def _seconds(at_s: float) -> str:
    return duration(at_s) if at_s >= _STEPS_S[0] else f"{number(at_s, 3)} s"


MOST: Final = 20
"""Maximal charts on a page; the record holds all."""


@dataclass(frozen=True, slots=True)
class Told:
    """A check that was judged on the drill."""

    name: str
    anchor: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill.

    Attributes:
        anchor: its anchor on the page.
        words: the title of the chart.
        picture: the chart.
        timeline: the moments below it; None if there are none.
        checks: the checks judged on it, worst first.
    """

    anchor: str
    words: str
    picture: Picture
    timeline: charts.Timeline | None
    checks: tuple[Told, ...]


def drills(record: RunRecord) -> Mapping[Course, Drill]:
    """The drills of a run, in the order of their checks; shared ones only once."""
    shown: dict[Course, list[CheckResult]] = {}
    first: dict[Course, Measurement] = {}
    for check in record.checks:
        for measurement in check.measurements:
            if measurement.course:
                shown.setdefault(measurement.course, []).append(check)
                first.setdefault(measurement.course, measurement)
    found: dict[Course, Drill] = {}
    for course, checks in shown.items():
        drawn = picture(first[course])
        if drawn and len(found) < MOST:
            found[course] = _drill(len(found) + 1, first[course], drawn, checks)
    return found


def _drill(
    number: int, measurement: Measurement, drawn: Picture, checks: list[CheckResult]
) -> Drill:
    ordered = sorted(dict.fromkeys(checks), key=lambda check: ORDER.index(check.outcome))
    subject, name = line(checks[0].subject, 200), line(measurement.name, 200)
    return Drill(
        f"drill-{number}",
        f"{subject}, {name}" if subject else name,
        drawn,
        charts.timeline(measurement),
        tuple(Told(line(c.name, 300), anchor(c.id, c.subject), c.outcome) for c in ordered),
    )
