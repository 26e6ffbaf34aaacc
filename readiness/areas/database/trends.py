"""What counters and snapshots show together: how far they reach back, use of indexes, growth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from readiness.areas.database.config import Database, History
from readiness.areas.database.snapshots import IndexUse, Mark, Scans, Server, Snapshot, Store
from readiness.model.errors import NoData

_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
MONTH_S: Final = 30 * _DAY_S
_MOST: Final = 3


@dataclass(frozen=True, slots=True)
class Reach:
    """The time that counters and snapshots cover without a gap that matters.

    Attributes:
        since: Unix time, like `until`, which is now.
        unseen_s: seconds within it that nothing covers: from a snapshot to the crash after it,
            each shorter than allowed.
        first: the number of the first snapshot that belongs to it.
        broken_at: when the counters started again before it; None if nothing broke it.
    """

    since: float
    until: float
    unseen_s: float
    first: int | None
    broken_at: float | None

    @property
    def days(self) -> float:
        """The length of that time."""
        return (self.until - self.since) / _DAY_S

    def from_the_start(self, server: Server) -> bool:
        """Whether it begins with the server itself, on its first day: nothing older exists."""
        created = server.created
        begins = created is not None and self.since - created < _DAY_S
        return begins and self.broken_at is None


def day_of(since: float, days: float) -> str:
    """The date on which so many days will have passed."""
    return f"{datetime.fromtimestamp(since + days * _DAY_S, UTC):%Y-%m-%d}"


def reaching(snapshots: Sequence[Mark], live: Mark, *, gap_max_s: float) -> Reach:
    """How far back counters and snapshots reach together.

    Where counters started again between two snapshots, the time from the earlier snapshot until
    then is lost. A clean restart keeps them; a crash does not. Snapshots come oldest first; up to
    `gap_max_s` seconds may be lost at one time.
    """
    chain = [*snapshots, live]
    unseen = 0.0
    for number in range(len(chain) - 2, -1, -1):
        before, after = chain[number], chain[number + 1]
        gap = after.counters_since - before.at
        if gap > gap_max_s:
            began = after.counters_since
            first = number + 1 if number + 1 < len(snapshots) else None
            return Reach(began, live.at, unseen, first, began)
        unseen += max(0.0, gap)
    since = min(chain[0].at, chain[0].counters_since)
    return Reach(since, live.at, unseen, 0 if snapshots else None, None)


def reach(database: Database, live: Snapshot) -> Reach:
    """How far back counters and stored snapshots reach; counters alone without a history."""
    history = database.history
    if history is None:
        return reaching([], live.mark, gap_max_s=0.0)
    stored = Store(Path(history.path)).marks(live.server, since=_since(database, live))
    return _reaching(history, stored, live)


def scans(database: Database, live: Snapshot) -> tuple[list[Scans], Reach]:
    """The stored scans of indexes within the reach, and the reach; as `reach`."""
    history = database.history
    if history is None:
        raise NoData("not configured", where=f"[databases.{database.name}.history]")
    stored = Store(Path(history.path)).scans(live.server, since=_since(database, live))
    snapshots = [one for one in stored if one.mark.at < live.at]
    found = _reaching(history, [one.mark for one in snapshots], live)
    return ([] if found.first is None else snapshots[found.first :]), found


def _reaching(history: History, stored: Sequence[Mark], live: Snapshot) -> Reach:
    marks = [mark for mark in stored if mark.at < live.at]
    return reaching(marks, live.mark, gap_max_s=history.index_max_age_h * _HOUR_S)


def _since(database: Database, live: Snapshot) -> float:
    """A little more than is asked for: of older days, one snapshot each is kept."""
    warning = database.history.evidence_warning_days if database.history else 0.0
    days = max(database.indexes.unused_days, warning) + 2
    return live.at - days * _DAY_S


@dataclass(frozen=True, slots=True)
class Use:
    """When one index was used.

    Attributes:
        known_since: Unix time from which on it is known to exist.
        last: the latest time at which a use may have been; None if there was none.
        known_from_the_start: whether it existed already when the reach begins.
    """

    index: IndexUse
    known_since: float
    last: float | None
    known_from_the_start: bool

    def idle_s(self, now: float) -> float:
        """Seconds without any use, at the least."""
        return now - (self.known_since if self.last is None else max(self.last, self.known_since))


def uses(snapshots: Sequence[Scans], live: Snapshot) -> list[Use]:
    """When each index of today was used, by the snapshots within the reach, oldest first."""
    chain = [*snapshots, live.scans]
    begins = chain[0].mark.at
    known: dict[int, float] = {}
    # What was counted before the first of them may have been counted until then.
    last = {oid: begins for oid, scans in chain[0].by_index.items() if scans}
    for before, after in pairwise(chain):
        restarted = after.mark.counters_since > before.mark.at
        for oid in before.by_index:
            known.setdefault(oid, before.mark.at)
        for oid, scans in after.by_index.items():
            if _was_used(before.by_index.get(oid), scans, restarted=restarted):
                last[oid] = after.mark.at
    for index in live.indexes:
        if index.last_scan is not None:
            last[index.oid] = max(last.get(index.oid, 0.0), index.last_scan)
    return [
        Use(i, since, last.get(i.oid), since <= begins)
        for i in live.indexes
        for since in [known.get(i.oid, live.at)]
    ]


def _was_used(before: int | None, after: int, *, restarted: bool) -> bool:
    """Whether scans were counted in between.

    A counter that runs backwards without a reset is another node's, and counts as used.
    """
    if before is None or restarted:
        return after > 0
    return after != before


@dataclass(frozen=True, slots=True)
class Growth:
    """How much a database has grown.

    Attributes:
        grown: bytes from the oldest snapshot until now; negative where it shrank.
        days: between the two.
        tables: what grew most: pairs of name and bytes, of those that grew.
    """

    grown: int
    days: float
    tables: tuple[tuple[str, int], ...]

    @property
    def month(self) -> float:
        """Bytes in 30 days at this rate."""
        return self.grown * 30 / self.days


def growth(snapshots: Sequence[Snapshot], live: Snapshot) -> Growth:
    """The growth of the last month, or of the part of it that snapshots, oldest first, cover.

    Raises:
        NoData: there is no snapshot of that time.
    """
    # Of older days one snapshot each is kept: the one before the month may be a day older.
    within = [s for s in snapshots if live.at - MONTH_S - _DAY_S <= s.at < live.at]
    if not within:
        raise NoData(
            "there is no snapshot of the last 30 days", remedy="run `readiness snapshot` each hour"
        )
    first, days = within[0], (live.at - within[0].at) / _DAY_S
    more = {name: size - first.tables.get(name, 0) for name, size in live.tables.items()}
    most = sorted(((n, s) for n, s in more.items() if s > 0), key=lambda t: (-t[1], t[0]))
    return Growth(live.size - first.size, days, tuple(most[:_MOST]))
