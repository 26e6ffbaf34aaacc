"""The grammars of the two text formats, as the lexers of Prometheus 2 and 3 accept them.

Client libraries accept more than Prometheus does (and rename counters), so that a page that they
parse can still be a failed scrape. In one place Prometheus accepts more than the specification:
in the older format blanks are free, commas are optional, and a label value may have line ends.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from readiness.lib.text import clean

_QUOTED: Final = r'"(?:\\[^\n]|[^"\\])*"'
_QUOTED_LINE: Final = r'"(?:\\[^\n]|[^"\\\n])*"'
_LABEL: Final = "[a-zA-Z_][a-zA-Z0-9_]*"
NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NUMBER: Final = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?|nan", re.ASCII | re.IGNORECASE
)
_ESCAPED: Final = re.compile(r"\\(.)")
# What the decoder makes of bytes that are not valid UTF-8.
_INVALID: Final = re.compile("[\udc80-\udcff]")
_NAME_LABEL: Final = "__name__"
_LAST_MS: Final = 2**63 - 1
_KINDS: Final = {"counter", "gauge", "histogram", "summary"}
_NOT_UTF_8: Final = "is not valid UTF-8"


class Malformed(ValueError):
    """What Prometheus rejects."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric name with its labels, sorted by name; an empty label is none."""

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


@dataclass(slots=True)
class Page:
    """What a page with metrics contains, and what is wrong with it."""

    samples: dict[Series, float] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    duplicates: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    quoted: list[str] = field(default_factory=list)


def read_page(body: bytes, *, openmetrics: bool) -> Page:
    """Read a page as Prometheus reads it, and after a mistake the lines that follow.

    Args:
        body: the page.
        openmetrics: whether it is in the format OpenMetrics.
    """
    text = body.decode("utf-8", "surrogateescape")
    reader = _OpenMetrics(text) if openmetrics else _Text(text)
    reader.read()
    return reader.page


def unquoted(word: str) -> str:
    """The text of a quoted word; others are their own text."""
    if not word.startswith('"'):
        return word
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], word[1:-1])


@dataclass(slots=True)
class _Reader:
    """One pass over a page; `place` is what has been read."""

    text: str
    place: int = 0
    page: Page = field(default_factory=Page)
    stamped: set[tuple[Series, str]] = field(default_factory=set)

    def read(self) -> None:
        """Read all entries; one that is malformed ends with its first line."""
        line, counted = 1, 0
        while self.place < len(self.text):
            begun = self.place
            line, counted = line + self.text.count("\n", counted, begun), begun
            try:
                self.entry(line)
            except Malformed as problem:
                self.place = self.after_line(begun)
                shown = "" if str(problem) == _NOT_UTF_8 else f": {self._shown(begun)!r}"
                between = " " if str(problem) == _NOT_UTF_8 else ": "
                self.page.problems.append(f"line {line}{between}{problem}{shown}")

    def entry(self, line: int) -> None:
        raise NotImplementedError

    def _shown(self, begun: int) -> str:
        return clean(_INVALID.sub("?", self.text[begun : self.place].rstrip("\n")), 80)

    def after_line(self, place: int) -> int:
        """Where the next line begins."""
        end = self.text.find("\n", place)
        return len(self.text) if end < 0 else end + 1

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read what a pattern matches here; None if it does not."""
        found = pattern.match(self.text, self.place)
        if found:
            self.place = found.end()
        return found

    def store(self, series: Series, value: float, stamp: str, line: int) -> None:
        """Add a sample; a series may come twice at two times."""
        self.page.names.add(series.name)
        if (series, stamp) in self.stamped:
            self.page.duplicates.append(clean(f"{series} (line {line})"))
        self.stamped.add((series, stamp))
        self.page.samples.setdefault(series, value)

    def series(self, line: int, open_: re.Pattern[str], labels: Callable[[str], Series]) -> Series:
        """The series at the beginning of a sample."""
        found = self.take(NAME)
        name = found[0] if found else ""
        if self.take(open_):
            series = labels(name)
            if not name:
                self.page.quoted.append(clean(f"{series.name} (line {line})"))
            return series
        if not name:
            raise Malformed("an invalid metric name")
        return Series(name)

    def declare(self, kind: str, name: str) -> None:
        """A metric that a comment declares; OpenMetrics declares `x` for `x_total`."""
        if kind == "counter":
            self.page.names.add(f"{name.removesuffix('_total')}_total")
        self.page.names.add(name)


def labeled(name: str, labels: list[tuple[str, str]]) -> Series:
    """A series of labels as they were read."""
    names = [_NAME_LABEL, *(label for label, _ in labels)]
    if len(set(names)) < len(names):
        raise Malformed("a duplicate label")
    if any(_INVALID.search(value) for _, value in labels):
        raise Malformed(_NOT_UTF_8)
    if not name:
        raise Malformed("no metric name")
    return Series(name, tuple(sorted((label, value) for label, value in labels if value)))


def _number(word: str, what: str) -> float:
    if not _NUMBER.fullmatch(word):
        raise Malformed(f"a {what} that is not a number" if word else f"no {what}")
    value = float(word)
    if math.isinf(value) and "inf" not in word.lower():
        raise Malformed(f"a {what} that is too large for a number")
    return value


class _Text(_Reader):
    """The text format 0.0.4; 3.x quotes names that are not of this alphabet."""

    _BLANK: Final = re.compile(r"[ \t]*\n?")
    _COMMENT: Final = re.compile(r"#[^\n]*\n?")
    _META: Final = re.compile(r"#[ \t]+(HELP|TYPE)[ \t]+([^\n]*)\n?")
    _OPEN: Final = re.compile(r"[ \t]*\{[ \t]*")
    _PAIR: Final = re.compile(rf"({_LABEL}|{_QUOTED})[ \t]*=[ \t]*({_QUOTED})[ \t]*(?:,[ \t]*)?")
    _WORD: Final = re.compile(rf"({_QUOTED})[ \t]*(?:,[ \t]*)?")
    _CLOSE: Final = re.compile(r"\}")
    _REST: Final = re.compile(r"[ \t]*([^{ \t\n]*)[ \t]*([^\n]*)\n?")
    _STAMP: Final = re.compile(r"\d+", re.ASCII)
    _TYPES: Final = _KINDS | {"untyped"}

    def entry(self, line: int) -> None:
        blank = self.take(self._BLANK)
        if (blank and blank[0].endswith("\n")) or self.place == len(self.text):
            return
        if meta := self.take(self._META):
            self._declared(meta[1], meta[2])
        elif self.take(self._COMMENT):
            pass
        elif blank and blank[0]:
            raise Malformed("a sample after blanks")
        else:
            self._sample(line)

    def _declared(self, word: str, rest: str) -> None:
        name = re.match(rf"{NAME.pattern}|{_QUOTED}", rest)
        if not name:
            raise Malformed("a HELP or TYPE without a valid metric name")
        if _INVALID.search(rest):
            raise Malformed(_NOT_UTF_8)
        if name[0].startswith('"'):
            self.page.quoted.append(clean(unquoted(name[0])))
        kind = rest[name.end() + 1 :] if word == "TYPE" else ""
        if word == "TYPE" and kind not in self._TYPES:
            raise Malformed("an unknown type of metric")
        self.declare(kind, unquoted(name[0]))

    def _sample(self, line: int) -> None:
        series = self.series(line, self._OPEN, self._labels)
        found = self.take(self._REST)
        value, stamp = _number(found[1] if found else "", "value"), ""
        if found:
            stamp = found[2].rstrip(" \t")
        if stamp and not self._STAMP.fullmatch(stamp):
            more = len(stamp.split()) > 1
            what = "more than a value and a time" if more else "a time in no whole milliseconds"
            raise Malformed(what)
        if stamp and int(stamp) > _LAST_MS:
            raise Malformed("a time that is too large")
        self.store(series, value, stamp, line)

    def _labels(self, name: str) -> Series:
        labels = []
        while not self.take(self._CLOSE):
            if pair := self.take(self._PAIR):
                labels.append((unquoted(pair[1]), unquoted(pair[2])))
            elif not name and (word := self.take(self._WORD)):
                name = unquoted(word[1])
            else:
                raise Malformed("an invalid label")
        return labeled(name, labels)


class _OpenMetrics(_Reader):
    """OpenMetrics 1.0: every blank counts, and the page ends with `# EOF`."""

    _END: Final = re.compile(r"# EOF\n?")
    _META: Final = re.compile(r"# (HELP|TYPE|UNIT) ([^\n]*)\n")
    _OPEN: Final = re.compile(r"\{")
    _PAIR: Final = re.compile(rf"({_LABEL}|{_QUOTED_LINE})=({_QUOTED_LINE})")
    _WORD: Final = re.compile(rf"({_QUOTED_LINE})")
    _COMMA: Final = re.compile(r",(?!\})")
    _CLOSE: Final = re.compile(r"\}")
    _VALUE: Final = re.compile(r" ([^ \n]*)")
    _TIME: Final = re.compile(r" (?!# \{)([^ \n]+)")
    _EXEMPLAR: Final = re.compile(r" # \{")
    _TYPES: Final = _KINDS | {"gaugehistogram", "info", "stateset", "unknown"}
    _UNFINISHED: Final = "the last line is not '# EOF'"

    def read(self) -> None:
        _Reader.read(self)
        last = self.text.removesuffix("\n").rpartition("\n")[2]
        if last != "# EOF":
            self.page.problems.append(self._UNFINISHED)

    def entry(self, line: int) -> None:
        if self.take(self._END):
            if self.place < len(self.text):
                raise Malformed("more after '# EOF'")
        elif meta := self.take(self._META):
            self._declared(meta[1], meta[2])
        elif self.text[self.place] == "#":
            raise Malformed("a comment, which OpenMetrics does not allow")
        elif self.text[self.place] == "\n":
            raise Malformed("an empty line, which OpenMetrics does not allow")
        else:
            self._sample(line)

    def _declared(self, word: str, rest: str) -> None:
        name = re.match(rf"(?:{NAME.pattern}|{_QUOTED_LINE})(?= )", rest)
        if not name:
            raise Malformed("a HELP, TYPE or UNIT without a valid metric name and a text")
        said, metric = rest[name.end() + 1 :], unquoted(name[0])
        if word == "TYPE" and said not in self._TYPES:
            raise Malformed("an unknown type of metric")
        if word == "HELP" and _INVALID.search(said):
            raise Malformed(_NOT_UTF_8)
        if word == "UNIT" and said and not metric.endswith(f"_{said}"):
            raise Malformed("a unit that the metric's name does not end with")
        self.declare(said if word == "TYPE" else "", metric)

    def _sample(self, line: int) -> None:
        series = self.series(line, self._OPEN, self._labels)
        value, stamp = self._figures("value")
        if self.take(self._EXEMPLAR):
            # OpenMetrics 1.0; later releases of Prometheus accept them anywhere.
            if not series.name.endswith(("_total", "_bucket")):
                raise Malformed("an exemplar of neither a counter nor a bucket")
            self._labels("exemplar")
            self._figures("exemplar")
        if not self.text.startswith("\n", self.place):
            raise Malformed("more than a value, a time and an exemplar")
        self.place += 1
        self.store(series, value, stamp, line)

    def _figures(self, what: str) -> tuple[float, str]:
        found = self.take(self._VALUE)
        value = _number(found[1] if found else "", what)
        stamp = self.take(self._TIME)
        if stamp and not math.isfinite(_number(stamp[1], "time")):
            raise Malformed("a time that is not a number")
        return value, stamp[1] if stamp else ""

    def _labels(self, name: str) -> Series:
        labels: list[tuple[str, str]] = []
        while not self.take(self._CLOSE):
            if labels and not self.take(self._COMMA):
                raise Malformed("labels that do not end")
            if pair := self.take(self._PAIR):
                labels.append((unquoted(pair[1]), unquoted(pair[2])))
            elif not name and (word := self.take(self._WORD)):
                name = unquoted(word[1])
                self.take(self._COMMA)
            else:
                raise Malformed("an invalid label")
        return labeled(name, labels)
