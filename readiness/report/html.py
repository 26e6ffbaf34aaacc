"""`readiness.html`: the static page for the change ticket."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from readiness.evidence import Outcome
from readiness.record import RunRecord
from readiness.report import charts
from readiness.report.view import HEADINGS, ORDER, SHAPES, Group, View, build, tally

# Beyond so many checks the page says the same with fewer bytes: no pictures of what passed, and
# of a long source only its beginning. The record holds all of it.
MANY_CHECKS: Final = 300
_LONG_SOURCE: Final = 400
_SHORT_SOURCE: Final = 120
_MOST_REASONS: Final = 12
_BUFFERED_NODES: Final = 400
# What is opened for the reader, and coloured in the table of suites.
_LOUD: Final = frozenset({Outcome.FAIL, Outcome.ERROR, Outcome.NOT_RUN})


def render(record: RunRecord) -> Iterator[str]:
    """The page, piece by piece, so that a large one never stands in memory as a whole."""
    view = build(record, longest_source=_SHORT_SOURCE if _is_large(record) else _LONG_SOURCE)
    return render_view(view)


def render_view(view: View) -> Iterator[str]:
    """The page of a view, piece by piece."""

    def pictured(group: Group) -> bool:
        return view.total <= MANY_CHECKS or group.needs_reading

    stream = _template().stream(v=view, pictured=pictured)
    stream.enable_buffering(_BUFFERED_NODES)
    return stream


def _is_large(record: RunRecord) -> bool:
    return len(record.checks) > MANY_CHECKS


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
    )
    return environment.get_template("readiness.html")
