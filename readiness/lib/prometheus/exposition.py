"""Parses a metrics endpoint as strictly as Prometheus does, line by line.

Client libraries accept more than Prometheus does (and rename counters), so that a page that they
parse can still be a failed scrape. Therefore this is a grammar of its own.
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from readiness.config.base.tables import Service
from readiness.lib.http import Answer, ask
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData

# What Prometheus itself sends (2.x; 3.x adds names in UTF-8, which no counter here needs).
ACCEPT: Final = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
MAX_BYTES: Final = 16 * 1024 * 1024
_END: Final = "# EOF"

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(rf"([a-zA-Z_][a-zA-Z0-9_]*|{_QUOTED})[ \t]*=[ \t]*({_QUOTED})")
_QUOTED_NAME: Final = re.compile(_QUOTED)
_BLANKS: Final = re.compile(r"[ \t]*")
_NUMBER: Final = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?|nan", re.ASCII | re.IGNORECASE
)
_COMMENT: Final = re.compile(
    rf"#[ \t]+(?P<word>HELP|TYPE|UNIT)[ \t]+(?P<name>{_NAME.pattern}|{_QUOTED})"
    r"(?:[ \t]+(?P<text>.*))?",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)")
_KINDS: Final = {
    "text": {"counter", "gauge", "histogram", "summary", "untyped"},
    "openmetrics": {
        *("counter", "gauge", "histogram", "gaugehistogram"),
        *("summary", "info", "stateset", "unknown"),
    },
}


class Format(StrEnum):
    """The format of an exposition, by its content type."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Series:
    """A metric name with its labels, sorted by name."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def matches(self, selector: "Series") -> bool:
        """Whether the name is the selector's, and all labels of the selector are among ours."""
        return self.name == selector.name and set(selector.labels) <= set(self.labels)

    def __str__(self) -> str:
        if not self.labels:
            return self.name
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"


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
        duplicates: series that occur more than once.
        problems: what Prometheus would reject, each with its line number.
    """

    url: str
    status: int
    content_type: str
    format: Format
    samples: Mapping[Series, float]
    names: frozenset[str]
    duplicates: tuple[str, ...]
    problems: tuple[str, ...]


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
    return parse(ask(service, service.metrics, accept=ACCEPT, max_bytes=MAX_BYTES))


def parse(answer: Answer) -> Exposition:
    """Parse an answer. Never raises: mistakes are in `problems`."""
    form = format_of(answer.content_type)
    samples: dict[Series, float] = {}
    names: set[str] = set()
    duplicates: list[str] = []
    problems: list[str] = []
    for number, raw in _lines(answer.body):
        try:
            line = raw.decode("utf-8")
            if line.lstrip(" \t").startswith("#"):
                names.update(_declared(line, form))
                continue
            series, value = _sample(line, form)
        except UnicodeDecodeError:
            problems.append(f"line {number} is not valid UTF-8")
        except ValueError as error:
            problems.append(f"line {number}: {error}: {clean(line, 80)!r}")
        else:
            names.add(series.name)
            if series in samples:
                duplicates.append(clean(f"{series} (line {number})"))
            samples.setdefault(series, value)
    if form is Format.OPENMETRICS and not _ended(answer.body):
        problems.append(f"the last line is not {_END!r}")
    return Exposition(
        url=answer.url,
        status=answer.status,
        content_type=answer.content_type,
        format=form,
        samples=MappingProxyType(samples),
        names=frozenset(names),
        duplicates=tuple(duplicates),
        problems=tuple(problems),
    )


def format_of(content_type: str) -> Format:
    """The format of a content type; `text/plain` without a version is the text format."""
    media, *rest = (part.strip() for part in content_type.lower().split(";"))
    pairs = (part.partition("=") for part in rest)
    version = {key.strip(): value.strip(' "') for key, _, value in pairs}.get("version", "")
    if media == "text/plain" and version in {"", "0.0.4", "1.0.0"}:
        return Format.TEXT
    if media == "application/openmetrics-text" and version in {"", "0.0.1", "1.0.0"}:
        return Format.OPENMETRICS
    return Format.UNKNOWN


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
        series, rest = _series(selector.strip())
    except ValueError as error:
        series, problem = Series(""), str(error)
    else:
        problem = f"unexpected {clean(rest, 40)!r}" if rest.strip() else ""
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


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip(b" \t"):
            yield number, line


def _ended(body: bytes) -> bool:
    return body.removesuffix(b"\n").rpartition(b"\n")[2] == _END.encode()


def _declared(line: str, form: Format) -> Iterator[str]:
    """The metric names that a comment declares; ValueError if Prometheus rejects the line."""
    found = _COMMENT.fullmatch(line.strip(" \t"))
    if found is None:
        if re.match(r"[ \t]*#[ \t]+(HELP|TYPE)[ \t]", line):
            raise ValueError("a HELP or TYPE without a valid metric name")
        return
    if found["word"] == "TYPE":
        kind = (found["text"] or "").strip()
        if kind not in _KINDS["openmetrics" if form is Format.OPENMETRICS else "text"]:
            raise ValueError("an unknown type of metric")
        if kind == "counter":  # OpenMetrics declares `x` for the samples `x_total`
            yield f"{_unquoted(found['name']).removesuffix('_total')}_total"
    yield _unquoted(found["name"])


def _sample(line: str, form: Format) -> tuple[Series, float]:
    series, rest = _series(line.strip(" \t"))
    if form is Format.OPENMETRICS:
        rest, mark, exemplar = rest.partition(" # ")
        if mark:
            _exemplar(exemplar)
    words = re.split(r"[ \t]+", rest.strip(" \t"))
    if len(words) > 2:  # noqa: PLR2004 - value and time
        raise ValueError("more than a value and a time")
    value = _number(words[0], "value")
    for stamp in words[1:]:
        _number(stamp, "time")
        if form is not Format.OPENMETRICS and not re.fullmatch(r"-?\d+", stamp, re.ASCII):
            raise ValueError("a time that is not in whole milliseconds")
    return series, value


def _exemplar(text: str) -> None:
    _, rest = _labels(text, "exemplar")
    for word in rest.split():
        _number(word, "exemplar")


def _number(word: str, what: str) -> float:
    if not _NUMBER.fullmatch(word):
        raise ValueError(f"a {what} that is not a number" if word else f"no {what}")
    return float(word)


def _series(line: str) -> tuple[Series, str]:
    """The series at the start of a line, and the rest; ValueError if there is none."""
    found = _NAME.match(line)
    name, rest = (found[0], line[found.end() :]) if found else ("", line)
    if not rest.lstrip(" \t").startswith("{"):
        if not name or (rest and rest[0] not in " \t"):
            raise ValueError("an invalid metric name")
        return Series(name), rest
    return _labels(rest.lstrip(" \t"), name)


def _labels(text: str, name: str) -> tuple[Series, str]:
    """Read `{label="value",...}`; a quoted word without a value is the metric's name."""
    labels: dict[str, str] = {}
    place = _skip(text, 1) if text.startswith("{") else len(text)
    while text[place : place + 1] != "}":
        if label := _LABEL.match(text, place):
            key = _unquoted(label[1])
            if key in labels:
                raise ValueError("a duplicate label")
            labels[key] = _unquoted(label[2])
        elif not name and (label := _QUOTED_NAME.match(text, place)):
            name = _unquoted(label[0])
        else:
            raise ValueError("an invalid label")
        place = _skip(text, label.end())
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "}":
            raise ValueError("labels that do not end")
    if not name:
        raise ValueError("no metric name")
    return Series(name, tuple(sorted(labels.items()))), text[place + 1 :]


def _skip(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    return found.end() if found else place


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], word[1:-1])
