"""Units of requirements and metrics, and how one becomes the other."""

from fractions import Fraction
from typing import Final

from readiness.model.errors import NoData

# unit -> what it measures, and how many of the smallest or plainest unit it is
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
            remedy="write `unit` and `metric_unit` of one kind: s and ms, ratio and percent, ...",
        )
    return float(Fraction(repr(float(value))) * size / step)
