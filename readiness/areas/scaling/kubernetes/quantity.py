"""Quantities and shares, as Kubernetes writes them: `250m`, `1.5Gi`, `25%`."""

import math
import re
from fractions import Fraction
from typing import Final

from readiness.model.errors import NoData

Quantity = int | float | str
IntOrPercent = int | str

_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3})?"
)
_PERCENT: Final = re.compile(r"\d{1,9}%")
_BINARY: Final[dict[str, int]] = {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)
}
_DECIMAL: Final = {
    letter: Fraction(f"1e{power}")
    for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}


def amount(quantity: Quantity) -> Fraction:
    """What a quantity is in its base unit: cores, bytes or pieces; exact.

    `kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity`.

    Raises:
        NoData: it is none.
    """
    text = str(quantity).strip()
    found = _QUANTITY.fullmatch(text)
    if found is None or isinstance(quantity, bool):
        raise NoData(f"{text[:40]!r} is no quantity", remedy="write it as 250m, 2 or 1.5Gi")
    number, unit = Fraction(found["number"]), found["unit"] or ""
    if unit in _BINARY:
        return number * _BINARY[unit]
    if unit in _DECIMAL:
        return number * _DECIMAL[unit]
    return number * Fraction(f"1e{unit[1:]}") if unit else number


def part_of(value: IntOrPercent, total: int, *, up: bool) -> int:
    """How many of a total a number or a percentage of it is.

    As `intstr.GetScaledValueFromIntOrPercent` does: a number stays, a percentage is rounded.

    Args:
        value: 2, or `25%`.
        total: what the percentage is of.
        up: whether it is rounded up; else down.

    Raises:
        NoData: it is neither.
    """
    if isinstance(value, int):
        return value
    if not _PERCENT.fullmatch(value):
        raise NoData(f"{value[:40]!r} is no number and no percentage", remedy="write 1 or 25%")
    share = Fraction(int(value[:-1]) * total, 100)
    return math.ceil(share) if up else math.floor(share)
