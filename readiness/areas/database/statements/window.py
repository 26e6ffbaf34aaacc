"""What statements took within a window: the difference of two readings of the counters. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from readiness.areas.database.history.snapshot import Snapshot, StatementUse
from readiness.areas.database.statements.counters import Counters, Statement
from readiness.model.errors import NoData


@dataclass(frozen=True, slots=True)
class Ran:
    """One statement within the window."""

    statement: Statement
    calls: int
    total_ms: float

    @property
    def mean_ms(self) -> float:
        """Milliseconds that one call took."""
        return self.total_ms / self.calls


@dataclass(frozen=True, slots=True)
class Window:
    """What ran between two moments.

    Attributes:
        since: Unix time, by the server's clock.
        hours: its length.
        ran: the statements that were judged to be the application's, and ran.
        own: how many statements were left out as the gate's own.
        others: how many were left out as those of other roles.
    """

    since: float
    hours: float
    ran: tuple[Ran, ...]
    own: int
    others: int

    def enough(self, min_calls: int) -> list[Ran]:
        """Those with enough calls to tell their mean, the slowest first."""
        found = [ran for ran in self.ran if ran.calls >= min_calls]
        return sorted(found, key=lambda ran: -ran.mean_ms)


def start(counted: Counters, before: Snapshot | None) -> float:
    """When a window begins: at the snapshot, or when the counters began if that was later.

    Raises:
        NoData: neither is known.
    """
    known = [
        at
        for at in (before.at if before and before.statements else None, counted.since)
        if at is not None
    ]
    if not known:
        raise NoData(
            "nothing tells since when the statements are counted",
            where="pg_stat_statements",
            remedy="PostgreSQL 13 does not say it: declare [databases.NAME.history] and run"
            " `readiness snapshot` each hour",
        )
    return max(known)


def window(
    counted: Counters,
    before: Snapshot | None,
    *,
    now: float,
    roles: Collection[str],
    monitor: str,
) -> Window:
    """What ran since a snapshot, or since the counters began.

    Args:
        counted: the counters as they are.
        before: the snapshot; None counts from the beginning.
        now: Unix time, by the server's clock.
        roles: whose statements count; empty: all but the monitoring's.
        monitor: the role that monitors.

    Raises:
        NoData: nothing tells since when they are counted.
    """
    since = start(counted, before)
    known = before.statements if before and since == before.at else {}
    judged = [s for s in counted.statements.values() if _counts(s, roles, monitor)]
    return Window(
        since=since,
        hours=(now - since) / 3600,
        ran=tuple(_ran(judged, known)),
        own=sum(s.own for s in counted.statements.values()),
        others=sum(not s.own for s in counted.statements.values()) - len(judged),
    )


def _counts(statement: Statement, roles: Collection[str], monitor: str) -> bool:
    if statement.own:
        return False
    return statement.role in roles if roles else statement.role != monitor


def _ran(judged: list[Statement], known: dict[str, StatementUse]) -> Iterator[Ran]:
    nothing = StatementUse(calls=0, total_ms=0.0)
    for statement in judged:
        earlier = known.get(statement.key, nothing)
        if earlier.calls > statement.calls:
            earlier = nothing  # it was thrown out meanwhile, and counts anew
        calls = statement.calls - earlier.calls
        if calls > 0:
            yield Ran(statement, calls, max(0.0, statement.total_ms - earlier.total_ms))
