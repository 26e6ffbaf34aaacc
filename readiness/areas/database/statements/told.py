"""How sizes are told."""

from typing import Final

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """A number of bytes, as `1.2 GB`; a kB has 1,000 of them."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if abs(value) < 999.5:  # noqa: PLR2004 - what is shown as 1000 belongs to the next unit
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} {_UNITS[-1]}"
