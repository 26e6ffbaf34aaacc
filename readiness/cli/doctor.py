"""`readiness doctor`: checks that programs and endpoints are available; changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from readiness.areas.registry import areas
from readiness.config.base.tables import Config
from readiness.config.loading import configured
from readiness.model.clean import line as printable
from readiness.model.errors import ReadinessError
from readiness.model.exitcodes import ExitCode
from readiness.run import marker
from readiness.servers import programs
from readiness.servers.binaries import Binaries, find_binaries


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result for one program or endpoint.

    Attributes:
        thing: its name.
        well: whether it is usable.
        detail: what was found.
        needed: whether checks cannot be judged without it.
    """

    thing: str
    well: bool
    detail: str
    needed: bool = True


def run(path: Path | None, *, reference: bool) -> int:
    """Print one line per program and endpoint; 0 if nothing that is needed is missing.

    Raises:
        UsageError: there is no configuration, and the reference system was not asked for.
        ConfigError: the configuration has mistakes.
    """
    if reference:
        # A program that cannot be downloaded is reported in its own line.
        programs.fetch(programs.REFERENCE, lambda line: click.echo(line, err=True))
    found = list(tools(of_reference=reference))
    if not reference:
        found += target(configured(path).config)
    for diagnosis in found:
        word = "ok" if diagnosis.well else "MISSING" if diagnosis.needed else "absent"
        click.echo(f"{word:<8} {diagnosis.thing:<28} {printable(diagnosis.detail)}")
    missing = [d for d in found if d.needed and not d.well]
    if missing:
        click.echo(f"\n{len(missing)} missing: checks that need them will end as `error`")
    return ExitCode.INCOMPLETE if missing else ExitCode.READY


def tools(*, of_reference: bool) -> Iterator[Diagnosis]:
    """The programs on this machine that checks and the reference system use.

    Args:
        of_reference: whether to download missing programs.
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
    for area in areas():
        for name, look in area.looks(config):
            yield _diagnose(name, look)


def _programs(binaries: Binaries) -> str:
    return f"{binaries.version} in {binaries.folder} ({binaries.origin})"


def _diagnose(thing: str, look: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(thing, well=True, detail=look())
    except ReadinessError as error:
        return Diagnosis(thing, well=False, detail=error.sentence)
