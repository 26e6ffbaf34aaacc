"""The drills of a run, each with its chart and its checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from readiness.model.clean import line
from readiness.model.course import Course
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord
from readiness.report import charts
from readiness.report.build import anchor
from readiness.report.course import Picture, picture
from readiness.report.view import ORDER

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
