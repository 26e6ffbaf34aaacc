"""What the panels of a dashboard show: through Grafana, or from Prometheus directly."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import promql_parser
from pydantic import Field, JsonValue, TypeAdapter

from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.probes import dashboards
from readiness.areas.monitoring.probes.dashboards import Panel, Query
from readiness.areas.monitoring.probes.grafana import Grafana, Shown
from readiness.lib import api
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.errors import NoData

_POINTS: Final = 100
_SCRAPES_FOR_A_RATE: Final = 4


class _Element(api.Reply):
    model: dict[str, JsonValue]


class _Exported(api.Reply):
    elements: dict[str, _Element] = Field(default={}, alias="__elements")


_EXPORTED: Final = TypeAdapter(_Exported)


class Asker(Protocol):
    """Whatever answers the queries of a panel."""

    def run(self, queries: Sequence[Query], *, window_s: float) -> tuple[Shown, ...]:
        """The points that each query gives."""
        ...


@dataclass(frozen=True, slots=True)
class Direct:
    """Queries Prometheus as Grafana would.

    Attributes:
        prometheus: the one that is queried.
        scrape_s: seconds between two scrapes of the slowest job.
    """

    prometheus: Prometheus
    scrape_s: float

    def run(self, queries: Sequence[Query], *, window_s: float) -> tuple[Shown, ...]:
        """See `Asker`.

        Raises:
            NoData: the data source of a query is not Prometheus.
        """
        return tuple(self._run(query, window_s) for query in queries)

    def _run(self, query: Query, window_s: float) -> Shown:
        if query.source.type not in {"", "prometheus"}:
            raise NoData(
                f"the data source of query {query.ref} is of the type {query.source.type}",
                where=query.ref,
                remedy="declare the dashboard by `uid`, so that Grafana queries it",
            )
        step_s = max(window_s / _POINTS, self.scrape_s)
        expression = dashboards.fill_in(
            query.expr, own_variables(window_s, step_s, self.scrape_s), query.ref
        )
        try:
            promql_parser.parse(expression)
        except ValueError as problem:
            return Shown(query.ref, 0, f"{problem}: {expression}")
        return Shown(query.ref, self._points(query, expression, window_s, step_s))

    def _points(self, query: Query, expression: str, window_s: float, step_s: float) -> int:
        if query.instant:
            values = [sample.value for sample in self.prometheus.query(expression)]
        else:
            now = self.prometheus.now()
            series = self.prometheus.query_range(expression, now - window_s, now, step_s)
            values = [value for points in series for _, value in points.values]
        return sum(not math.isnan(value) for value in values)


def own_variables(window_s: float, step_s: float, scrape_s: float) -> dict[str, str]:
    """The values of Grafana's own variables.

    Args:
        window_s: seconds of the range.
        step_s: seconds between two points.
        scrape_s: seconds between two scrapes.
    """
    rate_s = max(step_s + scrape_s, _SCRAPES_FOR_A_RATE * scrape_s)
    return {
        "__interval": f"{math.ceil(step_s)}s",
        "__interval_ms": str(round(step_s * 1000)),
        "__rate_interval": f"{math.ceil(rate_s)}s",
        "__range": f"{round(window_s)}s",
        "__range_s": str(round(window_s)),
        "__range_ms": str(round(window_s * 1000)),
    }


def from_grafana(grafana: Grafana, dashboard: Dashboard) -> tuple[Panel, ...]:
    """The panels of a dashboard in Grafana."""
    uid = dashboard.uid or ""
    return dashboards.panels_of(
        grafana.dashboard(uid),
        variables=dashboard.variables,
        library=grafana.library_panel,
        where=f"{grafana.url}/d/{uid}",
    )


def from_file(dashboard: Dashboard) -> tuple[Panel, ...]:
    """The panels of a dashboard in a file.

    Raises:
        NoData: the file does not exist, or is not a dashboard.
    """
    file = dashboard.file or ""
    try:
        document = json.loads(Path(file).read_bytes())
    except OSError as problem:
        raise NoData(f"cannot be read: {problem.strerror}", where=file) from None
    except (ValueError, RecursionError):
        raise NoData("is not valid JSON", where=file) from None
    return dashboards.panels_of(
        document,
        variables=dashboard.variables,
        library=lambda uid: _element(document, uid, file),
        where=file,
    )


def least_points(panel: Panel, asker: Asker, window_s: float, patience_s: float) -> Shown:
    """Of the queries that a panel shows, the one with the fewest points.

    Args:
        panel: with its variables replaced.
        asker: answers the queries.
        window_s: seconds up to now.
        patience_s: seconds to wait for a first point.
    """
    names = {query.ref for query in panel.shown}

    def least() -> Shown:
        answers = asker.run(panel.queries, window_s=window_s)
        return min(
            (answer for answer in answers if answer.ref in names), key=lambda shown: shown.points
        )

    return until(least, lambda shown: shown.points > 0, within_s=patience_s, every_s=1.0)


def patience_s(prometheus: Prometheus, scrape_s: float) -> float:
    """Seconds until a Prometheus that was just started has enough scrapes for a rate."""
    age_s = prometheus.now() - prometheus.runtime().started.timestamp()
    return max(0.0, 2 * _SCRAPES_FOR_A_RATE * scrape_s - age_s)


def _element(document: object, uid: str, file: str) -> object:
    """A library panel that was exported with the dashboard."""
    found = _EXPORTED.validate_python(document).elements.get(uid)
    if found is None:
        raise NoData(
            f"the library panel {uid} is not in the file",
            where=file,
            remedy="export the dashboard for sharing externally, or declare it by `uid`",
        )
    return found.model
