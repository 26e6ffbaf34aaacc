"""What the levers on the database act on; alone, as `Levers` of the whole system extend it."""

from dataclasses import dataclass
from pathlib import Path

from readiness.areas.database.reference.pooler import Pooler
from readiness.servers.postgres import PrivateStandby
from readiness.servers.shop import Server, Shop


@dataclass(frozen=True, slots=True)
class DatabaseParts:
    """The database, and what is around it.

    Attributes:
        server: the PostgreSQL server.
        standby: what follows it; None where there is none.
        pooler: what stands in front of it; None where nothing does.
        shop: how to reach the shop's database.
        config: the system's readiness.toml.
        history: the file of the snapshots of the database.
    """

    server: Server
    standby: PrivateStandby | None
    pooler: Pooler | None
    shop: Shop
    config: Path
    history: Path
