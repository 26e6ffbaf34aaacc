"""Judgements that several checks share: two limits for one figure."""

from collections.abc import Callable, Iterable
from functools import partial

from readiness.config.base import Model
from readiness.model.evidence import Evidence
from readiness.model.figures import quantity
from readiness.model.measurement import Limit, Measurement, at_least, at_most


def no_more_than(
    evidence: Evidence,
    key: str,
    measured: Measurement,
    limits: Model,
    keys: tuple[str, str],
    because: str = "",
    *,
    bound: Callable[[float, str], Limit] = at_most,
    commands: Iterable[str] = (),
) -> bool:
    """Judge a figure that must be small: beyond one limit it warns, beyond another one it fails.

    `keys` names these two limits in their table `limits`. Returns whether the figure neither warns
    nor fails.
    """
    warn, fail = keys
    failed = not bound(getattr(limits, fail), "").holds(measured.value)
    decides = fail if failed else warn
    limit = bound(getattr(limits, decides), limits.deciding(decides))
    return evidence.judge(key, measured, limit, because, commands=commands, warn_only=not failed)


no_less_than = partial(no_more_than, bound=at_least)
"""The same for a figure that must be large."""


def size(count: float) -> str:
    """A number of bytes with three digits, as `1.23 MB`."""
    return quantity(count, "bytes", digits=3)
