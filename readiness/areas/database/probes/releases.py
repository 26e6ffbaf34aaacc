"""How long a release of PostgreSQL is supported, and how new its newest minor release must be.

Both follow from what PostgreSQL promises (postgresql.org/support/versioning, /developer/roadmap):
five years for each major release, until the second Thursday of November; and minor releases on
the second Thursday of February, May, August and November. So nothing here needs the internet, and
nothing becomes wrong with time: minor releases out of turn only make the true number larger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

_MONTHS: Final = (2, 5, 8, 11)
_THURSDAY: Final = 3
# On this day these were the newest minor releases.
_KNOWN_ON: Final = date(2025, 11, 13)
_KNOWN: Final = {13: 23, 14: 20, 15: 15, 16: 11, 17: 7, 18: 1}
_OFFSET: Final = 10_000
_BORN_AFTER_2000: Final = 2007  # major release 18 came in autumn 2025
_YEARS: Final = 5


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A release of PostgreSQL from 10 on."""

    major: int
    minor: int

    @classmethod
    def of(cls, number: int) -> "Release":
        """From `server_version_num`, such as 150004."""
        return cls(number // _OFFSET, number % _OFFSET)

    @classmethod
    def read(cls, text: str) -> "Release":
        """From `16.4` or `16`."""
        major, _, minor = text.partition(".")
        return cls(int(major), int(minor or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def supported_until(major: int) -> date:
    """The last day on which a major release is supported."""
    return _second_thursday(major + _BORN_AFTER_2000 + _YEARS, 11)


def newest_minor(major: int, today: date) -> int:
    """The newest minor release of a major one that is out for certain by that day."""
    start, first = _KNOWN_ON, _KNOWN.get(major)
    if first is None:
        # Its first minor release comes in the November after it.
        start, first = _second_thursday(major + _BORN_AFTER_2000, 11), 1
        if today < start:
            return 0
    last = min(today, supported_until(major))
    return first + sum(start < day <= last for day in _release_days(start.year, last.year))


def _release_days(first: int, last: int) -> Iterator[date]:
    for year in range(first, last + 1):
        for month in _MONTHS:
            yield _second_thursday(year, month)


def _second_thursday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(_THURSDAY - first.weekday()) % 7 + 7)
