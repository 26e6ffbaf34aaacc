"""What PgBouncer's console tells: who waits for a connection, and how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from readiness.areas.database.config_health import Pooler
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_TIMEOUT_S: Final = 10.0
_CONSOLE: Final = "pgbouncer"
_MICRO: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Pool:
    """The connections of one user to one database.

    Attributes:
        database: as clients know it.
        user: that they connect as.
        waiting: clients without a connection.
        wait_s: seconds that the oldest of them waits.
        active: server connections that clients use.
        size: how many there may be; None if the console does not tell.
        paused: whether somebody paused or disabled the database.
    """

    database: str
    user: str
    waiting: int
    wait_s: float
    active: int
    size: int | None
    paused: bool

    def __str__(self) -> str:
        size = "?" if self.size is None else self.size
        held = " (paused)" if self.paused else ""
        return (
            f"{self.database}/{self.user}{held}: {self.waiting} clients wait,"
            f" {self.active} of {size} connections in use"
        )


@dataclass(frozen=True, slots=True)
class Pools:
    """What the console told.

    Attributes:
        pools: those of clients, the one that waits longest first.
        databases: that the pooler serves.
        paused: those of them that somebody paused or disabled.
    """

    pools: tuple[Pool, ...]
    databases: tuple[str, ...]
    paused: tuple[str, ...]

    @property
    def longest_wait(self) -> Measurement:
        """Seconds that the client waits which waits longest; 0 if none does."""
        return Measurement(
            "longest wait for a connection",
            max((pool.wait_s for pool in self.pools), default=0.0),
            "s",
            "SHOW POOLS",
            samples=len(self.pools),
        )


def pools(pooler: Pooler) -> Pools:
    """Everything that the console tells of pools.

    Raises:
        NoData: the pooler serves no database.
        CouldNotMeasure: and its other kinds, see `postgres.connect`; or it is no PgBouncer.
    """
    with postgres.connect(pooler.dsn, timeout_s=_TIMEOUT_S, console=True) as connection:
        databases = [row for row in _show(connection, "DATABASES") if row["name"] != _CONSOLE]
        shown = [row for row in _show(connection, "POOLS") if row["database"] != _CONSOLE]
    if not databases:
        raise NoData("the pooler serves no database", where=pooler.dsn.address)
    sizes = {str(row["name"]): int(row["pool_size"]) for row in databases if "pool_size" in row}
    paused = {str(row["name"]) for row in databases if _number(row, "paused", "disabled")}
    found = [_pool(row, sizes, paused) for row in shown]
    return Pools(
        tuple(sorted(found, key=lambda pool: -pool.wait_s)),
        tuple(clean(str(row["name"])) for row in databases),
        tuple(sorted(clean(name) for name in paused)),
    )


def _pool(row: Mapping[str, Any], sizes: Mapping[str, int], paused: set[str]) -> Pool:
    name = str(row["database"])
    return Pool(
        database=clean(name),
        user=clean(str(row["user"])),
        waiting=int(row["cl_waiting"]),
        wait_s=float(row["maxwait"]) + _number(row, "maxwait_us") * _MICRO,
        active=int(row["sv_active"]),
        size=sizes.get(name),
        paused=name in paused,
    )


def _number(row: Mapping[str, Any], *columns: str) -> int:
    return sum(int(row.get(column) or 0) for column in columns)


def _show(connection: Connection, what: str) -> Sequence[Mapping[str, Any]]:
    statement = f"SHOW {what}"
    with postgres.translated(statement):
        cursor = connection.execute(statement.encode())
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if not {"name", "database"} & set(names):
        raise CouldNotMeasure(
            f"the answer to {statement} is not PgBouncer's",
            where=statement,
            remedy="let the dsn lead to the database `pgbouncer` of the pooler",
        )
    return rows
