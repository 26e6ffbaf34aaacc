"""The kinds of subject that the tables of schema, migrations and transfers declare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.schema.config import Config, Database, DatabaseSchema
from readiness.areas.schema.config_transfers import Transfer
from readiness.config.base.migrations import Migrations
from readiness.config.base.subject import Find


@dataclass(frozen=True, slots=True)
class SchemaOf:
    """What a database must consist of; named as the database."""

    name: str
    database: Database
    schema: DatabaseSchema


@dataclass(frozen=True, slots=True)
class MigrationsOf:
    """The migrations of a database; named as the database."""

    name: str
    database: Database
    migrations: Migrations


@dataclass(frozen=True, slots=True)
class TransferOf:
    """One transfer of a database; named `database.transfer`."""

    name: str
    database: Database
    transfer: Transfer


def _schemas(declares: Callable[[DatabaseSchema], object]) -> Find:
    """Finds the databases whose schema table declares something."""

    def find(config: Config) -> list[SchemaOf]:
        return [
            SchemaOf(d.name, d, d.schema)
            for d in config.databases.values()
            if d.schema and declares(d.schema)
        ]

    return find


def _migrations(config: Config) -> list[MigrationsOf]:
    return [
        MigrationsOf(d.name, d, d.migrations) for d in config.databases.values() if d.migrations
    ]


def _transfers(config: Config, *strategies: str) -> list[TransferOf]:
    return [
        TransferOf(f"{d.name}.{t.name}", d, t)
        for d in config.databases.values()
        for t in d.transfers.values()
        if not strategies or t.strategy in strategies
    ]


_PLACE: Final = "[databases.NAME.schema]"
_TRANSFERS: Final = "[databases.NAME.transfers.NAME]"

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "listed_schema": (f"{_PLACE} objects", _schemas(lambda s: s.objects)),
    "floored_schema": (f"{_PLACE[:-1]}.rows.TABLE]", _schemas(lambda s: s.rows)),
    "saved_schema": (f"{_PLACE} manifest", _schemas(lambda s: s.manifest)),
    "guarded_schema": (f"{_PLACE} row_security", _schemas(lambda s: s.row_security)),
    "tenant_schema": (f"{_PLACE[:-1]}.tenancy.TABLE]", _schemas(lambda s: s.tenancy)),
    "app_schema": (f"{_PLACE} app_dsn", _schemas(lambda s: s.app_dsn)),
    "extended_schema": (f"{_PLACE} extensions", _schemas(lambda s: s.extensions)),
    "migrations": ("[databases.NAME.migrations]", _migrations),
    "transfer": (_TRANSFERS, _transfers),
    "live_transfer": (
        f"{_TRANSFERS} strategy = dual-write or table-by-table",
        lambda c: _transfers(c, "dual-write", "table-by-table"),
    ),
}
