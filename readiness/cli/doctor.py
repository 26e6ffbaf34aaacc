"""`readiness doctor`: is everything the gate needs there? Asks, and changes nothing."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from readiness.areas.backup.config import Backup
from readiness.areas.backup.tools import tool_of
from readiness.areas.database.config import Database
from readiness.areas.database.config_health import Pooler
from readiness.areas.database.probes import pooler
from readiness.config.locate import configured
from readiness.config.models import Config, Service
from readiness.lib import http, postgres
from readiness.model.clean import line as printable
from readiness.model.errors import CouldNotMeasure, ReadinessError, UsageError
from readiness.model.exitcodes import ExitCode
from readiness.run import marker
from readiness.servers import programs
from readiness.servers.postgres import Binaries, find_binaries


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        thing: what.
        well: whether it is as the gate needs it.
        detail: what was found.
        needed: whether checks cannot be judged without it.
    """

    thing: str
    well: bool
    detail: str
    needed: bool = True


def run(path: Path | None, *, reference: bool) -> int:
    """Print a line for everything that was looked at; 0 if nothing that is needed is missing.

    Raises:
        UsageError: there is no configuration, and the reference system was not asked for.
        ConfigError: the configuration has mistakes.
    """
    if reference:
        # What cannot be had is told in the line of the program.
        programs.fetch(programs.REFERENCE, lambda line: click.echo(line, err=True))
    found = list(tools(of_reference=reference))
    if not reference:
        found += target(configured(path).config)
    for diagnosis in found:
        word = "ok" if diagnosis.well else "MISSING" if diagnosis.needed else "absent"
        click.echo(f"{word:<8} {diagnosis.thing:<28} {printable(diagnosis.detail)}")
    missing = [d for d in found if d.needed and not d.well]
    if missing:
        click.echo(f"\n{len(missing)} missing: the checks that need them will say `error`")
    return ExitCode.INCOMPLETE if missing else ExitCode.READY


def tools(*, of_reference: bool) -> Iterator[Diagnosis]:
    """The programs on this machine that checks and the reference system use.

    Args:
        of_reference: whether what is missing is to be downloaded, or why it cannot be told.
    """
    look = programs.get if of_reference else programs.find
    yield _diagnose("PostgreSQL programs", lambda: _programs(find_binaries()))
    for program in (*programs.REFERENCE, programs.SQUAWK):
        if program != programs.POSTGRES:
            yield replace(_diagnose(program.name, lambda p=program: look(p)), needed=False)  # type: ignore[misc]


def target(config: Config) -> Iterator[Diagnosis]:
    """Every endpoint that the target declares."""
    seen = marker.environment(config)
    yield Diagnosis(
        "environment marker",
        config.target.marker is not None and not seen.note,
        f"{seen.environment} {seen.note or f'({seen.source})'}",
        needed=False,
    )
    for service in config.services.values():
        yield _diagnose(f"service {service.name}", lambda s=service: _service(s))  # type: ignore[misc]
    for database in config.databases.values():
        yield _diagnose(f"database {database.name}", lambda d=database: _database(d))  # type: ignore[misc]
        yield from _around(database)
    for backup in config.backup.values():
        yield _diagnose(f"backup {backup.name}", lambda b=backup: _backup(b))  # type: ignore[misc]
    for name, url in _watchers(config):
        yield _diagnose(name, lambda u=url: f"{http.get(f'{u}/-/ready', timeout_s=5).status} {u}")  # type: ignore[misc]


def _programs(binaries: Binaries) -> str:
    return f"{binaries.version} in {binaries.folder} ({binaries.origin})"


def _diagnose(thing: str, look: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(thing, well=True, detail=look())
    except ReadinessError as error:
        return Diagnosis(thing, well=False, detail=error.sentence)


def _service(service: Service) -> str:
    answer = http.ask(service, service.live)
    return f"{service.url} answers {answer.status} at {service.live}"


def _around(database: Database) -> Iterator[Diagnosis]:
    for standby in database.standbys.values():
        follower = database.model_copy(update={"dsn": standby.dsn})
        yield _diagnose(f"standby {standby.name}", lambda d=follower: _database(d))  # type: ignore[misc]
    if database.pooler:
        yield _diagnose(f"pooler of {database.name}", lambda p=database.pooler: _pooler(p))  # type: ignore[misc]


def _pooler(settings: Pooler) -> str:
    return f"{settings.dsn.address}, serves {', '.join(pooler.pools(settings).databases)}"


def _database(database: Database) -> str:
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        version = connection.info.parameter_status("server_version")
        may = postgres.fetch_value(
            connection, "select pg_has_role(current_user, 'pg_monitor', 'member')"
        )
    if not may:
        raise CouldNotMeasure(
            "the role is not a member of pg_monitor",
            where=database.dsn.address,
            remedy="grant pg_monitor to the role",
        )
    return f"{database.dsn.address}, PostgreSQL {version}"


def _backup(backup: Backup) -> str:
    if backup.tool != "dump":
        return f"{len(tool_of(backup).backups())} backups of {backup.tool} in {backup.path}"
    folder = Path(backup.path)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(
            "the folder cannot be read from here",
            where=backup.path,
            remedy="run where the backups are mounted, or correct the path",
        )
    return f"{len(list(folder.glob(backup.pattern)))} files in {folder}"


def _watchers(config: Config) -> Iterator[tuple[str, str]]:
    if config.prometheus:
        yield "Prometheus", config.prometheus.url
    for url in config.alertmanager.urls if config.alertmanager else []:
        yield "Alertmanager", url
