"""A metrics endpoint, read as strictly as Prometheus reads it; see `grammar`."""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from readiness.config.base.tables import Service
from readiness.lib.http import Answer, Session
from readiness.lib.prometheus.grammar import (
    NAME,
    Malformed,
    Series,
    labeled,
    read_page,
    unquoted,
)
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData

__all__ = [
    "ACCEPT",
    "Exposition",
    "Format",
    "Reading",
    "Series",
    "format_of",
    "parse",
    "parse_selector",
    "read",
    "scrape",
    "select",
]

# What Prometheus itself sends (2.x; 3.x adds names in UTF-8, which no counter here needs).
ACCEPT: Final = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
MAX_BYTES: Final = 16 * 1024 * 1024
_SELECTED: Final = re.compile(
    r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*")[ \t]*(,?)'
)
# As Go reads a media type: a key is a token, its value a token or quoted, and no key comes twice.
_PARAMETER: Final = re.compile(r'([\w!#$%&\'*+.^`|~-]+)[ \t]*=[ \t]*(?:[^\s",;=]+|"[^"]*")')


class Format(StrEnum):
    """The format of an exposition, by its content type."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"
    UNKNOWN = "unknown"


_FORMATS: Final = {
    "text/plain": Format.TEXT,
    "application/openmetrics-text": Format.OPENMETRICS,
}


@dataclass(frozen=True, slots=True)
class Exposition:
    """The answer of a metrics endpoint.

    Attributes:
        url: its address.
        status: the HTTP status; the body was read whatever it is.
        content_type: the header.
        format: of the content type.
        samples: the value of each series, the first one of a duplicate series.
        names: the metrics that are declared or have samples.
        duplicates: series that occur more than once at the same time.
        problems: what Prometheus would reject, each with its line number.
        quoted: metrics with a quoted name, which Prometheus 2 rejects.
    """

    url: str
    status: int
    content_type: str
    format: Format
    samples: Mapping[Series, float]
    names: frozenset[str]
    duplicates: tuple[str, ...]
    problems: tuple[str, ...]
    quoted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """The sum of the series that a selector matches; 0 where `present` is false."""

    value: float
    present: bool


def scrape(service: Service) -> Exposition:
    """Request the metrics of a service, as Prometheus does.

    Raises:
        CouldNotMeasure: see `readiness.lib.http.Session.request`; 16 MiB are allowed.
    """
    theirs, own = urlsplit(service.metrics_url), urlsplit(service.url)
    # A token of the service must not reach another server.
    is_own = (theirs.scheme, theirs.netloc) == (own.scheme, own.netloc)
    with Session(
        timeout_s=service.timeout_s,
        bearer=service.bearer if is_own else None,
        verify=service.verify_tls,
    ) as session:
        return parse(session.get(service.metrics_url, accept=ACCEPT, max_bytes=MAX_BYTES))


def parse(answer: Answer) -> Exposition:
    """Parse an answer. Never raises: mistakes are in `problems`."""
    form = format_of(answer.content_type)
    found = read_page(answer.body, openmetrics=form is Format.OPENMETRICS)
    return Exposition(
        url=answer.url,
        status=answer.status,
        content_type=answer.content_type,
        format=form,
        samples=MappingProxyType(found.samples),
        names=frozenset(found.names),
        duplicates=tuple(found.duplicates),
        problems=tuple(found.problems),
        quoted=tuple(found.quoted),
    )


def format_of(content_type: str) -> Format:
    """The format of a content type; of one that Prometheus 3 rejects it is unknown.

    As Prometheus does, it looks at the type and not at its version.
    """
    media, *rest = (part.strip() for part in content_type.lower().split(";"))
    keys = [_PARAMETER.fullmatch(part) for part in rest if part]
    names = [key[1] for key in keys if key]
    if len(names) < len(keys) or len(set(names)) < len(names):
        return Format.UNKNOWN
    return _FORMATS.get(media, Format.UNKNOWN)


def read(exposition: Exposition, selector: str) -> Reading:
    """Sum the series that a selector matches; 0 if there are none and its metric is declared.

    A counter with labels has no series before its first event.

    Raises:
        CouldNotMeasure: the selector is not of the form `name{label="value"}`.
        NoData: the status is not 200, the metric is not declared, or the sum is NaN.
    """
    wanted = parse_selector(selector)
    if exposition.status != 200:  # noqa: PLR2004 - OK
        raise NoData(f"answered {exposition.status} instead of metrics", where=exposition.url)
    if wanted.name not in exposition.names:
        raise _unknown(wanted.name, exposition)
    values = [value for series, value in exposition.samples.items() if series.matches(wanted)]
    total = math.fsum(values)
    if math.isnan(total):
        raise NoData(f"the value of {selector} is not a number (NaN)", where=exposition.url)
    return Reading(total, present=bool(values))


def select(exposition: Exposition, selector: str) -> float:
    """Sum the series that a selector such as `name{label="value"}` matches.

    Raises:
        CouldNotMeasure: the selector is not of that form.
        NoData: no series matches it, or as for `read`.
    """
    reading = read(exposition, selector)
    if not reading.present:
        raise NoData(f"no series matches {selector}", where=exposition.url)
    return reading.value


def parse_selector(selector: str) -> Series:
    """Read a selector: a metric name, with labels and the values they must have.

    Raises:
        CouldNotMeasure: it is not of the form `name{label="value"}`.
    """
    try:
        series, problem = _selected(selector.strip()), ""
    except Malformed as error:
        series, problem = Series(""), str(error)
    if problem:
        raise CouldNotMeasure(
            f"{problem} in the selector {clean(selector)!r}",
            where="[services.NAME.truth]",
            remedy='write it as `http_requests_total{route="/x"}`; `=` is the only comparison',
        )
    return series


def _unknown(name: str, exposition: Exposition) -> NoData:
    near = difflib.get_close_matches(name, exposition.names, n=3)
    hint = f"; the nearest are {', '.join(near)}" if near else ""
    return NoData(
        f"there is no metric {name} among {len(exposition.names)}{hint}",
        where=exposition.url,
        remedy=f"look it up: curl -s '{exposition.url}' | grep '^# TYPE'",
    )


def _selected(text: str) -> Series:
    name = NAME.match(text)
    if name is None:
        raise Malformed("no metric name")
    rest = text[name.end() :].strip()
    if not rest:
        return Series(name[0])
    if not (rest.startswith("{") and rest.endswith("}")):
        raise Malformed(f"unexpected {clean(rest, 40)!r}")
    labels: list[tuple[str, str]] = []
    place, end = 1, len(rest) - 1
    while place < end:
        label = _SELECTED.match(rest, place, end)
        if label is None or not (label[3] or label.end() == end):
            raise Malformed("an invalid label")
        labels.append((label[1], unquoted(label[2])))
        place = label.end()
    return labeled(name[0], labels)
