"""Made-up series that a selector matches, as inputs of a test of a rule."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.alerting.promql.selectors import Match, Selector
from readiness.model.errors import NoData

_OTHERS: Final = ("readiness", "", "200", "500", "0", "1", "true", "a", "A", "GET", "/", "x:1")


class Undrivable(NoData):
    """An expression that no made-up series can bring to a value, as far as we can tell."""


@dataclass(frozen=True, slots=True)
class Line:
    """A value over time.

    Attributes:
        start: the value at 0 s; of one that accumulates, not used.
        slope: what it gains in a second.
        accumulates: whether only the gain counts, as for a counter.
    """

    start: float
    slope: float = 0.0
    accumulates: bool = False

    def __neg__(self) -> "Line":
        return Line(-self.start, -self.slope)

    def plus(self, other: "Line") -> "Line":
        """The sum of both."""
        together = self.accumulates or other.accumulates
        return Line(self.start + other.start, self.slope + other.slope, together)

    def times(self, factor: float) -> "Line":
        """That many times as much."""
        return Line(self.start * factor, self.slope * factor, self.accumulates)


@dataclass(frozen=True, slots=True)
class Key:
    """One series: its metric and its labels, sorted by name."""

    metric: str
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        inside = ",".join(str(Match(name, "=", value)) for name, value in self.labels)
        return f"{self.metric}{{{inside}}}"

    def matches(self, selector: Selector) -> bool:
        """Whether the selector would select it; a pattern that cannot be read does not."""
        values = dict(self.labels)
        return self.metric == selector.metric and all(
            m.holds(values.get(m.name, "")) for m in selector.matches
        )


def key_for(
    selector: Selector, defaults: Mapping[str, str], apart_from: Sequence[Selector] = ()
) -> Key:
    """A series that the selector matches, and those others do not.

    Args:
        selector: what must match it.
        defaults: labels that it has besides, where the selector does not demand otherwise.
        apart_from: selectors that must not match it.

    Raises:
        Undrivable: none can be thought of.
    """
    if not selector.metric or selector.alternatives:
        raise Undrivable("its selector names no single metric", where=selector.text)
    values = dict(defaults)
    for name in {m.name for m in selector.matches}:
        demands = [m for m in selector.matches if m.name == name]
        values[name] = _value(demands, [], values.get(name))
    for other in apart_from:
        if _key(selector.metric, values).matches(other):
            _tell_apart(selector, other, values)
    return _key(selector.metric, values)


def _key(metric: str, values: Mapping[str, str]) -> Key:
    return Key(metric, tuple(sorted((name, value) for name, value in values.items() if value)))


def _tell_apart(selector: Selector, other: Selector, values: dict[str, str]) -> None:
    for refused in other.matches:
        demands = [m for m in selector.matches if m.name == refused.name]
        try:
            values[refused.name] = _value(demands, [refused], None)
        except Undrivable:
            continue
        return
    raise Undrivable(f"every series of it is one of {other.text}, too", where=selector.text)


def _value(demands: Sequence[Match], refused: Sequence[Match], preferred: str | None) -> str:
    """A label's value that all demands hold for, and none of the refused."""
    for value in _candidates(demands, preferred):
        if all(m.holds(value) for m in demands) and not any(m.holds(value) for m in refused):
            return value
    raise Undrivable(
        "no value of a label comes to mind that matches",
        where=", ".join(map(str, [*demands, *refused])),
    )


def _candidates(demands: Iterable[Match], preferred: str | None) -> Iterable[str]:
    for demand in demands:
        if demand.op == "=":
            yield demand.value
        elif demand.op == "=~":
            yield from _examples(demand.value)
    if preferred is not None:
        yield preferred
    yield from _OTHERS


def _examples(pattern: str) -> Iterable[str]:
    """Texts that a simple pattern may match: its alternatives, with wildcards filled in."""
    inner = re.sub(r"^\^?\(?(?:\?:)?|\)?\$?$", "", pattern)
    for part in (*re.split(r"\|", inner), pattern):
        for filler in ("0", "a"):
            filled = re.sub(r"\[[^\]]*\][+*?]?|\\[dw][+*?]?", filler, part)
            filled = re.sub(r"(?<!\\)\.[+*?]?", filler, filled)
            yield re.sub(r"[\^$()?+*]|\\", "", filled)
        yield re.sub(r"\\(.)", r"\1", part)
