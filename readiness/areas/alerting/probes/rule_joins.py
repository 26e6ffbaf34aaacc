"""Whether the two sides of each operator in the loaded rules have series that match."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import promql_parser
from promql_parser import BinaryExpr, Call, Expr, LabelModifierType, UnaryExpr

from readiness.areas.alerting.possible import lost_bucket
from readiness.areas.alerting.promql import (
    COMPARISONS,
    SETS,
    bare,
    children,
    descend,
    number,
    operator,
    parse,
    selectors,
)
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, Sample
from readiness.lib.text import listed

_HISTORY: Final = "6h:10m"
_OF_ALERTS: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_SCALARS: Final = frozenset({"scalar", "time", "pi"})
_OF_TARGETS: Final = frozenset({"job", "instance"})
_PORT: Final = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class Joined:
    """The conditions that join two sides, and the joins whose sides never match."""

    judged: int
    apart: tuple[str, ...]  # rule, operator and reason, in words


@dataclass(frozen=True, slots=True)
class _Branch:
    """One side of the `or` at the top of a rule, without its comparisons."""

    rule: str
    tree: Expr
    joins: tuple[BinaryExpr | Call, ...]  # and quantiles of histograms, the innermost first


def look(prometheus: Prometheus, rules: Iterable[Rule]) -> Joined:
    """Whether every join gives a series now, or did within six hours, whatever it compares.

    A join is judged if both sides have series now. That `A and B` has none only counts if the
    labels show why: it may select what is not the case now.

    Raises:
        NoData: an expression cannot be read.
    """
    branches = [branch for rule in rules for branch in _branches(rule)]
    met = _counts(prometheus, (branch.tree for branch in branches))
    judged = sum(met.get(branch.tree.prettify(), 0) > 0 for branch in branches)
    silent = [b for b in branches if met.get(b.tree.prettify()) == 0]
    parts = _counts(prometheus, (n for b in silent for j in b.joins for n in (j, *_inputs(j))))
    apart = []
    for branch in silent:
        join = next((join for join in branch.joins if _is_apart(join, parts)), None)
        if join is None or _met_before(prometheus, join):
            continue
        judged += 1
        if isinstance(join, Call):
            apart.append(f"{branch.rule}: {_short(join)} gives nothing: its series have no `le`")
        elif why := _explained(prometheus, join):
            apart.append(f"{branch.rule}: {_sides(join)}: {why}")
    return Joined(judged, tuple(apart))


def _branches(rule: Rule) -> Iterator[_Branch]:
    for side in _alternatives(parse(rule.query)):
        nodes = list(descend(side))
        absent = any(isinstance(n, Call) and n.func.name.startswith("absent") for n in nodes)
        named = {selector.metric for selector in selectors(side.prettify())}
        if absent or named & _OF_ALERTS:
            continue  # no series is there while all is well
        tree = promql_parser.transform(side, None, _without_comparison)
        joins = tuple(_joins(tree))
        if joins:
            yield _Branch(rule.name, tree, joins)


def _alternatives(node: Expr) -> Iterator[Expr]:
    inner = bare(node)
    if isinstance(inner, BinaryExpr) and operator(inner) == "or":
        yield from _alternatives(inner.lhs)
        yield from _alternatives(inner.rhs)
    else:
        yield inner


def _without_comparison(node: Expr) -> Expr | None:
    """The same series whatever their values are: a comparison of two sides becomes `bool`."""
    if not isinstance(node, BinaryExpr):
        return None
    if operator(node) == "unless":
        return node.lhs
    if operator(node) not in COMPARISONS:
        return None
    if _is_scalar(node.rhs) or _is_scalar(node.lhs):
        return node.lhs if _is_scalar(node.rhs) else node.rhs
    if node.modifier and node.modifier.return_bool:
        return None
    modifier = str(node.modifier or "")
    return promql_parser.parse(
        f"({node.lhs.prettify()}) {operator(node)} bool {modifier} ({node.rhs.prettify()})"
    )


def _joins(tree: Expr) -> list[BinaryExpr | Call]:
    """What can give nothing although there are series below it, the innermost first."""
    found: list[BinaryExpr | Call] = []
    for node in descend(tree):
        if isinstance(node, BinaryExpr) and operator(node) != "or":
            found += [] if _is_scalar(node.lhs) or _is_scalar(node.rhs) else [node]
        elif isinstance(node, Call) and node.func.name == "histogram_quantile":
            found += [] if lost_bucket(node) else [node]
    return found[::-1]


def _inputs(join: BinaryExpr | Call) -> list[Expr]:
    """The vectors that it needs."""
    return [side for side in children(join) if not _is_scalar(side)]


def _is_scalar(node: Expr) -> bool:
    node = bare(node)
    match node:
        case Call(func=function):
            return function.name in _SCALARS
        case UnaryExpr():
            return _is_scalar(node.expr)
        case BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case _:
            return number(node) is not None


def _counts(prometheus: Prometheus, trees: Iterable[Expr]) -> dict[str, int]:
    """How many series each expression has now; those that are refused are left out."""
    asked = {f"count({text})": text for text in {tree.prettify() for tree in trees}}
    found = prometheus.query_all(asked)
    return {asked[query]: int(s[0].value) if s else 0 for query, s in found.items()}


def _is_apart(join: BinaryExpr | Call, counts: dict[str, int]) -> bool:
    return (
        all(counts.get(side.prettify(), 0) for side in _inputs(join))
        and counts.get(join.prettify()) == 0
    )


def _met_before(prometheus: Prometheus, join: BinaryExpr | Call) -> bool:
    asked = f"count_over_time(count({join.prettify()})[{_HISTORY}])"
    return bool(prometheus.query_all([asked]).get(asked))


def _sides(join: BinaryExpr) -> str:
    words = [operator(join), str(join.modifier or "").replace("bool", "").strip()]
    return (
        f"{_short(join.lhs)} and {_short(join.rhs)} never match in"
        f" `{' '.join(filter(None, words))}`"
    )


def _short(node: Expr) -> str:
    return listed([bare(node).prettify()], longest=80)


def _explained(prometheus: Prometheus, join: BinaryExpr) -> str:
    """Why no series of one side matches one of the other; "" if that may be so now only."""
    texts = [join.lhs.prettify(), join.rhs.prettify()]
    found = prometheus.query_all(texts)
    left, right = (found.get(text, ()) for text in texts)
    names = _matched(join, [*left, *right])
    for label in names:
        if why := _missing(label, left, right) or _missing(label, right, left, "right"):
            return why
    differ = [name for name in names if not _values(name, left) & _values(name, right)]
    for label in sorted(differ, key=lambda name: name not in _OF_TARGETS):
        if why := _mistaken(label, left, right):
            return why
        if label in _OF_TARGETS or _must_match(join):
            return f"{_shown(label, left)} on the left, and {_shown(label, right)} on the right"
    return f"no two series agree in {', '.join(names)}" if names and _must_match(join) else ""


def _must_match(join: BinaryExpr) -> bool:
    """Whether the operator combines two values, and does not only look up or restrict."""
    return operator(join) not in SETS and not (join.modifier and join.modifier.group_labels)


def _matched(join: BinaryExpr, samples: Sequence[Sample]) -> list[str]:
    """The labels on which the operator matches."""
    matching = join.modifier.matching if join.modifier else None
    if matching and matching.type == LabelModifierType.Include:
        return list(matching.labels)
    apart = {"__name__", *(matching.labels if matching else [])}
    return sorted({name for sample in samples for name in sample.labels} - apart)


def _values(label: str, side: Sequence[Sample]) -> set[str]:
    return {sample.labels.get(label, "") for sample in side}


def _missing(
    label: str, having: Sequence[Sample], lacking: Sequence[Sample], side: str = "left"
) -> str:
    """`having` is the side of that name: all of it has the label, and none of the other."""
    if "" in _values(label, having) or _values(label, lacking) != {""}:
        return ""
    return f"only the {side} side has the label {label}"


def _mistaken(label: str, left: Sequence[Sample], right: Sequence[Sample]) -> str:
    """Values that differ by their port, or that the other side has in another label."""
    here, there = _values(label, left), _values(label, right)
    if {_PORT.sub("", value) for value in here} & {_PORT.sub("", value) for value in there}:
        return f"{_shown(label, left)} and {_shown(label, right)} differ in the port"
    for values, other in ((here, right), (there, left)):
        for name in sorted({name for sample in other for name in sample.labels} - {"__name__"}):
            if name != label and values - {""} and values <= _values(name, other):
                return f"what is {label} on one side is {name} on the other"
    return ""


def _shown(label: str, side: Sequence[Sample]) -> str:
    return listed((f'{label}="{value}"' for value in sorted(_values(label, side))), most=2)
