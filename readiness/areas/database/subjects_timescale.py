"""The kinds of subject that [databases.NAME.timescale] declares."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Config, Database
from readiness.areas.database.config_timescale import Hypertable, Timescale
from readiness.config.base.subject import Find, Subject


@dataclass(frozen=True, slots=True)
class TimescaleDatabase:
    """A database, and what is expected of TimescaleDB in it."""

    database: Database
    timescale: Timescale

    @property
    def name(self) -> str:
        """That of the database."""
        return self.database.name


@dataclass(frozen=True, slots=True)
class ExpectedHypertable:
    """A hypertable, and the database it is in."""

    database: Database
    expected: Hypertable

    @property
    def name(self) -> str:
        """`DATABASE.HYPERTABLE`, as two databases may have one of the same name."""
        return f"{self.database.name}.{self.expected.name}"


def _databases(config: Config) -> Iterator[TimescaleDatabase]:
    for database in config.databases.values():
        if database.timescale:
            yield TimescaleDatabase(database, database.timescale)


def _hypertables(wanted: Callable[[Hypertable], bool]) -> Find:
    def find(config: Config) -> list[Subject]:
        return [
            ExpectedHypertable(found.database, hypertable)
            for found in _databases(config)
            for hypertable in found.timescale.hypertables.values()
            if wanted(hypertable)
        ]

    return find


_EACH: Final = "[databases.NAME.timescale.hypertables.NAME]"

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "timescale_database": ("[databases.NAME.timescale]", lambda c: list(_databases(c))),
    "hypertable": (_EACH, _hypertables(lambda _: True)),
    "compressed_hypertable": (_EACH, _hypertables(lambda h: h.compressed)),
    "expiring_hypertable": (f"{_EACH} keep_d", _hypertables(lambda h: h.keep_d is not None)),
}
