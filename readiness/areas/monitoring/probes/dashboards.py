"""Reads a Grafana dashboard: its panels, those in rows and libraries too, and their queries."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from readiness.areas.monitoring.probes.variables import (
    Input,
    Lookup,
    Resolved,
    Values,
    Variable,
    fill_in,
    names_in,
    resolve,
)
from readiness.lib.api import Reply
from readiness.lib.text import clean
from readiness.model.errors import NoData

_T = TypeVar("_T")
# They may have a query that was there before they had this type.
_WITHOUT_QUERIES: Final = {"row", "text", "dashlist", "news", "welcome", "gettingstarted"}
_ABOUT_THE_LOOKS: Final = {
    *("format", "interval", "intervalFactor", "legendFormat", "step", "range", "exemplar"),
    *("editorMode", "queryType", "useBackend"),
}
_NO_SOURCE: Final = {"", "-- Mixed --"}
_NO_DATA_OF_ITS_OWN: Final = {"-- Dashboard --", "-- Grafana --", "grafana"}


class Source(Reply):
    """The data source of a panel or a query."""

    uid: str = ""
    type: str = ""


class Query(Reply):
    """One query of a panel; unknown fields are kept, and passed on to Grafana."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    ref: str = Field("A", alias="refId")
    expr: str = ""
    hide: bool = False
    instant: bool = False
    datasource: Source | str | None = None

    @property
    def source(self) -> Source:
        """Its data source; older dashboards have a name in place of uid and type."""
        found = self.datasource
        return Source(uid=found) if isinstance(found, str) else found or Source()

    @property
    def is_blank(self) -> bool:
        """Whether somebody added it and wrote nothing: Grafana does not run it."""
        if "expr" in self.model_fields_set:
            return not self.expr.strip()
        return not (self.is_expression or (self.model_extra or {}).keys() - _ABOUT_THE_LOOKS)

    @property
    def is_expression(self) -> bool:
        """Whether it computes with other queries, in Grafana itself."""
        return "__expr__" in {self.source.uid, self.source.type}


class _Library(Reply):
    uid: str


class _Panel(Reply):
    id: int | str | None = 0
    title: str | None = ""
    type: str = ""
    targets: tuple[Query, ...] | None = ()
    panels: "tuple[_Panel, ...]" = ()
    datasource: Source | str | None = None
    library: _Library | None = Field(None, alias="libraryPanel")


class _Templating(Reply):
    list: tuple[Variable, ...] = ()


class _Row(Reply):
    panels: tuple[_Panel, ...] = ()


class _Dashboard(Reply):
    title: str = ""
    panels: tuple[_Panel, ...] = ()
    rows: tuple[_Row, ...] = ()
    templating: _Templating = _Templating()
    inputs: tuple[Input, ...] = Field((), alias="__inputs")


_DASHBOARD: Final = TypeAdapter(_Dashboard)
_PANEL: Final = TypeAdapter(_Panel)
_QUERY: Final = TypeAdapter(Query)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel with queries of its own, in which the dashboard's variables are filled in.

    Attributes:
        title: as it is shown.
        queries: all of them; a hidden one may be what another one computes with.
        missing: the variables without a value that they use.
    """

    title: str
    queries: tuple[Query, ...]
    missing: frozenset[str] = frozenset()

    @property
    def shown(self) -> tuple[Query, ...]:
        """The queries whose answers are shown."""
        return tuple(query for query in self.queries if not query.hide)


def panels_of(
    document: object,
    *,
    variables: Mapping[str, str],
    library: Callable[[str], object],
    where: str,
    lookup: Lookup | None = None,
) -> tuple[Panel, ...]:
    """The panels with queries, in their order.

    Variables with two underscores, such as `$__rate_interval`, are left as they are.

    Args:
        document: the dashboard's JSON.
        variables: values that override those which the dashboard was saved with.
        library: the JSON of a library panel by its uid.
        where: the file or address, for messages.
        lookup: finds the options of variables; without it the saved values count.

    Raises:
        NoData: it is not a dashboard.
    """
    if isinstance(document, Mapping) and isinstance(document.get("dashboard"), Mapping):
        document = document["dashboard"]  # as the API of Grafana answers
    if isinstance(document, Mapping) and {"elements", "spec"} & document.keys():
        raise _not_a_dashboard("its schema is version 2", where)
    dashboard = _shaped(_DASHBOARD, document, where)
    resolved = resolve(dashboard.templating.list, dashboard.inputs, variables, lookup)
    rows = (panel for row in dashboard.rows for panel in row.panels)
    found = [
        _panel(panel, resolved, where)
        for panel in _unfolded((*dashboard.panels, *rows), library, where)
        if not _shows_others(panel)
    ]
    return tuple(panel for panel in found if panel.shown)


def _panel(panel: _Panel, resolved: Resolved, where: str) -> Panel:
    title = panel.title or f"panel {panel.id}"
    place = f"{where}: panel {clean(title, 60)!r}"
    asked = [query for query in panel.targets or () if not query.is_blank]
    used = {name for query in asked for name in names_in(query.expr)}
    return Panel(
        title,
        tuple(_query(query, panel, resolved, place) for query in asked),
        resolved.missing & used,
    )


def _not_a_dashboard(reason: str, where: str) -> NoData:
    return NoData(
        f"it is not a dashboard: {reason}",
        where=where,
        remedy="export it as classic JSON: Share, Export, Save to file",
    )


def _shaped(kind: TypeAdapter[_T], document: object, where: str) -> _T:
    try:
        return kind.validate_python(document)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise _not_a_dashboard(f"{clean(place, 120)}: {clean(first['msg'], 120)}", where) from None


def _unfolded(
    panels: tuple[_Panel, ...], library: Callable[[str], object], where: str
) -> Iterator[_Panel]:
    """All panels: those in rows and in other panels too, and the panels from libraries."""
    for panel in panels:
        if panel.library and not panel.targets:
            yield _shaped(_PANEL, library(panel.library.uid), where)
        else:
            yield panel
        yield from _unfolded(panel.panels, library, where)


def _shows_others(panel: _Panel) -> bool:
    """Whether it runs no query of its own."""
    if panel.type in _WITHOUT_QUERIES:
        return True
    source = panel.datasource
    name = source if isinstance(source, str) else source.uid if source else ""
    return name in _NO_DATA_OF_ITS_OWN


def _query(query: Query, panel: _Panel, resolved: Resolved, place: str) -> Query:
    """The query with its variables replaced, and by default with the panel's data source."""
    if query.is_expression:  # its `$A` is another query
        return query
    source = query.datasource or panel.datasource
    named = source if isinstance(source, Source) else Source(uid=source or "")
    own = Source(uid="") if named.uid in _NO_SOURCE else _source(named, resolved)
    given = query.model_dump(by_alias=True, exclude_unset=True, exclude={"datasource"})
    filled = {key: _walked(value, resolved.values) for key, value in given.items()}
    return _shaped(_QUERY, filled | {"datasource": own.model_dump()}, place)


def _source(named: Source, resolved: Resolved) -> Source:
    """A data source whose uid may be a variable; its kind is known even without its uid."""
    names = names_in(named.uid)
    kinds = [resolved.sources[name] for name in names if name in resolved.sources]
    uid = fill_in(named.uid, resolved.values)
    kind = fill_in(named.type, resolved.values) or "".join(kinds[:1])
    return Source(uid="" if names_in(uid) else uid, type="" if names_in(kind) else kind)


def _walked(value: object, values: Values) -> object:
    if isinstance(value, str):
        return fill_in(value, values)
    if isinstance(value, Mapping):
        return {key: _walked(inner, values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(inner, values) for inner in value]
    return value
