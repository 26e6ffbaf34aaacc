"""Judgements that several checks share: two limits for one figure, lists that must be empty."""

from collections.abc import Sequence

from readiness.config.base import Model
from readiness.lib.text import worst
from readiness.model.evidence import Evidence
from readiness.model.figures import quantity
from readiness.model.measurement import Measurement, at_least, at_most, equal_to


def no_more_than(
    evidence: Evidence,
    key: str,
    measured: Measurement,
    limits: Model,
    *,
    warn: str,
    fail: str,
    because: str = "",
) -> bool:
    """Judge a figure that must be small against two limits of one table.

    Args:
        evidence: of the check.
        key: of the judgement.
        measured: the figure.
        limits: the table that holds both limits.
        warn: its key for the limit above which it is a warning.
        fail: its key for the limit above which it fails.
        because: details of a miss.

    Returns:
        Whether it neither fails nor warns.

    Raises:
        NoData: the value cannot be compared with the limits.
    """
    failed = not at_most(getattr(limits, fail)).holds(measured.value)
    decides = fail if failed else warn
    limit = at_most(getattr(limits, decides), limits.deciding(decides))
    return evidence.judge(key, measured, limit, because, warn_only=not failed)


def no_less_than(
    evidence: Evidence,
    key: str,
    measured: Measurement,
    limits: Model,
    *,
    warn: str,
    fail: str,
    because: str = "",
) -> bool:
    """The same for a figure that must be large."""
    failed = not at_least(getattr(limits, fail)).holds(measured.value)
    decides = fail if failed else warn
    limit = at_least(getattr(limits, decides), limits.deciding(decides))
    return evidence.judge(key, measured, limit, because, warn_only=not failed)


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
    """Judge that nothing is wrong with any of several things.

    Args:
        evidence: of the check.
        key: of the judgement.
        name: what would be wrong, after "2 of 7": "tables without statistics".
        found: what is wrong, one text each.
        among: how many were judged.
        source: where that was seen.
        warn_only: see `Evidence.judge`.
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
