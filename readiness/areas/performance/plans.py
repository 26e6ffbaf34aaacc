"""Why a query is slow, as far as its plan says.

The statement is executed once more for each of its first parameter sets, under
`explain (analyze, buffers, verbose)` and in a transaction that is rolled back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from readiness.areas.performance.config import Query
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure
from readiness.model.figures import counted

_EXPLAIN: Final = "explain (analyze, buffers, verbose, format json) "
_MOST_SETS: Final = 3
# A scan that throws away nine of ten rows, and a thousand of them, is not what an index is for.
_WASTED: Final = 0.9
_MANY: Final = 1000
# Estimates are often ten times wrong without harm.
_FAR_OFF: Final = 100
_MOST_OF_IT: Final = 0.5
_KIB: Final = 1024
_SHOWN: Final = 120
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'(?:::[\w\"\[\] ]+)?|(?<![\w$.])-?\d+(?:\.\d+)?\b")


class Node(BaseModel):
    """A node of a plan, as EXPLAIN names its parts; times in ms, spaces in KiB."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(alias="Node Type")
    table: str = Field("", alias="Relation Name")
    in_schema: str = Field("", alias="Schema")
    index: str = Field("", alias="Index Name")
    function: str = Field("", alias="Function Name")
    condition: str = Field("", alias="Filter")
    removed: float = Field(0, alias="Rows Removed by Filter")
    planned: float = Field(0, alias="Plan Rows")
    rows: float = Field(0, alias="Actual Rows")
    loops: float = Field(0, alias="Actual Loops")
    ms: float = Field(0, alias="Actual Total Time")
    sort_kib: int = Field(0, alias="Sort Space Used")
    sort_space: str = Field("", alias="Sort Space Type")
    batches: int = Field(1, alias="Hash Batches")
    below: tuple["Node", ...] = Field((), alias="Plans")

    @property
    def total_ms(self) -> float:
        """In all loops; those of parallel workers run beside each other."""
        return self.ms * self.loops

    @property
    def own_ms(self) -> float:
        """Without the nodes below it."""
        return max(0.0, self.total_ms - sum(node.total_ms for node in self.below))

    @property
    def what(self) -> str:
        """Its kind, and what it works on."""
        name = self.table or self.function
        of = f" of {self.in_schema}.{name}" if self.in_schema and name else f" of {name}"
        kind = self.kind.lower().replace("seq ", "sequential ")
        return f"{kind}{of if name else ''}"

    def all(self) -> Iterator["Node"]:
        """It and all nodes below it."""
        yield self
        for node in self.below:
            yield from node.all()


class _Explained(BaseModel):
    plan: Node = Field(alias="Plan")
    ms: float = Field(alias="Execution Time")


_ANSWER: Final = TypeAdapter(tuple[_Explained])


@dataclass(frozen=True, slots=True)
class Slow:
    """What a plan says.

    Attributes:
        reasons: what makes it slow, each with the usual cause; the likeliest first.
        outline: its nodes with their times, in ms.
    """

    reasons: tuple[str, ...]
    outline: str

    @property
    def because(self) -> str:
        """The reasons in one sentence; empty if there are none."""
        return f"in its plan, {'; '.join(self.reasons)}" if self.reasons else ""


def why_slow(query: Query) -> Slow:
    """What the plan of the slowest of its first parameter sets says.

    Nothing is raised: the query is slow, whether its plan can be read or not.
    """
    try:
        slowest = max(_explained(query), key=lambda one: one.ms)
    except (CouldNotMeasure, ValidationError) as error:
        message = error.message if isinstance(error, CouldNotMeasure) else "it is of a new form"
        return Slow((), f"the plan cannot be read: {message}")
    nodes = list(slowest.plan.all())
    outline = ", ".join(f"{node.what} {node.total_ms:.3g}" for node in nodes[:8])
    return Slow(tuple(dict.fromkeys(_reasons(nodes))), outline)


def _explained(query: Query) -> Iterator[_Explained]:
    total_s = (_MOST_SETS + 1) * query.budget_s
    with connect(query.dsn, timeout_s=query.budget_s, total_s=total_s) as connection:
        for params in query.params[:_MOST_SETS]:
            with connection.transaction(force_rollback=True):
                if not query.writes:
                    fetch(connection, "set transaction read only")
                found = fetch_value(connection, _EXPLAIN + query.sql, params or None)
            yield _ANSWER.validate_python(found)[0]


def _reasons(nodes: list[Node]) -> list[str]:
    found = [
        reason
        for node in sorted(nodes, key=lambda one: -one.own_ms)
        for reason in (*_wasted(node), *_spilled(node), *_misjudged(node))
    ]
    return found or list(_slowest(nodes))


def _slowest(nodes: list[Node]) -> Iterator[str]:
    slowest = max(nodes, key=lambda one: one.own_ms)
    whole = nodes[0].total_ms
    if whole and slowest.own_ms > _MOST_OF_IT * whole:
        share = min(1.0, slowest.own_ms / whole)
        yield f"{share:.0%} of the time is spent in the {slowest.what}"


def _wasted(node: Node) -> Iterator[str]:
    removed, found = node.removed * node.loops, node.rows * node.loops
    if removed >= _MANY and removed >= _WASTED * (removed + found):
        cause = f"{node.index} lacks what it filters by" if node.index else "an index is missing"
        where = _short(_LITERAL.sub("?", node.condition))
        yield (
            f"the {node.what} reads {counted(round(removed + found), 'row')} to find"
            f" {counted(round(found), 'row')} where {where}: {cause}"
        )


def _spilled(node: Node) -> Iterator[str]:
    if node.sort_space == "Disk":
        size = f"{node.sort_kib / _KIB:.3g} MB"
        yield f"a sort writes {size} to disk: `work_mem` is too small, or it sorts too much"
    if node.batches > 1:
        yield f"a hash is split into {node.batches} parts on disk: `work_mem` is too small for it"


def _misjudged(node: Node) -> Iterator[str]:
    most, least = max(node.planned, node.rows), max(1.0, min(node.planned, node.rows))
    if node.table and most >= _MANY and most / least >= _FAR_OFF:
        yield (
            f"the planner expected {counted(round(node.planned), 'row')} of {node.table}, and found"
            f" {round(node.rows):,}: `analyze {node.in_schema}.{node.table}`"
        )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
