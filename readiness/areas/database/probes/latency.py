"""How long statements take: means within a window of the counters, p95 from a histogram.

pg_stat_statements has means, deviations, least and most. No p95 follows from those: a statement
that is quick nine times of ten and slow the tenth has a harmless mean.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config_history import P95
from readiness.areas.database.history.snapshot import Snapshot, StatementUse
from readiness.areas.database.probes.statements import Counters, Statement
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.lib.retry import until
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
        """Those with enough calls for a mean, the slowest first."""
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
            "it is not known since when statements are counted",
            where="pg_stat_statements",
            remedy="PostgreSQL 13 does not record it: declare [databases.NAME.history] and run"
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
        NoData: it is not known since when they are counted.
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
            earlier = nothing  # it was evicted meanwhile, and counts from 0
        calls = statement.calls - earlier.calls
        if calls > 0:
            yield Ran(statement, calls, max(0.0, statement.total_ms - earlier.total_ms))


_PATIENCE_S: Final = 20.0
_MS: Final = {"s": 1000.0, "ms": 1.0}


@dataclass(frozen=True, slots=True)
class Timed:
    """One statement.

    Attributes:
        name: as its label says.
        p95_ms: milliseconds; infinite where it lies beyond the histogram's last bound.
        calls: how many it is of.
    """

    name: str
    p95_ms: float
    calls: float


def percentiles(prometheus: Prometheus, settings: P95) -> list[Timed]:
    """The p95 of each statement, the slowest first; a new Prometheus is given some seconds.

    Raises:
        NoData: there is no series, one has no name, or its calls are not known.
        CouldNotMeasure: and its kinds: Prometheus does not answer.
    """
    found = until(lambda: prometheus.query(settings.query), bool, within_s=_PATIENCE_S)
    if not found:
        raise NoData(
            "no series shows how long statements take",
            where=settings.query,
            remedy="run the query in Prometheus; the application must export a histogram of its"
            " statements",
        )
    calls = {_name(sample, settings): sample.value for sample in prometheus.query(settings.calls)}
    timed = [_timed(sample, calls, settings) for sample in found]
    return sorted(timed, key=lambda one: (-one.p95_ms, one.name))


def _timed(sample: Sample, calls: dict[str, float], settings: P95) -> Timed:
    name = _name(sample, settings)
    if name not in calls:
        raise NoData(
            f"the number of calls behind the p95 of {name} is not known",
            where=settings.calls,
            remedy=f"keep the label {settings.label} in it, as in `query`",
        )
    # A histogram without any call has no quantile: NaN.
    p95 = sample.value * _MS[settings.unit]
    return Timed(name, p95 if not math.isnan(p95) else 0.0, 0 if math.isnan(p95) else calls[name])


def _name(sample: Sample, settings: P95) -> str:
    name = sample.labels.get(settings.label, "")
    if not name:
        raise NoData(
            f"a series has no label {settings.label}: {sample}",
            where=settings.query,
            remedy="name the statement's label as `label`, and keep it in `sum by (...)`",
        )
    return name
