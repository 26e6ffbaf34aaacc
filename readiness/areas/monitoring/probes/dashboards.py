"""Reads a Grafana dashboard: its panels, those in rows and libraries too, and their queries."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from readiness.lib.api import Reply
from readiness.lib.text import clean
from readiness.model.errors import NoData

# `$name`, `${name}`, `${name:format}` and `[[name]]`.
_VARIABLE: Final = re.compile(
    r"\$(?P<plain>\w+)|\$\{(?P<braced>\w+)(?:\.\w+)?(?::(?P<format>[\w:.-]+))?\}"
    r"|\[\[(?P<old>\w+)(?::\w+)?\]\]"
)
Values = Mapping[str, str | list[str]]
_T = TypeVar("_T")
_ALL: Final = "$__all"
_NO_DATA_OF_ITS_OWN: Final = {"-- Dashboard --", "-- Grafana --", "grafana"}
_EVERY: Final = ".*"


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
    def is_expression(self) -> bool:
        """Whether it computes with other queries, in Grafana itself."""
        return "__expr__" in {self.source.uid, self.source.type}


class _Library(Reply):
    uid: str


class _Panel(Reply):
    id: int = 0
    title: str = ""
    type: str = ""
    targets: tuple[Query, ...] = ()
    panels: "tuple[_Panel, ...]" = ()
    datasource: Source | str | None = None
    library: _Library | None = Field(None, alias="libraryPanel")


class _Current(Reply):
    value: JsonValue = None


class _Variable(Reply):
    name: str
    type: str = ""
    current: _Current = _Current()
    all_value: str | None = Field(None, alias="allValue")
    query: JsonValue = None


class _Templating(Reply):
    list: tuple[_Variable, ...] = ()


class _Row(Reply):
    panels: tuple[_Panel, ...] = ()


class _Dashboard(Reply):
    title: str = ""
    panels: tuple[_Panel, ...] = ()
    rows: tuple[_Row, ...] = ()
    templating: _Templating = _Templating()


_DASHBOARD: Final = TypeAdapter(_Dashboard)
_PANEL: Final = TypeAdapter(_Panel)
_QUERY: Final = TypeAdapter(Query)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel with queries of its own, in which the dashboard's variables are filled in.

    Attributes:
        title: as it is shown.
        queries: all of them; a hidden one may be what another one computes with.
    """

    title: str
    queries: tuple[Query, ...]

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
) -> tuple[Panel, ...]:
    """The panels with queries, in their order.

    Variables with two underscores, such as `$__rate_interval`, are left as they are.

    Args:
        document: the dashboard's JSON.
        variables: values that override those which the dashboard was saved with.
        library: the JSON of a library panel by its uid.
        where: the file or address, for messages.

    Raises:
        NoData: it is not a dashboard, or a variable has no value.
    """
    dashboard = _shaped(_DASHBOARD, document, where)
    values = _values(dashboard.templating.list, variables)
    rows = (panel for row in dashboard.rows for panel in row.panels)
    found = [
        Panel(panel.title or f"panel {panel.id}", _filled(panel, values, where))
        for panel in _unfolded((*dashboard.panels, *rows), library, where)
        if not _shows_others(panel)
    ]
    return tuple(panel for panel in found if panel.shown)


def fill_in(text: str, values: Values, where: str) -> str:
    """Replace variables with their values; Grafana's own without a value stay.

    Raises:
        NoData: a variable has no value.
    """

    def value(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"] or found["old"]
        if name in values:
            return _written(values[name], found["format"] or "")
        if name.startswith("__") or name.isdigit():  # $1 is of a regular expression
            return found[0]
        raise NoData(
            f"the variable ${name} has no value",
            where=where,
            remedy=f'set it: variables = {{ {name} = "..." }} in [grafana.dashboards.NAME]',
        )

    return _VARIABLE.sub(value, text)


def _shaped(kind: TypeAdapter[_T], document: object, where: str) -> _T:
    try:
        return kind.validate_python(document)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise NoData(
            f"it is not a dashboard: {clean(place, 120)}: {clean(first['msg'], 120)}",
            where=where,
            remedy="export it as classic JSON: Share, Export, Save to file",
        ) from None


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
    source = panel.datasource
    name = source if isinstance(source, str) else source.uid if source else ""
    return name in _NO_DATA_OF_ITS_OWN


def _filled(panel: _Panel, values: Values, where: str) -> tuple[Query, ...]:
    place = f"{where}: panel {clean(panel.title, 60)!r}"
    return tuple(_query(query, panel, values, place) for query in panel.targets)


def _query(query: Query, panel: _Panel, values: Values, place: str) -> Query:
    """The query with its variables replaced, and by default with the panel's data source."""
    if query.is_expression:  # its `$A` is another query
        return query
    source = query.datasource or panel.datasource
    given = query.model_dump(by_alias=True, exclude_unset=True) | {
        "datasource": source.model_dump() if isinstance(source, Source) else source
    }
    return _shaped(_QUERY, _walked(given, values, place), place)


def _walked(value: object, values: Values, where: str) -> object:
    if isinstance(value, str):
        return fill_in(value, values, where)
    if isinstance(value, Mapping):
        return {key: _walked(inner, values, where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(inner, values, where) for inner in value]
    return value


def _values(found: tuple[_Variable, ...], given: Mapping[str, str]) -> Values:
    """The value of each variable: the configured one, else the saved one."""
    saved = {variable.name: _saved(variable) for variable in found}
    return {name: value for name, value in saved.items() if value} | dict(given)


def _saved(variable: _Variable) -> str | list[str]:
    value = variable.current.value
    if variable.type == "constant" and not value:
        value = variable.query
    words = [str(word) for word in value] if isinstance(value, list) else [str(value or "")]
    if _ALL in words:
        return variable.all_value or _EVERY
    return words[0] if len(words) == 1 else words


def _written(value: str | list[str], form: str) -> str:
    """A value in its format; without one, several values are a regular expression."""
    words = [value] if isinstance(value, str) else value
    if form in {"csv", "raw"}:
        return ",".join(words)
    if form == "pipe":
        return "|".join(words)
    if form == "regex" or len(words) > 1:
        escaped = [word if word == _EVERY else re.escape(word) for word in words]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    return words[0]
