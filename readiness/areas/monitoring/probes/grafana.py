"""What the panels of a dashboard show: through Grafana, or from Prometheus directly."""

import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import quote

from pydantic import Field, JsonValue, TypeAdapter

from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.config import Grafana as Settings
from readiness.areas.monitoring.probes.dashboards import Panel, Query, Source, panels_of
from readiness.areas.monitoring.probes.variables import Lookup, fill_in
from readiness.lib import api
from readiness.lib.http import Answer, Session
from readiness.lib.prometheus import Prometheus, Refused
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import NoData

_NAME: Final = "Grafana"
_OK: Final = 200
_NOT_FOUND: Final = 404
# The answers of a Grafana or plugin without a health check for this kind of data source.
_NO_HEALTH_CHECK: Final = {404, 500, 501}
_ANSWERED: Final = {200, 207, 400, 404}
_POINTS: Final = 100
_TIMES: Final = {"time"}
_SCRAPES_FOR_A_RATE: Final = 4
# Of a query that is not PromQL, in a dashboard that has only the name of its source.
_UNKNOWN: Final = "unknown"
# Data sources that answer PromQL; an older dashboard has only the name of one.
_COMPATIBLE: Final = re.compile(r"prometheus|victoriametrics|mimir|^(?:datasource|default)?$")


@dataclass(frozen=True, slots=True)
class Shown:
    """The number of points of one query that are not null, or why there are none."""

    ref: str
    points: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The health of a data source, `OK` or another status, and the request that returned it."""

    status: str
    message: str
    source: str


class _Field(api.Reply):
    type: str = ""


class _Schema(api.Reply):
    fields: tuple[_Field, ...] = ()


class _Data(api.Reply):
    values: tuple[tuple[JsonValue, ...], ...] = ()


class _Frame(api.Reply):
    schema_: _Schema = Field(_Schema(), alias="schema")
    data: _Data = _Data()

    @property
    def points(self) -> int:
        """Number of values that are not null, without the times; NaN is null in JSON."""
        columns = zip(self.schema_.fields, self.data.values, strict=False)
        return sum(
            value is not None
            for column, values in columns
            if column.type not in _TIMES
            for value in values
        )


class _Result(api.Reply):
    error: str = ""
    frames: tuple[_Frame, ...] | None = None


class _Results(api.Reply):
    results: dict[str, _Result] = Field(default={})
    message: str = ""


class _Health(api.Reply):
    status: str = ""
    message: str = ""


class _Found(api.Reply):
    dashboard: dict[str, JsonValue]


class _Element(api.Reply):
    model: dict[str, JsonValue]


class _Library(api.Reply):
    result: _Element


class _KnownSource(api.Reply):
    uid: str
    name: str = ""
    type: str = ""
    default: bool = Field(default=False, alias="isDefault")


_RESULTS: Final = TypeAdapter(_Results)
_HEALTH: Final = TypeAdapter(_Health)
_DASHBOARD: Final = TypeAdapter(_Found)
_LIBRARY: Final = TypeAdapter(_Library)
_SOURCES: Final = TypeAdapter(tuple[_KnownSource, ...])


class Grafana:
    """One Grafana; use it as a context manager.

    Every method raises `CouldNotMeasure`: `Unreachable`, `TookTooLong`, `NotPermitted` when it
    requires a login, `NoData` when another program answers or the request is rejected.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self._session = Session(
            timeout_s=settings.timeout_s, bearer=settings.token, verify=settings.verify_tls
        )
        self._known: tuple[_KnownSource, ...] | None = None

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)

    def dashboard(self, uid: str) -> dict[str, JsonValue]:
        """The JSON of a dashboard."""
        found, answer = self._get(f"/api/dashboards/uid/{quote(uid, safe='')}")
        return api.shaped(_DASHBOARD, found, answer, _NAME).dashboard

    def library_panel(self, uid: str) -> dict[str, JsonValue]:
        """The JSON of a library panel."""
        found, answer = self._get(f"/api/library-elements/{quote(uid, safe='')}")
        return api.shaped(_LIBRARY, found, answer, _NAME).result.model

    def health(self, uid: str) -> SourceHealth:
        """Whether Grafana reaches a data source.

        Where it has no health check for that kind, or the check itself fails, the simplest query
        decides.
        """
        answer = self._session.get(f"{self.url}/api/datasources/uid/{quote(uid, safe='')}/health")
        found = api.document(answer, _NAME, "token")
        if answer.status not in _NO_HEALTH_CHECK:
            health = api.shaped(_HEALTH, found, answer, _NAME)
            status = health.status or f"no status, HTTP {answer.status}"
            return SourceHealth(status, clean(health.message), f"GET {answer.url}")
        asked = Query(refId="A", expr="vector(1)", instant=True, datasource=Source(uid=uid))
        shown = self.run([asked], window_s=60)[0]
        return SourceHealth(
            "OK" if shown.points else "no answer",
            shown.error or "the query vector(1) returns nothing",
            f"POST {self.url}/api/ds/query: vector(1)",
        )

    def run(self, queries: Sequence[Query], *, window_s: float) -> tuple[Shown, ...]:
        """The points of each query of one panel, as Grafana itself would show them.

        Args:
            queries: all of the panel, with the hidden ones that others compute with.
            window_s: seconds up to now.
        """
        body = {
            "from": f"now-{round(window_s)}s",
            "to": "now",
            "queries": [self._asked(query, window_s) for query in queries],
        }
        answer = self._session.post(
            f"{self.url}/api/ds/query", json.dumps(body).encode(), max_bytes=api.MAX_BYTES
        )
        found = api.document(answer, _NAME, "token")
        replied = api.shaped(_RESULTS, found, answer, _NAME)
        if answer.status not in _ANSWERED or not (replied.results or replied.message):
            raise _refused(answer, replied.message)
        return tuple(_shown(query.ref, replied) for query in queries)

    def other_sources(self, queries: Sequence[Query]) -> set[str]:  # noqa: ARG002 - see `Asker`
        """See `Asker`; Grafana asks all of its own."""
        return set()

    def _asked(self, query: Query, window_s: float) -> dict[str, JsonValue]:
        given: dict[str, JsonValue] = query.model_dump(
            by_alias=True, exclude={"datasource"}, exclude_none=True
        )
        source = query.source if query.is_expression else self._source(query.source)
        own: dict[str, JsonValue] = {
            "datasource": {"uid": source.uid, "type": source.type},
            "intervalMs": max(1, round(window_s * 1000 / _POINTS)),
            "maxDataPoints": _POINTS,
        }
        return given | own

    def _source(self, named: Source) -> Source:
        """The data source by its uid, its name, or nothing for the default."""
        if named.uid and named.type:
            return named
        if self._known is None:
            found, answer = self._get("/api/datasources")
            self._known = api.shaped(_SOURCES, found, answer, _NAME)
        wanted = named.uid if named.uid != "default" else ""
        for known in self._known:
            if wanted in {known.uid, known.name} if wanted else known.default:
                return Source(uid=known.uid, type=known.type)
        return named

    def _get(self, path: str) -> tuple[object, Answer]:
        answer = self._session.get(f"{self.url}{path}", max_bytes=api.MAX_BYTES)
        found = api.document(answer, _NAME, "token")
        if answer.status != _OK:
            raise _refused(answer, "it does not exist" if answer.status == _NOT_FOUND else "")
        return found, answer


def _shown(ref: str, replied: _Results) -> Shown:
    result = replied.results.get(ref)
    if result is None:
        return Shown(ref, 0, clean(replied.message) or "Grafana does not answer this query")
    return Shown(ref, sum(frame.points for frame in result.frames or ()), clean(result.error))


def _refused(answer: Answer, reason: str) -> NoData:
    return NoData(
        f"answered {answer.status}: {clean(reason) or answer.body[:100].decode(errors='replace')}",
        where=answer.url,
        remedy="check the uid, and that `token` in [grafana] may read it (role Viewer)",
    )


class _Exported(api.Reply):
    elements: dict[str, _Element] = Field(default={}, alias="__elements")


_EXPORTED: Final = TypeAdapter(_Exported)


class Asker(Protocol):
    """Answers the queries of a panel: a Grafana or a Prometheus."""

    def run(self, queries: Sequence[Query], *, window_s: float) -> tuple[Shown, ...]:
        """The number of points of each query."""
        ...

    def other_sources(self, queries: Sequence[Query]) -> set[str]:
        """The kinds of data sources among them that it cannot ask."""
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
        """See `Asker`; an expression of Grafana shows what the queries show that it computes with.

        Raises:
            NoData: the data source of a query is not Prometheus.
        """
        asked = {q.ref: self._run(q, window_s) for q in queries if not q.is_expression}
        least = min((shown.points for shown in asked.values()), default=0)
        return tuple(asked.get(query.ref, Shown(query.ref, least)) for query in queries)

    def other_sources(self, queries: Sequence[Query]) -> set[str]:
        """See `Asker`."""
        asked = [query for query in queries if not query.is_expression]
        kinds = {query.source.type or ("" if query.expr else _UNKNOWN) for query in asked}
        return {kind for kind in kinds if not _COMPATIBLE.search(kind)}

    def _run(self, query: Query, window_s: float) -> Shown:
        step_s = max(window_s / _POINTS, self.scrape_s)
        expression = fill_in(query.expr, own_variables(window_s, step_s, self.scrape_s))
        try:
            return Shown(query.ref, self._points(query, expression, window_s, step_s))
        except Refused as problem:  # Grafana shows it in place of the panel
            return Shown(query.ref, 0, f"{problem.message}: {clean(expression, 200)}")

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
        "__from": str(round((time.time() - window_s) * 1000)),
        "__to": str(round(time.time() * 1000)),
    }


def lookup_in(prometheus: Prometheus, window_s: float) -> Lookup:
    """Looks for the options of variables in the series of a range up to now."""
    step_s = window_s / _POINTS
    own = own_variables(window_s, step_s, step_s)

    def label_values(selector: str, label: str) -> tuple[str, ...]:
        now, selector = prometheus.now(), fill_in(selector, own)
        return prometheus.label_values(label, [selector] if selector else [], now - window_s, now)

    def results(expression: str) -> list[str]:
        found = prometheus.query(fill_in(expression, own))
        return [f"{sample} {sample.value:g} {sample.at * 1000:.0f}" for sample in found]

    return Lookup(label_values, prometheus.label_names, results)


def from_grafana(
    client: Grafana, dashboard: Dashboard, lookup: Lookup | None = None
) -> tuple[Panel, ...]:
    """The panels of a dashboard in Grafana."""
    uid = dashboard.uid or ""
    return panels_of(
        client.dashboard(uid),
        variables=dashboard.variables,
        library=client.library_panel,
        where=f"{client.url}/d/{uid}",
        lookup=lookup,
    )


def from_file(dashboard: Dashboard, lookup: Lookup | None = None) -> tuple[Panel, ...]:
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
    return panels_of(
        document,
        variables=dashboard.variables,
        library=lambda uid: _element(document, uid, file),
        where=file,
        lookup=lookup,
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
    return prometheus.patience_s(max(0.0, 2 * _SCRAPES_FOR_A_RATE * scrape_s - age_s))


def _element(document: object, uid: str, file: str) -> object:
    """A library panel that was exported with the dashboard."""
    elements = document.get("__elements") if isinstance(document, dict) else None
    known = isinstance(elements, dict)  # Grafana 8.3 wrote a list
    found = _EXPORTED.validate_python(document).elements.get(uid) if known else None
    if found is None:
        raise NoData(
            f"the library panel {uid} is not in the file",
            where=file,
            remedy="export the dashboard for sharing externally, or declare it by `uid`",
        )
    return found.model
