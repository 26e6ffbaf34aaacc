"""Findings that areas judge alike: lists that must be empty, and severities of other tools."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, get_args

from readiness.lib.text import worst
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, equal_to

SeverityWord = Literal["low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[str, ...]] = get_args(SeverityWord)


def reaches(severity: str, least: str) -> bool:
    """Whether a severity is this one or a worse one."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def none_of(
    evidence: Evidence,
    key: str,
    name: str,
    found: Sequence[str],
    among: int,
    source: str,
    *,
    setting: str = "",
    commands: Iterable[str] = (),
    warn_only: bool = False,
) -> bool:
    """Judge that a list is empty: `found` has one text for each thing that is wrong.

    `name` says what is wrong, after "2 of 7": "tables without statistics"; `among` is how many
    things were judged.
    """
    return evidence.judge(
        key,
        Measurement(name, len(found), "count", source, samples=among),
        equal_to(0, setting),
        worst(found),
        says=f"{len(found)} of {among} {name}",
        commands=commands,
        warn_only=warn_only,
    )
