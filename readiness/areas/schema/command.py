"""`readiness schema save`: saves a database's schema for the checks to compare with."""

import sys
from pathlib import Path

import click

from readiness.areas.schema.config import Config, Database
from readiness.areas.schema.manifest import read
from readiness.areas.schema.manifest import save as write
from readiness.config.base.area import Configured
from readiness.lib.options import config_option
from readiness.lib.postgres import connect
from readiness.lib.postgres.fingerprint import Change, differences, fingerprint
from readiness.model.clean import clean
from readiness.model.errors import UsageError
from readiness.model.suggest import did_you_mean

_WHERE = "readiness schema save"


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
        sys.exit(save(configured(config), database, to, check=check))

    return group


def save(config: Config, database: str | None, to: Path | None, *, check: bool) -> int:
    """Save a database's schema, and print how it differs from the one saved before.

    Returns:
        The exit code: 1 if only a comparison was asked for, and something differs.

    Raises:
        UsageError: no such database, or no file to write.
        CouldNotMeasure: the database, or the file to compare with, cannot be read.
    """
    chosen = _chosen(config, database)
    path = to or _manifest(chosen)
    changes = _changes(chosen, path) if check or path.exists() else None
    for change in changes or ():
        click.echo(f"  {clean(str(change))}")
    if check:
        click.echo(f"{path}: {len(changes or ())} objects differ")
        return int(bool(changes))
    manifest = write(chosen.dsn, path, timeout_s=chosen.timeout_s)
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
        found = fingerprint(connection)
    ignore = database.schema.ignore if database.schema else ()
    return differences(read(path).objects, found, ignore=ignore)
