"""`readiness.html`: the static page for the change ticket."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord
from readiness.report import charts, course_rows
from readiness.report.build import Room, build
from readiness.report.drills import drills
from readiness.report.view import HEADINGS, ORDER, SHAPES, Group, tally

# Beyond this many checks the page omits charts of checks that passed and truncates long sources.
# The record holds everything.
MANY_CHECKS: Final = 300
_LONG_SOURCE: Final = 400
_SHORT_SOURCE: Final = 60
_MOST_REASONS: Final = 12
_BUFFERED_NODES: Final = 400
# Outcomes that are expanded, and colored in the table of suites.
_LOUD: Final = frozenset({Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN})


def render(record: RunRecord) -> Iterator[str]:
    """Yield the page in pieces, so that a large one is never in memory as a whole."""
    large = len(record.checks) > MANY_CHECKS
    room = Room(_LONG_SOURCE, passed_source=_SHORT_SOURCE, passed_figures=1) if large else Room()
    view = build(record, room)

    def pictured(group: Group) -> bool:
        return not large or group.needs_reading

    stream = _template().stream(v=view, pictured=pictured, drills=drills(record))
    stream.enable_buffering(_BUFFERED_NODES)
    return stream


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
        most_reasons=_MOST_REASONS,
        bar_of=charts.bar,
        distribution_of=charts.distribution,
        timeline_of=charts.timeline,
        box=course_rows.BOX,
    )
    return environment.get_template("readiness.html")
