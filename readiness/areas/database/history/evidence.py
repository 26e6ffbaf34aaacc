"""How far back the counters can be believed, and what they say of each index. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from readiness.areas.database.history.snapshot import IndexUse, Mark, Scans, Snapshot


@dataclass(frozen=True, slots=True)
class Evidence:
    """What time the counters tell of, without a gap that matters.

    Attributes:
        since: Unix time.
        until: Unix time: now, by the server's clock.
        unseen_s: seconds within it of which nothing is known: from a snapshot to the crash after
            it, each shorter than what was allowed.
        first: the number of the first snapshot that belongs to it; None if there is none.
        broken_at: when the counters began anew before; None if nothing broke it.
    """

    since: float
    until: float
    unseen_s: float
    first: int | None
    broken_at: float | None

    @property
    def days(self) -> float:
        """How long that is."""
        return (self.until - self.since) / 86400


def reaching(snapshots: Sequence[Mark], live: Mark, *, gap_max_s: float) -> Evidence:
    """How far back counters and snapshots reach together.

    Counters that began anew between two snapshots tell nothing of the time before they did: from
    the earlier snapshot on. A clean restart keeps them; a crash does not.

    Args:
        snapshots: the oldest first.
        live: what is counted now.
        gap_max_s: seconds that may be unknown at one time.
    """
    chain = [*snapshots, live]
    unseen = 0.0
    for number in range(len(chain) - 2, -1, -1):
        before, after = chain[number], chain[number + 1]
        gap = after.counters_since - before.at
        if gap > gap_max_s:
            began = after.counters_since
            first = number + 1 if number + 1 < len(snapshots) else None
            return Evidence(began, live.at, unseen, first, began)
        unseen += max(0.0, gap)
    since = min(chain[0].at, chain[0].counters_since)
    return Evidence(since, live.at, unseen, 0 if snapshots else None, None)


@dataclass(frozen=True, slots=True)
class Use:
    """When one index was used.

    Attributes:
        index: as it is now.
        known_since: Unix time from which on it is known to be there.
        last: the latest time until which a use may have been; None if there was none.
        known_from_the_start: whether it was there already when the evidence begins: nobody knows
            for how long before.
    """

    index: IndexUse
    known_since: float
    last: float | None
    known_from_the_start: bool

    def idle_s(self, now: float) -> float:
        """Seconds without any use, at the least."""
        return now - (self.known_since if self.last is None else max(self.last, self.known_since))


def uses(snapshots: Sequence[Scans], live: Snapshot) -> list[Use]:
    """When each index of today was used, as far as these snapshots tell.

    Args:
        snapshots: those that belong to the evidence, the oldest first.
        live: what is counted now.
    """
    chain = [*snapshots, live.scans]
    begins = chain[0].mark.at
    known: dict[int, float] = {}
    # What was counted before the first of them may have been counted until then.
    last = {oid: begins for oid, scans in chain[0].by_index.items() if scans}
    for before, after in pairwise(chain):
        began_anew = after.mark.counters_since > before.mark.at
        for oid in before.by_index:
            known.setdefault(oid, before.mark.at)
        for oid, scans in after.by_index.items():
            if _was_used(before.by_index.get(oid), scans, began_anew=began_anew):
                last[oid] = after.mark.at
    for index in live.indexes:
        if index.last_scan is not None:
            last[index.oid] = max(last.get(index.oid, 0.0), index.last_scan)
    return [
        Use(i, since, last.get(i.oid), since <= begins)
        for i in live.indexes
        for since in [known.get(i.oid, live.at)]
    ]


def _was_used(before: int | None, after: int, *, began_anew: bool) -> bool:
    """Whether scans were counted in between.

    A counter that runs backwards without a reset is another node's: nobody can tell, and so it
    counts as used.
    """
    if before is None or began_anew:
        return after > 0
    return after != before
