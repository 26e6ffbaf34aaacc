"""The names of WAL files: their order, and which are missing."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""The size of a WAL file unless the server was made with another one."""

_NAME: Final = re.compile(r"^[0-9A-F]{24}$")
_FOUR_GIB: Final = 1 << 32


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One WAL file: the timeline, and its number since the beginning."""

    timeline: int
    number: int

    def name(self, segment_bytes: int = SEGMENT_BYTES) -> str:
        """The file's name."""
        high, low = divmod(self.number, _FOUR_GIB // segment_bytes)
        return f"{self.timeline:08X}{high:08X}{low:08X}"


def parse(name: str, segment_bytes: int = SEGMENT_BYTES) -> Segment | None:
    """The segment of a file name; None for a history file and the like."""
    if not _NAME.match(name):
        return None
    timeline, high, low = (int(name[i : i + 8], 16) for i in (0, 8, 16))
    return Segment(timeline, high * (_FOUR_GIB // segment_bytes) + low)


@dataclass(frozen=True, slots=True)
class Continuity:
    """Whether WAL can be replayed from a first segment to the newest.

    Attributes:
        first: where it begins.
        last: the newest that is there; None if not even the first one is.
        there: how many of the segments between are there.
        missing: the names of those that are not.
    """

    first: str
    last: str | None
    there: int
    missing: tuple[str, ...]


def continuity(names: Iterable[str], first: str, segment_bytes: int = SEGMENT_BYTES) -> Continuity:
    """Which segments are missing from the first one that is needed to the newest that is there.

    A timeline begins where the one before it was left. What the older one archived after that
    cannot be restored, and fills no gap.

    Args:
        names: of all files in the archive.
        first: the segment that the oldest backup needs first.
        segment_bytes: the size of a segment.
    """
    begin = parse(first, segment_bytes)
    if begin is None:
        raise ValueError(f"{first!r} is not the name of a WAL file")
    found = {s for name in names if (s := parse(name, segment_bytes))}
    later = {s for s in found if s >= begin and s.number >= begin.number}
    if not later:
        return Continuity(first, None, 0, (first,))
    missing = tuple(s.name(segment_bytes) for s in _missing(later, begin))
    return Continuity(first, max(later).name(segment_bytes), len(later), missing)


def _missing(there: set[Segment], begin: Segment) -> Iterator[Segment]:
    """What the newest timeline lacks, and before its beginning the one before it, and so on."""
    begins: dict[int, int] = {}
    for segment in sorted(there, reverse=True):
        begins[segment.timeline] = segment.number
    last = max(there)
    timelines = sorted(t for t in begins if t <= last.timeline)
    for number in range(begin.number, last.number + 1):
        timeline = max((t for t in timelines if begins[t] <= number), default=begin.timeline)
        if Segment(timeline, number) not in there:
            yield Segment(timeline, number)
