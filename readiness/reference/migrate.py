"""The shop's migrations: applied one after the other, and written down."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import psycopg

from readiness.areas.schema.manifest import save
from readiness.model.secrets import Dsn

_UP: Final = ".up.sql"


def migrate(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Apply all migrations in one transaction; the rows come after the first, before the keys."""
    connection.execute(
        b"create table public.schema_migrations (version text primary key,"
        b" applied_at timestamptz not null default now());"
        b" grant select on public.schema_migrations to shop_monitor"
    )
    for number, file in enumerate(_files(_UP)):
        connection.execute(file.read_bytes())
        # Each of them says itself for how long it waits, and where it looks for its tables.
        connection.execute(b"reset all")
        version = file.name.partition("_")[0]
        connection.execute(b"insert into public.schema_migrations values (%s)", [version])
        if number == 0:
            rows = resources.files("readiness.reference").joinpath("rows.sql")
            connection.execute(rows.read_bytes())
            connection.execute(b"reset all")


def copy_files(folder: Path) -> Path:
    """Put the migrations into a folder, as the repository of the shop would have them."""
    target = folder / "migrations"
    target.mkdir()
    for file in _files(".sql"):
        (target / file.name).write_bytes(file.read_bytes())
    return target


def save_manifest(monitor: str, folder: Path) -> Path:
    """Write down the schema as it is now, as `readiness schema save` does."""
    path = folder / "schema.json"
    save(Dsn(monitor), path, timeout_s=10)
    return path


def _files(suffix: str) -> list[Traversable]:
    folder = resources.files("readiness.reference").joinpath("migrations")
    found = [file for file in folder.iterdir() if file.name.endswith(suffix)]
    return sorted(found, key=lambda file: file.name)
