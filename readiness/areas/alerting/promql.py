"""Reads PromQL: its tree, what an expression selects, and the labels that its result can have."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

import promql_parser
from promql_parser import (
    AggModifier,
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    Matcher,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
    VectorSelector,
)

from readiness.areas.alerting.conditions import compiled
from readiness.model.errors import NoData

COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS: Final = frozenset({"and", "or", "unless"})
_SHOWN: Final = 200

# Prometheus 2 has it; the parser knows the name that version 3 gave it.
promql_parser.register_extra_functions(
    [
        promql_parser.Function(
            "holt_winters", [ValueType.Matrix, ValueType.Scalar, ValueType.Scalar], ValueType.Vector
        )
    ]
)


def parse(expression: str) -> Expr:
    """The tree of an expression.

    Raises:
        NoData: it cannot be read; so do all functions here that take an expression.
    """
    try:
        return promql_parser.parse(expression)
    except ValueError as problem:
        raise NoData(
            f"the expression cannot be read: {_shown(str(problem))}",
            where=_shown(expression),
            remedy="promtool check rules shows whether Prometheus can read it; experimental"
            " PromQL is not judged",
        ) from None


def _shown(text: str) -> str:
    """Foreign text on one line, without control characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def bare(node: Expr) -> Expr:
    """The expression without the parentheses around it."""
    while isinstance(node, ParenExpr):
        node = node.expr
    return node


def operator(node: BinaryExpr) -> str:
    """Its operator, as it is written."""
    return str(node.op)


def children(node: Expr) -> Iterator[Expr]:
    """The expressions directly below; a range's selector is not an expression of its own."""
    match node:
        case BinaryExpr():
            yield node.lhs
            yield node.rhs
        case Call():
            yield from (argument for argument in node.args if isinstance(argument, Expr))
        case AggregateExpr():
            if isinstance(node.param, Expr):
                yield node.param
            yield node.expr
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield node.expr
        case MatrixSelector():
            yield node.vector_selector


def descend(node: Expr) -> Iterator[Expr]:
    """The expression and all below it."""
    yield node
    for child in children(node):
        yield from descend(child)


_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": math.fmod,
    "^": lambda a, b: float(a**b),
}


def number(node: Expr) -> float | None:
    """The value of an expression of literals only, as `3 * 1000`; None for others."""
    match bare(node):
        case NumberLiteral() as literal:
            return literal.val
        case UnaryExpr() as negated:
            positive = number(negated.expr)
            return None if positive is None else -positive
        case Call(func=function, args=[argument]) if function.name in {"scalar", "vector"}:
            return number(argument)
        case BinaryExpr() as binary:
            return _calculated(binary)
        case _:
            return None


def _calculated(node: BinaryExpr) -> float | None:
    calculate = _ARITHMETIC.get(operator(node))
    left, right = number(node.lhs), number(node.rhs)
    if calculate is None or left is None or right is None:
        return None
    try:
        return calculate(left, right)
    except (ArithmeticError, ValueError, TypeError):
        return None  # Prometheus would give NaN or infinity, which is not a bound


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
        """Whether a label of that value matches; None for a pattern that cannot be read."""
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
    """One vector selector."""

    metric: str  # its name, or "" where a pattern or nothing names it
    matches: tuple[Match, ...]  # its matchers, without that of the name if `metric` holds it
    # Further sets of matchers, of which one must hold (`{a="b" or a="c"}`).
    alternatives: tuple[tuple[Match, ...], ...] = ()
    range_s: float = 0.0  # seconds of its range, 0 without one
    offset_s: float = 0.0  # seconds it looks back (negative: ahead)
    may_be_empty: str = ""  # why it need not match a series now; empty where it must
    either: str = ""  # the `or` of which one side must match, where it is a side of one; else ""

    @property
    def text(self) -> str:
        """As PromQL, without range and offset."""
        inside = ",".join(map(str, self.matches))
        if self.alternatives:
            others = (",".join(map(str, group)) for group in self.alternatives)
            inside = " or ".join(filter(None, [inside, *others]))
        return f"{self.metric}{{{inside}}}" if inside or not self.metric else self.metric

    def equal(self, label: str) -> str:
        """The value that it requires of a label with `=`, or ""."""
        return next((m.value for m in self.matches if m.name == label and m.op == "="), "")

    def __str__(self) -> str:
        return self.text


def selectors(expression: str, no_series_yet: Collection[str] = ()) -> tuple[Selector, ...]:
    """Every selector of an expression, in its order.

    Metrics in `no_series_yet` may be named before their first series.
    """
    return tuple(
        next(_excused([found], "[alerting] no_series_yet"))
        if found.metric in no_series_yet
        else found
        for found in _selectors(parse(expression))
    )


def selector_of(node: VectorSelector, range_s: float = 0.0) -> Selector:
    """The selector of a node of the tree."""
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
    """The sides of an `or`. A side that compares can fire by itself, and must match."""
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


_REFERENCE: Final = re.compile(
    r"""(?:\$labels|\.Labels)\.(?P<plain>[a-zA-Z_][a-zA-Z0-9_]*)
      | index\s+(?:\$labels|\.Labels)\s+"(?P<indexed>[^"]*)" """,
    re.VERBOSE,
)
_KEEP_ALL: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
# Functions whose arguments decide which labels they change.
_RELABEL: Final = frozenset({"label_replace", "label_join", "info"})
_NONE: Final = frozenset({"vector", "scalar", "time", "pi"})


_GUARD: Final = re.compile(r"\{\{-?\s*(?:else\s+)?(?:if|with)\b(.*?)\}\}", re.DOTALL)


def referenced_labels(template: str) -> frozenset[str]:
    """The labels that a template writes out, and does not ask for with `if` or `with`."""
    asked = frozenset(label for guard in _GUARD.findall(template) for label in _labels_in(guard))
    return _labels_in(template) - asked


def _labels_in(text: str) -> frozenset[str]:
    return frozenset(found["plain"] or found["indexed"] for found in _REFERENCE.finditer(text))


def possible_labels(expression: str) -> frozenset[str] | None:
    """The labels that the result can have; None if that depends on the series."""
    return _labels(parse(expression))


def _labels(node: Expr) -> frozenset[str] | None:
    node = bare(node)
    if number(node) is not None:
        return frozenset()
    match node:
        case AggregateExpr():
            return _aggregated(node)
        case BinaryExpr():
            return _joined(node)
        case UnaryExpr():
            return _labels(node.expr)
        case Call():
            return _called(node)
        case _:
            return None


def _aggregated(node: AggregateExpr) -> frozenset[str] | None:
    if str(node.op) in _KEEP_ALL:
        return _labels(node.expr)
    if node.modifier is None:
        kept: frozenset[str] | None = frozenset()
    elif node.modifier.type == AggModifierType.By:
        kept = frozenset(node.modifier.labels)
    else:
        below = _labels(node.expr)
        kept = None if below is None else below - set(node.modifier.labels)
    if str(node.op) == "count_values" and isinstance(node.param, str) and kept is not None:
        return kept | {node.param}
    return None if str(node.op) == "count_values" else kept


def _joined(node: BinaryExpr) -> frozenset[str] | None:
    symbol = operator(node)
    if symbol in SETS - {"or"} or number(node.rhs) is not None:
        return _labels(node.lhs)
    if number(node.lhs) is not None:
        return _labels(node.rhs)
    modifier = node.modifier
    if symbol == "or" or modifier is None:
        return _union([_labels(node.lhs), _labels(node.rhs)])
    filters = symbol in COMPARISONS and not modifier.return_bool
    if filters or modifier.group_labels is not None or modifier.matching is None:
        return None
    by_name = modifier.matching.type == LabelModifierType.Include
    return frozenset(modifier.matching.labels) if by_name else None


def _called(node: Call) -> frozenset[str] | None:
    if node.func.name in _RELABEL:
        return None
    if node.func.name in _NONE or not node.args:
        return frozenset()
    if node.func.name in _ABSENT:
        found = selectors(node.prettify())
        return frozenset(m.name for s in found for m in s.matches if m.op == "=")
    inner = [argument for argument in node.args if isinstance(argument, Expr)]
    return _union([_labels(argument) for argument in inner if number(argument) is None])


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    together: frozenset[str] = frozenset()
    for part in parts:
        if part is None:
            return None
        together |= part
    return together


def sources(expression: str) -> str:
    """An expression with the labels of all series that this one can give, whatever their values.

    Comparisons are left out; what is absent is taken as being so.
    """
    return _sources(parse(expression))


def _sources(node: Expr) -> str:
    node = bare(node)
    if number(node) is not None:
        return "vector(1)"
    match node:
        case BinaryExpr():
            return _sources_of_sides(node)
        case AggregateExpr() if str(node.op) in _KEEP_ALL:
            return _sources(node.expr)
        case AggregateExpr() if str(node.op) != "count_values":
            kept = _written(node.modifier) if node.modifier else ""
            return f"group {kept} ({_sources(node.expr)})"
        case Call() if node.func.name in _ABSENT:
            return _as_absent(node)
        case _:
            return node.prettify()


def _sources_of_sides(node: BinaryExpr) -> str:
    symbol, matching = operator(node), node.modifier.matching if node.modifier else None
    if symbol == "or":
        return f"({_sources(node.lhs)}) or ({_sources(node.rhs)})"
    if symbol in SETS or number(node.rhs) is not None:
        return _sources(node.lhs)
    if number(node.lhs) is not None:
        return _sources(node.rhs)
    if symbol not in COMPARISONS:
        return node.prettify()
    many = node.modifier and node.modifier.group_labels is not None
    if matching is None or many:
        return _sources(node.lhs)
    word = "by" if matching.type == LabelModifierType.Include else "without"
    return f"group {word} ({', '.join(matching.labels)}) ({_sources(node.lhs)})"


def _written(modifier: AggModifier) -> str:
    word = "by" if modifier.type == AggModifierType.By else "without"
    return f"{word} ({', '.join(modifier.labels)})"


def _as_absent(node: Call) -> str:
    """The one series of `absent()`: the labels that it asks for with `=`."""
    asked = {m.name: m.value for s in selectors(node.prettify()) for m in s.matches if m.op == "="}
    found = "vector(1)"
    for name, value in asked.items():
        quoted = Match(name, "=", value.replace("$", "$$"))
        found = f'label_replace({found}, "{name}", {str(quoted).partition("=")[2]}, "", "")'
    return found
