"""Reads PromQL: what an expression selects, and the bounds at which it fires. Pure; no I/O."""

from readiness.areas.alerting.promql.bounds import Bound, bounds
from readiness.areas.alerting.promql.selectors import (
    Range,
    Selector,
    possible_labels,
    ranges,
    referenced_labels,
    selectors,
)
from readiness.areas.alerting.promql.tree import parse

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
