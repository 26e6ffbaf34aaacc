"""What an expression selects: each selector, its range, and whether it may be empty."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from promql_parser import (
    BinaryExpr,
    Call,
    Expr,
    Matcher,
    MatchOp,
    MatrixSelector,
    VectorSelector,
)

from readiness.areas.alerting.paper.regex import compiled
from readiness.areas.alerting.promql.tree import COMPARISONS, SETS, bare, children, operator, parse
from readiness.model.errors import NoData

Op = Literal["=", "!=", "=~", "!~"]
_NAME: Final = "__name__"
_OPS: Final[dict[str, Op]] = {
    str(MatchOp.Equal): "=",
    str(MatchOp.NotEqual): "!=",
    str(MatchOp.Re): "=~",
    str(MatchOp.NotRe): "!~",
}
_ABSENT: Final = frozenset({"absent", "absent_over_time"})


@dataclass(frozen=True, slots=True)
class Match:
    """One matcher: `name op value`."""

    name: str
    op: Op
    value: str

    def holds(self, value: str) -> bool | None:
        """Whether a label of that value matches; None for a pattern that is not read here."""
        if self.op in {"=", "!="}:
            return (value == self.value) is (self.op == "=")
        try:
            found = compiled(self.value).matches(value)
        except NoData:
            return None
        return found is (self.op == "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.op}"{escaped}"'


@dataclass(frozen=True, slots=True)
class Selector:
    """One vector selector.

    Attributes:
        metric: its name, or "" where a pattern or nothing names it.
        matches: its matchers, without that of the name if `metric` tells it.
        alternatives: further sets of matchers, of which one must hold (`{a="b" or a="c"}`).
        range_s: seconds of its range, 0 without one.
        offset_s: seconds it looks back (negative: ahead).
        may_be_empty: why it need not match a series now; empty where it must.
        either: the `or` of which one side must match, where it is a side of one; else "".
    """

    metric: str
    matches: tuple[Match, ...]
    alternatives: tuple[tuple[Match, ...], ...] = ()
    range_s: float = 0.0
    offset_s: float = 0.0
    may_be_empty: str = ""
    either: str = ""

    @property
    def text(self) -> str:
        """As PromQL, without range and offset."""
        inside = ",".join(map(str, self.matches))
        if self.alternatives:
            others = (",".join(map(str, group)) for group in self.alternatives)
            inside = " or ".join(filter(None, [inside, *others]))
        return f"{self.metric}{{{inside}}}" if inside or not self.metric else self.metric

    def equal(self, label: str) -> str:
        """The value that it demands of a label with `=`, or ""."""
        return next((m.value for m in self.matches if m.name == label and m.op == "="), "")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Range:
    """A range, `[5m]`, and the selector that it stands behind."""

    selector: Selector

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.selector.range_s


def selectors(expression: str, no_series_yet: Collection[str] = ()) -> tuple[Selector, ...]:
    """Every selector of an expression, in its order.

    Args:
        expression: PromQL.
        no_series_yet: metrics that may be named before their first series.

    Raises:
        NoData: it cannot be read.
    """
    return tuple(
        next(_excused([found], "[alerting] no_series_yet"))
        if found.metric in no_series_yet
        else found
        for found in _selectors(parse(expression))
    )


def ranges(expression: str) -> tuple[Range, ...]:
    """Every range of an expression; not the ranges of subqueries, which no scrape fills.

    Raises:
        NoData: it cannot be read.
    """
    return tuple(Range(found) for found in selectors(expression) if found.range_s)


def selector_of(node: VectorSelector, range_s: float = 0.0) -> Selector:
    """The selector that a node of the tree is."""
    matches = tuple(map(_match, node.matchers.matchers))
    named = node.name or next((m.value for m in matches if m.name == _NAME and m.op == "="), "")
    plain = re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", named) is not None
    metric = named if plain else ""
    return Selector(
        metric=metric,
        matches=tuple(m for m in matches if not (metric and m.name == _NAME)),
        alternatives=tuple(tuple(map(_match, group)) for group in node.matchers.or_matchers),
        range_s=range_s,
        offset_s=_seconds(node.offset),
    )


def _selectors(node: Expr) -> Iterator[Selector]:
    node = bare(node)
    match node:
        case VectorSelector():
            yield selector_of(node)
        case MatrixSelector():
            yield selector_of(node.vector_selector, _seconds(node.range))
        case BinaryExpr() if operator(node) == "unless":
            yield from _selectors(node.lhs)
            yield from _excused(_selectors(node.rhs), "right of `unless`")
        case BinaryExpr() if operator(node) == "or":
            yield from _alternatives(node)
        case Call() if node.func.name in _ABSENT:
            for child in children(node):
                yield from _excused(_selectors(child), f"{node.func.name}() asks for that")
        case _:
            for child in children(node):
                yield from _selectors(child)


def _alternatives(node: BinaryExpr) -> Iterator[Selector]:
    """The sides of an `or`. One that compares is a reason to fire of its own, and must match."""
    for side, other in ((node.lhs, node.rhs), (node.rhs, node.lhs)):
        found = list(_selectors(side))
        if _compares(side):
            yield from found
        elif not list(_selectors(other)):
            yield from _excused(found, "the other side of `or` is always there")
        else:
            yield from (replace(s, either=s.either or node.prettify()) for s in found)


def _compares(node: Expr) -> bool:
    node = bare(node)
    if not isinstance(node, BinaryExpr):
        return False
    inside = operator(node) in SETS and (_compares(node.lhs) or _compares(node.rhs))
    return operator(node) in COMPARISONS or inside


def _excused(found: Iterable[Selector], why: str) -> Iterator[Selector]:
    return (replace(selector, may_be_empty=selector.may_be_empty or why) for selector in found)


def _match(matcher: Matcher) -> Match:
    return Match(matcher.name, _OPS[str(matcher.op)], matcher.value)


def _seconds(delta: timedelta | None) -> float:
    return delta.total_seconds() if delta else 0.0
