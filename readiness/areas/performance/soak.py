"""Whether something grows while a load goes on: memory and connections, by slopes."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from readiness.areas.performance.config import Config, Load, Soak
from readiness.areas.performance.load import Loaded, Stage, staged
from readiness.config.base.tables import Database, Service
from readiness.lib.drill.counting import sampling
from readiness.lib.postgres import connect, fetch_value
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.exposition import scrape, select
from readiness.lib.sampling import CONFIDENCE, Bounds
from readiness.model.course import Band, Course, Series, Track
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

BLOCKS: Final = 12
"""Medians that the slopes are between: neighboring samples are too alike to be counted each."""
_SAMPLES: Final = 240
_SHORTEST_S: Final = 0.1
# A process that ended took its memory with it, and hides what grew.
_FALL: Final = 0.5
_LOST: Final = 0.1
_MIB: Final = 2**20
_CONNECTIONS: Final = """
    select count(*) from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and usename = coalesce(%s, usename)"""

Look = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Grown:
    """How much something grew.

    Attributes:
        name: what it is.
        unit: of its values.
        source: where they come from.
        blocks: their medians, in order.
        samples: how many there were.
        growth: from the first block to the last, by the median slope.
    """

    name: str
    unit: str
    source: str
    blocks: tuple[float, ...]
    samples: int
    growth: Bounds

    def figure(self, words: str, value: float, unit: str) -> Measurement:
        """A figure of it."""
        return Measurement(f"{self.name}: {words}", value, unit, self.source, samples=self.samples)


@dataclass(frozen=True, slots=True)
class Soaked:
    """A long load, and what grew; connections are None if they are not declared."""

    loaded: Loaded
    memory: Grown
    connections: Grown | None

    def course(self, soak: Soak) -> Course:
        """The picture of both."""
        slot_s = (soak.duration_s - soak.settle_s) / BLOCKS
        shown = [("memory in MiB", [value / _MIB for value in self.memory.blocks])]
        if self.connections:
            shown.append(("connections", list(self.connections.blocks)))
        return Course(
            slot_s,
            (Band(0.0, BLOCKS * slot_s, "under load"),),
            tuple(Track(name, "level", (Series(name, tuple(v)),)) for name, v in shown),
        )


def soaked(load: Load, soak: Soak, config: Config) -> Soaked:
    """Send the load for a long time, and look at what may grow once it has settled.

    Raises:
        CouldNotMeasure: as for `staged`; or the values cannot be read, or fell.
    """
    service = config.services[load.service]
    source, memory = _memory(soak, service, config)
    database = config.databases.get(soak.database or "")
    looks: list[Look] = [memory]
    if database:
        looks.append(partial(_connections, database, soak.role))
    for look in looks:  # an hour is too late to learn that there is no such metric
        look()
    period_s = max(_SHORTEST_S, (soak.duration_s - soak.settle_s) / _SAMPLES)
    with sampling(lambda: _values(looks), period_s) as sampler:
        loaded = staged(load, service, [Stage(load.rate or 0.0, soak.duration_s)])
        ended = time.monotonic()
    settled = sampler.between(ended - soak.duration_s + soak.settle_s, ended)
    rows = [(at, values) for at, values in settled if isinstance(values, list)]
    _require_whole(settled)
    columns = [[(at, values[number]) for at, values in rows] for number in range(len(looks))]
    return Soaked(
        loaded,
        grown("memory", "bytes", source, columns[0]),
        grown("connections", "count", database.dsn.address, columns[1]) if database else None,
    )


def _require_whole(settled: Sequence[tuple[float, object]]) -> None:
    """What is not seen for a while may grow meanwhile."""
    errors = [values for _, values in settled if isinstance(values, CouldNotMeasure)]
    if len(errors) > _LOST * len(settled):
        raise errors[-1]
    if len(settled) - len(errors) < 2 * BLOCKS:
        raise NoData(f"only {len(settled) - len(errors)} samples were taken")


def grown(name: str, unit: str, source: str, values: Sequence[tuple[float, float]]) -> Grown:
    """The growth of values, each with its time.

    It is the median of the slopes between all pairs of blocks (Theil and Sen) over the whole time,
    with the bounds that Kendall's test gives, exactly and for any distribution.

    Raises:
        NoData: there is nothing, or it fell to less than half.
    """
    ends = [len(values) * part // BLOCKS for part in range(BLOCKS + 1)]
    parts = [values[a:b] for a, b in pairwise(ends)]
    times = [statistics.fmean(at for at, _ in part) for part in parts]
    medians = [statistics.median(value for _, value in part) for part in parts]
    if not max(medians):
        raise NoData(f"{name} is 0 all the time", where=source)
    if min(medians) < _FALL * medians[0]:
        raise NoData(
            f"{name} fell from {medians[0]:.4g} to {min(medians):.4g}: a process ended meanwhile,"
            " which hides what grew",
            where=source,
            remedy="see why it ended (out of memory?): journalctl, kubectl describe pod",
        )
    slopes = sorted(
        (medians[b] - medians[a]) / (times[b] - times[a]) for b in range(BLOCKS) for a in range(b)
    )
    whole, rank = times[-1] - times[0], _rank(BLOCKS)
    growth = Bounds(
        whole * slopes[rank], whole * statistics.median(slopes), whole * slopes[-1 - rank]
    )
    return Grown(name, unit, source, tuple(medians), len(values), growth)


def _rank(n: int) -> int:
    """How many slopes, from either end, the true one is beyond with 95 % confidence.

    As many as inversions are that few in one of twenty orders of n values.
    """
    counts = [1]
    for size in range(2, n + 1):
        longer = [0] * (len(counts) + size - 1)
        for inversions, count in enumerate(counts):
            for more in range(size):
                longer[inversions + more] += count
        counts = longer
    below, rank = 0, 0
    while below + counts[rank] <= (1 - CONFIDENCE) * sum(counts):
        below += counts[rank]
        rank += 1
    return rank - 1


def _values(looks: Sequence[Look]) -> list[float] | CouldNotMeasure:
    """One answer that is missing among hundreds is none that decides."""
    try:
        return [look() for look in looks]
    except CouldNotMeasure as error:
        return error


def _memory(soak: Soak, service: Service, config: Config) -> tuple[str, Look]:
    if not soak.memory_query:
        return (
            f"{soak.memory} of GET {service.metrics_url}",
            lambda: select(scrape(service), soak.memory),
        )
    settings, query = config.prometheus, soak.memory_query
    if settings is None:
        raise CouldNotMeasure("no [prometheus] is declared", where="`memory_query`")

    def ask() -> float:
        with Prometheus(settings) as prometheus:
            return prometheus.number(query)

    return f"{settings.url}: {query}", ask


def _connections(database: Database, role: str | None) -> float:
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        return float(fetch_value(connection, _CONNECTIONS, [role]))
