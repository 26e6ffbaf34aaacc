"""How objects and their sizes are told: worst first, three named, and how many more."""

from collections.abc import Iterable
from typing import Final

from readiness.probes.text import clean

_MOST: Final = 3
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """A number of bytes, as `1.2 GB`; a kB has 1,000 of them."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if abs(value) < 999.5:  # noqa: PLR2004 - what is shown as 1000 belongs to the next unit
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} {_UNITS[-1]}"


def worst(texts: Iterable[str]) -> str:
    """The first three of some texts about objects, and how many more there are."""
    found = list(texts)
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    # A statement that mends is longer than a name: it must not be cut in the middle.
    return "; ".join(clean(text, 600) for text in found[:_MOST]) + more
