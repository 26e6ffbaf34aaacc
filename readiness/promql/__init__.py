"""Reads PromQL: what an expression selects, and the bounds at which it fires. Pure; no I/O."""

from readiness.promql.bounds import Bound, bounds
from readiness.promql.labels import possible_labels, referenced_labels
from readiness.promql.selectors import Range, Selector, ranges, selectors
from readiness.promql.tree import parse

__all__ = [
    "Bound",
    "Range",
    "Selector",
    "bounds",
    "parse",
    "possible_labels",
    "ranges",
    "referenced_labels",
    "selectors",
]
