"""The past that the reference system is given: it is seconds old, and a history takes weeks.

Real snapshots of its database, dated back: hourly for a day, daily for forty days before that.
What they say of the past is invented, and only here; how they are taken, stored and judged is not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from readiness.areas.database.config_history import Bloat
from readiness.areas.database.history.snapshot import BloatSnapshot, Snapshot
from readiness.areas.database.history.store import Store
from readiness.areas.database.probes import bloat, snapshot
from readiness.lib import postgres
from readiness.model.secrets import Dsn

KEEP_DAYS: Final = 400
DAYS: Final = 40
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
_TIMEOUT_S: Final = 20.0
# The last one of the invented past, before the server really started.
_BEFORE_START_S: Final = 60.0


def taken(dsn: str) -> tuple[Snapshot, BloatSnapshot | None]:
    """Real snapshots of the database as it is now; none of its bloat where that cannot be told."""
    with postgres.connect(Dsn(dsn), timeout_s=_TIMEOUT_S) as connection:
        usage = snapshot.take(connection)
        if not bloat.can_measure(connection):
            return usage, None
        return usage, bloat.take(connection, Bloat())


def begin(path: Path, usage: Snapshot, bloated: BloatSnapshot | None) -> None:
    """Write a history of forty days that ends now."""
    now = [bloated] if bloated else []
    Store(path).append(*_dated_back(usage), usage, *now, keep_days=KEEP_DAYS)


def _dated_back(usage: Snapshot) -> Iterator[Snapshot]:
    ends = usage.server.started - _BEFORE_START_S
    hours = [ends - number * _HOUR_S for number in range(25)]
    days = [ends - number * _DAY_S for number in range(2, DAYS + 1)]
    began = ends - (DAYS + 1) * _DAY_S
    server = usage.server.model_copy(update={"started": began, "counters_since": began})
    since = {"statements_since": began} if usage.statements_since is not None else {}
    for at in sorted(days + hours):
        yield usage.model_copy(update={"at": at, "server": server, **since})
