"""The saved schema: its file, and the command `readiness schema save` that writes it."""

import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import click
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from readiness.areas.schema.config import Config, Database
from readiness.config.base.area import Configured
from readiness.lib.options import config_option
from readiness.lib.postgres import Connection, connect
from readiness.lib.postgres.fingerprint import (
    SURROUNDINGS,
    Change,
    Fingerprint,
    differences,
    fingerprint,
    surroundings,
)
from readiness.model.clean import clean
from readiness.model.errors import CouldNotMeasure, UsageError, did_you_mean
from readiness.model.measurement import now
from readiness.model.secrets import Dsn

FORMAT: Final = "readiness-schema/3"
_NEW_IN_3: Final = frozenset({
    "role", "membership", "operator", "cast", "collation", "text-search", "server"
})  # fmt: skip
_MISSING_IN: Final = {
    "readiness-schema/1": SURROUNDINGS | _NEW_IN_3,
    "readiness-schema/2": _NEW_IN_3,
}
_LARGEST: Final = 64 * 1024 * 1024
_REMEDY: Final = "write it from a database whose schema is right: readiness schema save NAME"
_WHERE = "readiness schema save"


class SchemaManifest(BaseModel):
    """A schema as it was saved.

    Attributes:
        server: the major release of PostgreSQL it was read from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["readiness-schema/1", "readiness-schema/2", "readiness-schema/3"] = FORMAT
    saved_at: AwareDatetime
    server: int
    objects: Fingerprint

    @property
    def missing_kinds(self) -> frozenset[str]:
        """What an earlier version did not save, and which cannot be compared."""
        return _MISSING_IN.get(self.format, frozenset())

    def changes(self, found: Fingerprint, ignore: Collection[str] = ()) -> list[Change]:
        """How a database differs from what was saved."""
        return differences(self.objects, found, without=self.missing_kinds, ignore=ignore)


def schema_of(connection: Connection) -> Fingerprint:
    """What is saved of a database, and compared with it."""
    return {**fingerprint(connection), **surroundings(connection)}


def save(dsn: Dsn, path: Path, *, timeout_s: float, at: datetime | None = None) -> SchemaManifest:
    """Save the schema of a database as it is now."""
    with connect(dsn, timeout_s=timeout_s) as connection:
        manifest = SchemaManifest(
            saved_at=at or now(),
            server=connection.info.server_version // 10_000,
            objects=dict(sorted(schema_of(connection).items())),
        )
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None
    return manifest


def read(path: Path) -> SchemaManifest:
    """Read a saved schema.

    Raises:
        CouldNotMeasure: the file is missing or invalid, or lists no objects.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CouldNotMeasure("is larger than 64 MiB", where=str(path), remedy=_REMEDY)
        manifest = SchemaManifest.model_validate_json(data)
    except OSError as error:
        raise CouldNotMeasure(
            f"cannot be read: {error.strerror}", where=str(path), remedy=_REMEDY
        ) from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CouldNotMeasure(
            f"is not a valid saved schema: {place}: {first['msg']}",
            where=str(path),
            remedy=_REMEDY,
        ) from None
    if not manifest.objects:
        raise CouldNotMeasure("lists no objects", where=str(path), remedy=_REMEDY)
    return manifest


def schema(configured: Configured) -> click.Command:
    """The command `schema`."""

    @click.group(name="schema", help="Save the schema that a database must have.")
    def group() -> None:
        pass

    @group.command(name="save", help="Save a database's schema, for the checks to compare with.")
    @click.argument("database", required=False)
    @config_option
    @click.option("--to", type=click.Path(path_type=Path), help="The file; default: `manifest`.")
    @click.option("--check", is_flag=True, help="Write nothing; exit 1 if anything differs.")
    def command(database: str | None, config: Path | None, to: Path | None, *, check: bool) -> None:
        sys.exit(run(configured(config), database, to, check=check))

    return group


def run(config: Config, database: str | None, to: Path | None, *, check: bool) -> int:
    """Save a database's schema, and print how it differs from the one saved before.

    Returns:
        The exit code: 1 if only a comparison was asked for, and something differs.

    Raises:
        UsageError: no such database, or no file to write.
    """
    chosen = _chosen(config, database)
    path = to or _manifest(chosen)
    changes = _changes(chosen, path) if check or path.exists() else None
    for change in changes or ():
        click.echo(f"  {clean(str(change))}")
    if check:
        click.echo(f"{path}: {len(changes or ())} objects differ")
        return int(bool(changes))
    manifest = save(chosen.dsn, path, timeout_s=chosen.timeout_s)
    before = "" if changes is None else f"; {len(changes)} differ from before"
    click.echo(f"{path}: wrote {len(manifest.objects)} objects{before}")
    return 0


def _chosen(config: Config, name: str | None) -> Database:
    databases = config.databases
    if name is None and len(databases) == 1:
        return next(iter(databases.values()))
    if name is None or name not in databases:
        told = f"no database {name} is configured. " if name else "name a database. "
        hint = did_you_mean(name or "", databases)
        raise UsageError(
            f"{told}{hint}".strip(),
            where=_WHERE,
            remedy=f"{_WHERE} {'|'.join(sorted(databases)) or 'NAME'}; declare it as"
            " [databases.NAME] in readiness.toml",
        )
    return databases[name]


def _manifest(database: Database) -> Path:
    if database.schema is None or database.schema.manifest is None:
        raise UsageError(
            "no file to write is configured",
            where=f"[databases.{database.name}.schema] manifest",
            remedy=f"set it, or: {_WHERE} {database.name} --to FILE",
        )
    return Path(database.schema.manifest)


def _changes(database: Database, path: Path) -> list[Change]:
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = schema_of(connection)
    return read(path).changes(found, database.schema.ignore if database.schema else ())
