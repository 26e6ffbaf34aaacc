"""Parses and formats durations; each dialect has its own grammar and function.

Kubernetes quantities (`500m` is a half) are not durations.
"""

import math
import re
from typing import Final

from readiness.model.errors import NoData

# From large to small; a year has 365 days.
_PROMETHEUS: Final = {
    "y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000,
    "s": 1000, "ms": 1,
}  # fmt: skip
_ORDERED: Final = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit in _PROMETHEUS))
_COMPOSE: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
    "d": 86_400.0, "w": 604_800.0,
}  # fmt: skip
_COMPOSE_PART: Final = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(_COMPOSE)})")
# time.Duration counts nanoseconds in 64 bits: some 292 years.
_LONGEST_MS: Final = (2**63 - 1) // 1_000_000
_MOST_DIGITS: Final = 19


def prometheus_seconds(text: str) -> float:
    """A duration of Prometheus or Alertmanager in seconds: `1h30m`; `0` needs no unit.

    As `ParseDuration` of prometheus/common, model/time.go: whole numbers, each unit once at most,
    from large to small, nothing else; `1h1h`, `1.5h` and `30s1m` are refused by Prometheus.

    Raises:
        NoData: Prometheus would reject it.
    """
    if text == "0":
        return 0.0
    found = _ORDERED.fullmatch(text) if text else None
    if not found:
        raise NoData(
            f"{text[:60]!r} is not a valid Prometheus duration",
            remedy="write whole numbers with units from large to small, each once: 1d12h, 1m30s",
        )
    parts = zip(found.groups(default="0"), _PROMETHEUS.values(), strict=True)
    total = sum(int(count[:_MOST_DIGITS]) * size for count, size in parts)
    if total > _LONGEST_MS or any(len(count or "") > _MOST_DIGITS for count in found.groups()):
        raise NoData(f"{text[:60]!r} is longer than Prometheus allows (292 years)")
    return total / 1000


def prometheus_text(duration_s: float) -> str:
    """Seconds as Prometheus writes them, to the millisecond: `30s`, `1h30m`, `500ms`."""
    rest, parts = round(duration_s * 1000), []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _PROMETHEUS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def compose_seconds(text: str) -> float:
    """A duration of compose in seconds: `1m30s`, `1.5h`, `1d`; `0` needs no unit.

    As `ParseDuration` of xhit/go-str2duration, which compose-go reads them with: Go's own, so
    decimal numbers and units in any order and as often as they come, and days and weeks.

    Raises:
        ValueError: compose would reject it, or it is negative.
    """
    if text == "0":
        return 0.0
    parts = _COMPOSE_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:60]!r} is not a valid duration such as 10s or 1m30s")
    return math.fsum(float(number) * _COMPOSE[unit] for number, unit in parts)
