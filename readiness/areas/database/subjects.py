"""What in [databases.NAME] the checks of this area are judged on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Config, Database, Hypertable
from readiness.config.base.area import Find


@dataclass(frozen=True, slots=True)
class ExpectedHypertable:
    """A declared hypertable, and the database it is in."""

    database: Database
    expected: Hypertable

    @property
    def name(self) -> str:
        """`DATABASE.HYPERTABLE`, as two databases may have one of the same name."""
        return f"{self.database.name}.{self.expected.name}"


def _hypertables(config: Config) -> list[ExpectedHypertable]:
    return [
        ExpectedHypertable(database, hypertable)
        for database in config.databases.values()
        if database.timescale
        for hypertable in database.timescale.hypertables.values()
    ]


# kind -> (where it is declared, as the report says it, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "database": ("[databases.NAME]", lambda c: list(c.databases.values())),
    "hypertable": ("[databases.NAME.timescale.hypertables.NAME]", _hypertables),
}
