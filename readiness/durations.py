"""Durations as Prometheus and Alertmanager write them."""

import re
from typing import Final

from readiness.errors import NoData

_UNITS: Final[dict[str, float]] = {
    "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800, "y": 31_536_000,
}  # fmt: skip
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")


def seconds(duration: str) -> float:
    """A duration (`1m30s`) in seconds; `0` needs no unit.

    Raises:
        NoData: it is none.
    """
    text = duration.strip()
    if text == "0":
        return 0.0
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise NoData(f"{duration!r} is no duration as Prometheus writes them")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def written(duration_s: float) -> str:
    """Seconds as a short text: `30s`, `5m`, `1h30m`."""
    if not duration_s.is_integer():
        return f"{duration_s:g}s"
    whole, parts = duration_s, []
    for unit in ("d", "h", "m"):
        count, whole = divmod(whole, _UNITS[unit])
        parts += [f"{count:g}{unit}"] if count else []
    return "".join(parts + ([f"{whole:g}s"] if whole or not parts else []))
