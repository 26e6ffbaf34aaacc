"""`readiness.html`: the static page for the change ticket."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from readiness.model.course import Course
from readiness.model.evidence import Outcome
from readiness.model.figures import counted
from readiness.model.record import RunRecord
from readiness.report import charts, course_rows
from readiness.report.build import Room, build
from readiness.report.drills import Drill, drills
from readiness.report.richtext import spans
from readiness.report.trends import PastRun, trends
from readiness.report.view import HEADINGS, ORDER, SHAPES, Shown, View, by_source, tally

# Characters for the figures of what passed and the configuration, and how much is shown of each
# figure to keep to that.
_PASSED_ROOM: Final = 88_000
_ROOMS: Final = (
    Room(),
    Room(passed_source=120, passed_figures=4),
    Room(passed_source=60, passed_figures=2, passed_pictures=False),
    Room(passed_source=40, passed_figures=1, passed_pictures=False),
)
_BUFFERED_NODES: Final = 400
_MOST_AREAS: Final = 40
_MOST_STEPS: Final = 100
# Figures of a finding beyond its misses are folded if there are more.
_MOST_FIGURES: Final = 4
_MOST_STREAKS: Final = 8
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
    record: RunRecord, *, evidence: Shown = "full", earlier: Iterable[PastRun] = ()
) -> Iterator[str]:
    """Yield the page in pieces, so that a large one is never in memory as a whole.

    Args:
        record: the run.
        evidence: `findings` leaves out the annex with the figures of what passed.
        earlier: runs of the same target and profile, newest first, for what the last runs gave.
    """
    room = _room(record)
    view = build(record, room, trends(record, earlier))
    stream = (
        environment()
        .get_template("readiness.html")
        .stream(
            v=view,
            annex=evidence == "full",
            pictured=room.passed_pictures,
            drills=_placed(drills(record), view),
            anchors={row.name: anchor for anchor, row in view.rows.items()},
            printed_id=re.sub(r"[^A-Za-z0-9._-]+", "-", record.run.id)[:60],
        )
    )
    stream.enable_buffering(_BUFFERED_NODES)
    return stream


def _room(record: RunRecord) -> Room:
    """The most that is shown of what passed and still fits; all is in the record."""
    return next((room for room in _ROOMS if room.weight(record) <= _PASSED_ROOM), _ROOMS[-1])


def _css() -> Markup:
    """The style without what only its authors read."""
    text = files("readiness.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    text = re.sub(r"\s*\n\s*", "\n", text)
    return Markup(re.sub(r"(?<=[{;,]) | (?=\{)|;? (?=\})", "", text))  # noqa: S704 - ours


def _plain(text: str) -> Markup:
    """Escaped for the inside of an element, where quotes need not be."""
    return Markup(str(escape(text)).replace("&#34;", '"').replace("&#39;", "'"))  # noqa: S704


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
def environment() -> Environment:
    """The templates of all pages, which escape what they show."""
    made = Environment(
        loader=PackageLoader("readiness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(n="{:,}".format, plain=_plain, spans=spans)
    made.globals.update(
        css=_css(),
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
        most_streaks=_MOST_STREAKS,
        bar_of=charts.bar,
        spark_of=charts.sparkline,
        distribution_of=charts.distribution,
        timeline_of=charts.timeline,
        box=course_rows.BOX,
    )
    return made
