"""How the shop's database is reached; it stands alone because several areas break it."""

from dataclasses import dataclass
from typing import Final

NAME: Final = "shop"


@dataclass(frozen=True, slots=True)
class Shop:
    """How to reach the shop's database, as each of its roles.

    Attributes:
        superuser: in the shop's database.
        admin: the superuser in another database, for what cannot be done from inside.
        owner: owns the schema.
        app: what the service runs as.
        monitor: reads statistics and rows.
        backup: reads everything.
        replica: copies the server, and streams what it writes.
        release: of the server, as `15.4`.
        drill: makes schemas of its own, restore points, and finishes WAL files.
        has_statistics: whether it counts the time of statements.
        has_amcheck: whether it can look for damage.
        measures_bloat: whether it can tell how much of a table is empty.
    """

    superuser: str
    admin: str
    owner: str
    app: str
    monitor: str
    backup: str
    replica: str
    release: str
    drill: str
    has_statistics: bool
    has_amcheck: bool
    measures_bloat: bool
