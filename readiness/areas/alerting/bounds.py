"""The bounds of an expression, and made-up series that bring its subject to a value."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatrixSelector,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from readiness.areas.alerting.promql import (
    COMPARISONS,
    SETS,
    Match,
    Selector,
    bare,
    descend,
    number,
    operator,
    parse,
    selector_of,
    selectors,
)
from readiness.model.errors import NoData

Direction = Literal["above", "below", "equals", "differs"]
_MIRRORED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_DIRECTIONS: Final[dict[str, Direction]] = {
    ">": "above", ">=": "above", "<": "below", "<=": "below", "==": "equals", "!=": "differs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bound:
    """One comparison of something with a number."""

    op: str  # the operator, as it reads with the number on the right: `0.75 < x` has `>`
    value: float  # the number
    subject: str  # what is compared, as PromQL
    # Whether it has the modifier `bool`: it then always gives a value, 0 or 1, and an alert rule
    # fires on both.
    is_bool: bool
    text: str  # the whole comparison, as PromQL

    @property
    def direction(self) -> Direction:
        """On which side of the number it holds."""
        return _DIRECTIONS[self.op]

    def __str__(self) -> str:
        return f"{self.op} {'bool ' if self.is_bool else ''}{self.value:g}"


def bounds(expression: str) -> tuple[Bound, ...]:
    """The comparisons that decide whether an expression has a result, in their order.

    They are found through parentheses, `and`, `or` and `unless`, and on the left of another
    comparison (`x > 3 < 10`). Those below a function or an aggregation, as in `count(x > 3)`, only
    select what is counted, and are left out.
    """
    return tuple(_bounds(parse(expression)))


def _bounds(node: Expr) -> Iterator[Bound]:
    node = bare(node)
    if not isinstance(node, BinaryExpr):
        return
    if operator(node) in COMPARISONS:
        yield from _bounds(node.lhs)
        yield from _compared(node)
    elif operator(node) in SETS:
        yield from _bounds(node.lhs)
        if operator(node) != "unless":  # its right side only says when it must not fire
            yield from _bounds(node.rhs)


def _compared(node: BinaryExpr) -> Iterator[Bound]:
    left, right = number(node.lhs), number(node.rhs)
    value = left if right is None else right
    if value is None or (left is not None and right is not None):
        return
    yield Bound(
        op=_MIRRORED[operator(node)] if right is None else operator(node),
        value=value,
        subject=bare(node.rhs if right is None else node.lhs).prettify(),
        is_bool=node.modifier is not None and node.modifier.return_bool,
        text=node.prettify(),
    )


# unit -> what it measures, and how many of the plainest unit it is
_UNITS: Final[dict[str, tuple[str, Fraction]]] = {
    "s": ("time", Fraction(1)),
    "ms": ("time", Fraction(1, 1000)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "ratio": ("share", Fraction(1)),
    "percent": ("share", Fraction(1, 100)),
    "bytes": ("size", Fraction(1)),
    "kB": ("size", Fraction(10**3)),
    "MB": ("size", Fraction(10**6)),
    "GB": ("size", Fraction(10**9)),
    "count": ("count", Fraction(1)),
    "1/h": ("rate", Fraction(1)),
}


def converted(value: float, unit: str, wanted: str) -> float:
    """A value in another unit, exact to the last digit that a float has.

    Raises:
        NoData: the two units measure different things.
    """
    (kind, size), (other, step) = _UNITS[unit], _UNITS[wanted]
    if kind != other:
        raise NoData(
            f"{unit} cannot be converted to {wanted}",
            where="[alerting.rules]",
            remedy="set `unit` and `metric_unit` to units of one kind: s and ms, ratio and percent",
        )
    return float(Fraction(repr(float(value))) * size / step)


_OTHERS: Final = ("readiness", "", "200", "500", "0", "1", "true", "a", "A", "GET", "/", "x:1")


class Undrivable(NoData):
    """We cannot make up series that bring this expression to a value."""


@dataclass(frozen=True, slots=True)
class Line:
    """A value over time."""

    start: float  # the value at 0 s; of one that accumulates, not used
    slope: float = 0.0  # what it gains in a second
    accumulates: bool = False  # whether only the gain counts, as for a counter

    def __neg__(self) -> "Line":
        return Line(-self.start, -self.slope)

    def plus(self, other: "Line") -> "Line":
        """The sum of both."""
        accumulates = self.accumulates or other.accumulates
        return Line(self.start + other.start, self.slope + other.slope, accumulates)

    def times(self, factor: float) -> "Line":
        """The product with a number."""
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
        """Whether the selector selects it; a pattern that cannot be read does not."""
        values = dict(self.labels)
        return self.metric == selector.metric and all(
            m.holds(values.get(m.name, "")) for m in selector.matches
        )


def key_for(
    selector: Selector, defaults: Mapping[str, str], apart_from: Sequence[Selector] = ()
) -> Key:
    """A series that the selector matches, and no selector in `apart_from` does.

    Its other labels are the defaults, unless the selector requires other values.

    Raises:
        Undrivable: we cannot find one.
    """
    if not selector.metric or selector.alternatives:
        raise Undrivable("its selector names no single metric", where=selector.text)
    values = dict(defaults)
    for name in {m.name for m in selector.matches}:
        demands = [m for m in selector.matches if m.name == name]
        values[name] = _value(demands, [], values.get(name))
    for other in apart_from:
        if _key(selector.metric, values).matches(other):
            _separate(selector, other, values)
    return _key(selector.metric, values)


def _key(metric: str, values: Mapping[str, str]) -> Key:
    return Key(metric, tuple(sorted((name, value) for name, value in values.items() if value)))


def _separate(selector: Selector, other: Selector, values: dict[str, str]) -> None:
    for refused in other.matches:
        demands = [m for m in selector.matches if m.name == refused.name]
        try:
            values[refused.name] = _value(demands, [refused], None)
        except Undrivable:
            continue
        return
    raise Undrivable(f"every series of it is one of {other.text}, too", where=selector.text)


def _value(demands: Sequence[Match], refused: Sequence[Match], preferred: str | None) -> str:
    """A label's value that meets all demands, and none of the refused ones."""
    for value in _candidates(demands, preferred):
        if all(m.holds(value) for m in demands) and not any(m.holds(value) for m in refused):
            return value
    raise Undrivable(
        "no matching value of a label was found",
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


_SAME: Final = frozenset({"sum", "min", "max", "avg", "topk", "bottomk", "quantile"})
_STEADY: Final = frozenset(
    {"avg_over_time", "max_over_time", "min_over_time", "last_over_time", "quantile_over_time",
     "predict_linear"}
)  # fmt: skip
_THROUGH: Final = frozenset(
    {"abs", "scalar", "vector", "sort", "sort_desc", "clamp_min", "clamp_max", "clamp",
     "label_replace", "label_join"}
)  # fmt: skip
_CLOCK: Final = Line(0.0, 1.0)
_BASE: Final = 128.0  # a power of two: dividing by it loses no digit
Inputs = dict[Key, Line]


def drive(expression: str, bound: Bound, value: float) -> Inputs:
    """The series that bring the subject of one of the expression's bounds to a value.

    All other conditions of the expression are made to hold.

    Raises:
        Undrivable: the shape of the expression is not supported.
    """
    plan = _Plan(_defaults(expression), bound.text)
    plan.hold(parse(expression), value)
    if not plan.inputs:
        raise Undrivable("it selects no series that can be varied", where=expression)
    return plan.inputs


@dataclass(slots=True)
class _Plan:
    """Collects the series, going down the tree."""

    defaults: Mapping[str, str]
    target: str
    inputs: Inputs = field(default_factory=dict)
    used: list[Selector] = field(default_factory=list)

    def hold(self, node: Expr, value: float) -> None:
        """Make a condition hold, with the target's subject at the value."""
        node = bare(node)
        symbol = operator(node) if isinstance(node, BinaryExpr) else ""
        if not isinstance(node, BinaryExpr) or symbol not in COMPARISONS | SETS:
            self.solve(node, Line(1.0))
        elif symbol in COMPARISONS:
            self._compare(node, value)
        elif symbol == "or" and self._is_in(node.rhs):
            self.hold(node.rhs, value)
        else:  # the other side of `or` and the right side of `unless` get no series
            self.hold(node.lhs, value)
            if symbol == "and":
                self.hold(node.rhs, value)

    def _is_in(self, node: Expr) -> bool:
        return any(bound.text == self.target for bound in bounds(node.prettify()))

    def _compare(self, node: BinaryExpr, value: float) -> None:
        found = [b for b in bounds(node.prettify()) if b.text == node.prettify()]
        if not found:
            raise Undrivable("it does not compare with a number", where=node.prettify())
        inner = node.lhs if number(node.lhs) is None else node.rhs
        if found[0].text != self.target and not self._is_in(inner):
            value = _that_holds(found[0])
        self.solve(inner, Line(value))

    def solve(self, node: Expr, value: Line, *, summed: bool = False) -> None:
        """Bring a part of the expression to a value."""
        node = bare(node)
        match node:
            case VectorSelector():
                self._assign(selector_of(node), value, summed=summed)
            case AggregateExpr() if str(node.op) in _SAME:
                self.solve(node.expr, value, summed=summed or str(node.op) == "sum")
            case UnaryExpr():
                self.solve(node.expr, -value, summed=summed)
            case Call():
                self._call(node, value, summed=summed)
            case BinaryExpr() if operator(node) in COMPARISONS and _filters(node):
                self.solve(node.lhs if number(node.lhs) is None else node.rhs, value)
            case BinaryExpr() if operator(node) in {"and", "unless", "or"}:
                self.solve(node.lhs, value, summed=summed)
                if operator(node) == "and":
                    self.hold(node.rhs, 1.0)
            case BinaryExpr() if operator(node) in _INVERSE:
                self._calculate(node, value, summed=summed)
            case _:
                raise Undrivable("its shape is not supported", where=node.prettify())

    def _call(self, node: Call, value: Line, *, summed: bool) -> None:
        name, inner = node.func.name, [a for a in node.args if isinstance(a, Expr)]
        ranges = (a for a in map(bare, inner) if isinstance(a, MatrixSelector | SubqueryExpr))
        ranged = next(ranges, None)
        if name in _THROUGH and inner:
            self.solve(inner[0], value, summed=summed)
        elif name == "histogram_quantile":
            self._histogram(node, value)
        elif isinstance(ranged, SubqueryExpr) and name in _STEADY and not value.slope:
            self.solve(ranged.expr, value)
        elif isinstance(ranged, MatrixSelector) and (line := _over_range(name, ranged, value)):
            self._assign(selector_of(ranged.vector_selector), line, summed=summed)
        else:
            raise Undrivable(f"{name}() is not supported", where=node.prettify())

    def _calculate(self, node: BinaryExpr, value: Line, *, summed: bool) -> None:
        left, right = self._known(node.lhs), self._known(node.rhs)
        if left is None and right is None and self._comes_again(node.rhs, node.lhs):
            right = Line(_BASE)
            self.solve(node.rhs, right)
        invert_left, invert_right = _INVERSE[operator(node)]
        if right is not None:
            self.solve(node.lhs, invert_left(value, right), summed=summed)
        elif left is not None:
            self.solve(node.rhs, invert_right(value, left), summed=summed)
        else:
            free = Line(0.0 if operator(node) == "+" else _BASE)
            self.solve(node.lhs, invert_left(value, free), summed=summed)
            self.solve(node.rhs, free, summed=summed)

    def _comes_again(self, node: Expr, other: Expr) -> bool:
        """Whether the other side contains the same plain selector, as in `(a - b) / a`."""
        again = (s.text for s in selectors(other.prettify()))
        return isinstance(bare(node), VectorSelector) and bare(node).prettify() in again

    def _known(self, node: Expr) -> Line | None:
        """The value of a side that is fixed: a number, the time, a series with a value."""
        plain, node = number(node), bare(node)
        if plain is not None:
            return Line(plain)
        if isinstance(node, VectorSelector):
            selector = selector_of(node)
            settled = [line for key, line in self.inputs.items() if key.matches(selector)]
            return settled[0] if len(settled) == 1 and selector in self.used else None
        return _CLOCK if isinstance(node, Call) and node.func.name == "time" else None

    def _histogram(self, node: Call, value: Line) -> None:
        """Put all observations into one bucket, whose edge makes the quantile the value."""
        quantile, found = number(node.args[0]), list(selectors(node.prettify()))
        if not quantile or len(found) != 1 or value.start <= 0 or value.slope:
            raise Undrivable(
                "the quantile of this histogram is not supported", where=node.prettify()
            )
        line = Line(0.0, 1.0, accumulates=True) if found[0].range_s else Line(_BASE)
        for edge in (repr(value.start / quantile), "+Inf"):
            self.inputs[key_for(found[0], {**self.defaults, "le": edge})] = line

    def _assign(self, selector: Selector, value: Line, *, summed: bool) -> None:
        """Give a selector a series, or add the one that its sum lacks."""
        having = [key for key in self.inputs if key.matches(selector)]
        missing = value
        for key in having:
            missing = missing.plus(self.inputs[key].times(-1.0))
        nothing = missing.slope == 0 and (missing.accumulates or missing.start == 0)
        if not having:
            self.inputs[key_for(selector, self.defaults)] = value
        elif summed and not nothing:
            apart = [s for s in self.used if s.metric == selector.metric]
            self.inputs[key_for(selector, self.defaults, apart)] = missing
        elif not nothing:
            raise Undrivable("it would need two values of one series", where=selector.text)
        self.used.append(selector)


def _that_holds(bound: Bound) -> float:
    """A value for which a further comparison holds."""
    if bound.op in {"==", ">=", "<="}:
        return bound.value
    step = max(1.0, abs(bound.value))
    return bound.value - step if bound.op == "<" else bound.value + step


def _filters(node: BinaryExpr) -> bool:
    one_number = (number(node.lhs) is None) is not (number(node.rhs) is None)
    return one_number and not (node.modifier and node.modifier.return_bool)


def _over_range(function: str, node: MatrixSelector, value: Line) -> Line | None:
    """The series whose function over a range is a value; None if that is not supported."""
    if value.slope:
        return None
    if function in _STEADY:
        return value
    if function == "deriv" or (function in {"rate", "irate"} and value.start >= 0):
        return Line(0.0, value.start, accumulates=True)
    if function in {"increase", "delta"} and (value.start >= 0 or function == "delta"):
        return Line(0.0, value.start / node.range.total_seconds(), accumulates=True)
    return None


def _constant(line: Line, *, but_zero: bool = False) -> float:
    if line.slope or (but_zero and not line.start):
        raise Undrivable("it multiplies or divides by a value that is not supported")
    return line.start


_Invert = Callable[[Line, Line], Line]
# For each operator: what the left side must be, given the value and the right side; and the
# other way round.
_INVERSE: Final[dict[str, tuple[_Invert, _Invert]]] = {
    "+": (lambda v, right: v.plus(-right), lambda v, left: v.plus(-left)),
    "-": (lambda v, right: v.plus(right), lambda v, left: left.plus(-v)),
    "*": (
        lambda v, right: v.times(1 / _constant(right, but_zero=True)),
        lambda v, left: v.times(1 / _constant(left, but_zero=True)),
    ),
    "/": (
        lambda v, right: v.times(_constant(right)),
        lambda v, left: Line(_constant(left) / _constant(v, but_zero=True)),
    ),
}


def _defaults(expression: str) -> dict[str, str]:
    """The labels of every series: `job`, `instance`, and those that the operators match on."""
    demanded: dict[str, str] = {}
    for selector in selectors(expression):
        for match in selector.matches:
            if match.op == "=" and match.value:
                demanded.setdefault(match.name, match.value)
    names, plain = {"job", "instance"}, False
    for node in descend(parse(expression)):
        if isinstance(node, AggregateExpr) and node.modifier and "By" in str(node.modifier.type):
            names |= set(node.modifier.labels)
        elif isinstance(node, BinaryExpr):
            matching = node.modifier.matching if node.modifier else None
            plain = plain or matching is None
            if matching and matching.type == LabelModifierType.Include:
                names |= set(matching.labels)
    if plain:
        names |= set(demanded)
    return {name: demanded.get(name, "readiness") for name in sorted(names - {"le"})}
