"""The drills of a run, each with its picture and the checks that show it."""

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
"""Pictures on a page; the record holds all of them."""


@dataclass(frozen=True, slots=True)
class Told:
    """A check that shows the drill."""

    name: str
    anchor: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill.

    Attributes:
        anchor: where it stands.
        words: what its picture is of.
        picture: it.
        timeline: the moments that stand below it; None if there are none.
        checks: those that show it, the worst first.
    """

    anchor: str
    words: str
    picture: Picture
    timeline: charts.Timeline | None
    checks: tuple[Told, ...]


def drills(record: RunRecord) -> Mapping[Course, Drill]:
    """The drills of a run, in the order of their checks; what several show stands there once."""
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
