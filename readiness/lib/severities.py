"""Four severities of what other tools find, in order; several areas grade such findings.

Stands alone, as configurations name them and probes read them.
"""

from typing import Final, Literal, get_args

SeverityWord = Literal["low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[str, ...]] = get_args(SeverityWord)


def reaches(severity: str, least: str) -> bool:
    """Whether a severity is this one or a worse one."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
