"""The transfers of a database, as subjects of checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.schema.config import Config, Database, Transfer
from readiness.config.base.area import Find


@dataclass(frozen=True, slots=True)
class TransferOf:
    """One transfer of a database; named `database.transfer`."""

    name: str
    database: Database
    transfer: Transfer

    @property
    def is_live(self) -> bool:
        """Whether the old tables are written while the data is moved."""
        return self.transfer.strategy != "full-copy"


def _transfers(config: Config) -> list[TransferOf]:
    return [
        TransferOf(f"{database.name}.{transfer.name}", database, transfer)
        for database in config.databases.values()
        for transfer in database.transfers.values()
    ]


# kind -> (where it is declared, as the report names it, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "transfer": ("[databases.NAME.transfers.NAME]", _transfers),
    "live_transfer": (
        "[databases.NAME.transfers.NAME] strategy = dual-write or table-by-table",
        lambda config: [one for one in _transfers(config) if one.is_live],
    ),
}
