"""Judgements that several checks share: two limits for one figure, lists that must be empty."""

from collections.abc import Callable, Sequence
from functools import partial

from readiness.config.base import Model
from readiness.lib.text import worst
from readiness.model.evidence import Evidence
from readiness.model.figures import quantity
from readiness.model.measurement import Limit, Measurement, at_least, at_most, equal_to


def no_more_than(
    evidence: Evidence,
    key: str,
    measured: Measurement,
    limits: Model,
    keys: tuple[str, str],
    because: str = "",
    *,
    bound: Callable[[float, str], Limit] = at_most,
) -> bool:
    """Judge a figure that must be small: beyond one limit it warns, beyond another one it fails.

    `keys` names these two limits in their table `limits`. Returns whether the figure neither warns
    nor fails.
    """
    warn, fail = keys
    failed = not bound(getattr(limits, fail), "").holds(measured.value)
    decides = fail if failed else warn
    limit = bound(getattr(limits, decides), limits.deciding(decides))
    return evidence.judge(key, measured, limit, because, warn_only=not failed)


no_less_than = partial(no_more_than, bound=at_least)
"""The same for a figure that must be large."""


def none_of(
    evidence: Evidence,
    key: str,
    name: str,
    found: Sequence[str],
    among: int,
    source: str,
    *,
    warn_only: bool = False,
) -> bool:
    """Judge that a list is empty: `found` has one text for each of the objects that are wrong.

    `name` says what is wrong, after "2 of 7": "tables without statistics"; `among` is how many
    objects were judged.
    """
    return evidence.judge(
        key,
        Measurement(name, len(found), "count", source, samples=among),
        equal_to(0),
        worst(found),
        says=f"{len(found)} of {among} {name}",
        warn_only=warn_only,
    )


def size(count: float) -> str:
    """A number of bytes with three digits, as `1.23 MB`."""
    return quantity(count, "bytes", digits=3)
