"""How many bytes a month of rows takes: by chunks that are complete, and never by extrapolation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.timescale.hypertables import Chunk
from readiness.model.errors import NoData

_DAY_S: Final = 86_400.0
MONTH_S: Final = 30 * _DAY_S
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Growth:
    """What rows take on disk.

    Attributes:
        bytes_per_month: bytes that the rows of 30 days take.
        chunks: how many chunks stand behind it.
        span_s: seconds that they cover, with the gaps between them.
    """

    bytes_per_month: float
    chunks: int
    span_s: float


def settled(chunks: Sequence[Chunk], after_s: float) -> list[Chunk]:
    """The chunks that no row comes to, and that have the size they are to keep.

    The oldest is left out: the table may have begun in the middle of it.

    Args:
        chunks: all there are.
        after_s: the least age, in seconds: when they are compressed, or 0 where they are not.
    """
    oldest = min((chunk.start for chunk in chunks), default=0.0)
    return [chunk for chunk in chunks if chunk.age_s > after_s and chunk.start > oldest]


def growth(chunks: Sequence[Chunk], sizes: Mapping[tuple[str, str], int], where: str) -> Growth:
    """What a month of rows takes, by the newest month of settled chunks.

    Args:
        chunks: those that are settled.
        sizes: bytes of each chunk, by schema and name.
        where: the hypertable, for an error.

    Raises:
        NoData: fewer than two times are covered, less than a day, or a size is not known.
    """
    newest = max((chunk.end for chunk in chunks), default=0.0)
    counted = [chunk for chunk in chunks if chunk.end > newest - MONTH_S]
    span_s = newest - min((chunk.start for chunk in counted), default=newest)
    if len({chunk.start for chunk in counted}) < _FEWEST or span_s < _DAY_S:
        raise NoData(
            f"only {len(counted)} complete chunks, of {span_s / 3600:.3g} h: less than a day, or"
            " less than two, tell nothing of a month",
            where=where,
            remedy="judge it once there are more; the oldest chunk and those to be compressed yet"
            " are not counted",
        )
    missing = [chunk.name for chunk in counted if (chunk.schema, chunk.name) not in sizes]
    if missing:
        raise NoData(f"the size of {missing[0]} is not known", where=where, remedy="run it again")
    total = sum(sizes[chunk.schema, chunk.name] for chunk in counted)
    return Growth(total / span_s * MONTH_S, len(counted), span_s)
