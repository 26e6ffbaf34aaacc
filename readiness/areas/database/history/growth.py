"""How much a database grows in a month, from its snapshots. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.history.snapshot import Snapshot
from readiness.model.errors import NoData

_DAY_S: Final = 86400.0
MONTH_S: Final = 30 * _DAY_S
_MOST: Final = 3


@dataclass(frozen=True, slots=True)
class Growth:
    """What was measured.

    Attributes:
        grown: bytes from the oldest snapshot until now; negative where it shrank.
        days: between the two.
        tables: what grew most: pairs of name and bytes, of those that grew.
        snapshots: how many lie in that time.
    """

    grown: int
    days: float
    tables: tuple[tuple[str, int], ...]
    snapshots: int

    @property
    def month(self) -> float:
        """Bytes in 30 days, if it goes on like this."""
        return self.grown * 30 / self.days


def of(snapshots: Sequence[Snapshot], live: Snapshot, *, least_days: float) -> Growth:
    """The growth of the last month, or of as much of it as is known.

    Args:
        snapshots: the oldest first.
        live: the sizes of now.
        least_days: less does not tell of a month.

    Raises:
        NoData: the snapshots do not reach back so far.
    """
    # Of older days one snapshot each is kept: the one before the month may be a day older.
    within = [s for s in snapshots if live.at - MONTH_S - _DAY_S <= s.at < live.at]
    if not within:
        raise NoData("there is no snapshot of the last 30 days", remedy="run `readiness snapshot`")
    first, days = within[0], (live.at - within[0].at) / _DAY_S
    if days < least_days:
        raise NoData(
            f"the snapshots reach back {days:.2g} days, too few to tell of a month",
            where=live.server.database,
            remedy=f"run `readiness snapshot` each hour, and look again after {least_days:g} days",
        )
    more = {name: size - first.tables.get(name, 0) for name, size in live.tables.items()}
    most = sorted(((n, s) for n, s in more.items() if s > 0), key=lambda t: (-t[1], t[0]))
    return Growth(live.size - first.size, days, tuple(most[:_MOST]), len(within))
