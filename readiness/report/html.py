"""`readiness.html`: the static page for the change ticket."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from readiness.model.course import Course
from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord
from readiness.report import charts, course_rows
from readiness.report.build import Room, build
from readiness.report.drills import Drill, drills
from readiness.report.history import trends
from readiness.report.overview import counted
from readiness.report.view import HEADINGS, ORDER, SHAPES, Shown, View, by_source, tally

# Beyond this many checks the page omits charts of checks that passed and truncates long sources.
# The record holds everything.
MANY_CHECKS: Final = 300
_LONG_SOURCE: Final = 400
_SHORT_SOURCE: Final = 60
_BUFFERED_NODES: Final = 400
_MOST_AREAS: Final = 40
_MOST_STEPS: Final = 100
# Figures of a finding beyond its misses are folded if there are more.
_MOST_FIGURES: Final = 4
# Outcomes that are colored in the table of areas.
_LOUD: Final = frozenset({Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN})
_QUIET: Final = frozenset({Outcome.PASS, Outcome.NOT_APPLICABLE})


@dataclass(frozen=True, slots=True)
class _Drills:
    """Where the charts of drills stand.

    Attributes:
        at: the charts that stand with a finding, by the anchor of its check.
        linked: the charts that further findings refer to, by the anchors of those.
        passed: the charts of drills of which every check passed.
        drawn: the drills that have a chart.
    """

    at: dict[str, list[Drill]]
    linked: dict[str, list[Drill]]
    passed: list[Drill]
    drawn: Mapping[Course, Drill]


def render(
    record: RunRecord, *, evidence: Shown = "full", earlier: Iterable[RunRecord] = ()
) -> Iterator[str]:
    """Yield the page in pieces, so that a large one is never in memory as a whole.

    Args:
        record: the run.
        evidence: `findings` leaves out the annex with the figures of what passed.
        earlier: records of the same target, newest first, for what the last runs gave.
    """
    large = len(record.checks) > MANY_CHECKS
    view = build(record, _room(len(record.checks)), trends(record, earlier))
    stream = _template().stream(
        v=view,
        annex=evidence == "full",
        pictured=not large,
        drills=_placed(drills(record), view),
        anchors={row.name: anchor for anchor, row in view.rows.items()},
        printed_id=re.sub(r"[^A-Za-z0-9._-]+", "-", record.run.id)[:60],
    )
    stream.enable_buffering(_BUFFERED_NODES)
    return stream


def _room(checks: int) -> Room:
    """The more checks, the fewer figures of each that passed; all are in the record."""
    if checks > MANY_CHECKS:
        return Room(_LONG_SOURCE, passed_source=_SHORT_SOURCE, passed_figures=1)
    return Room(passed_source=120, passed_figures=4) if checks > MANY_CHECKS / 2 else Room()


def _placed(found: Mapping[Course, Drill], view: View) -> _Drills:
    rows = view.rows
    places = _Drills({}, {}, [], found)
    for drill in found.values():
        loud = [c.anchor for c in drill.checks if rows[c.anchor].outcome not in _QUIET]
        if loud:
            places.at.setdefault(loud[0], []).append(drill)
            for anchor in loud[1:]:
                places.linked.setdefault(anchor, []).append(drill)
        else:
            places.passed.append(drill)
    return places


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("readiness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["n"] = "{:,}".format
    environment.globals.update(
        shapes=SHAPES,
        order=ORDER,
        headings=HEADINGS,
        loud=_LOUD,
        tally=tally,
        counted=counted,
        by_source=by_source,
        most_areas=_MOST_AREAS,
        most_steps=_MOST_STEPS,
        most_figures=_MOST_FIGURES,
        bar_of=charts.bar,
        spark_of=charts.sparkline,
        distribution_of=charts.distribution,
        timeline_of=charts.timeline,
        box=course_rows.BOX,
    )
    return environment.get_template("readiness.html")
