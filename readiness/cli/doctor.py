"""`readiness doctor`: checks that programs and endpoints are available; changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import click

from readiness.areas.registry import areas
from readiness.cli.terminal import emit
from readiness.config.base.tables import Config
from readiness.config.loading import configured
from readiness.model.errors import NotPermitted, ReadinessError
from readiness.model.verdict import ExitCode
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
        remedy: what makes it usable.
        place: where it is, for the heading of the SQL script.
        grants: SQL statements that give the missing privileges.
    """

    thing: str
    well: bool
    detail: str
    needed: bool = True
    remedy: str = ""
    place: str = ""
    grants: tuple[str, ...] = ()


def run(path: Path | None, *, reference: bool, form: str = "text", sql: bool = False) -> int:
    """Print one line per program and endpoint, and what fixes the rest; or only the SQL script.

    With a configuration only what this file needs is examined.

    Returns:
        The exit code: 0 if nothing that is needed is missing.

    Raises:
        UsageError: there is no configuration, and the reference system was not asked for.
        ConfigError: the configuration has mistakes.
    """
    if reference:
        # A program that cannot be downloaded is reported in its own line.
        programs.fetch(programs.REFERENCE, lambda line: click.echo(line, err=True))
        found = list(tools())
    else:
        found = list(target(configured(path).config))
    if sql:
        emit("text", None, _script(found))
    else:
        emit(form, [asdict(one) for one in found], _text(found))
    missing = any(one.needed and not one.well for one in found)
    return ExitCode.INCOMPLETE if missing else ExitCode.READY


def tools() -> Iterator[Diagnosis]:
    """The programs that the reference system uses."""
    yield _diagnose("PostgreSQL programs", lambda: _programs(find_binaries()))
    for program in (*programs.REFERENCE, programs.SQUAWK):
        if program != programs.POSTGRES:
            one = _diagnose(program.name, lambda p=program: programs.get(p))  # type: ignore[misc]
            yield replace(one, needed=False)


def target(config: Config) -> Iterator[Diagnosis]:
    """Everything that the checks of this configuration need."""
    seen = marker.environment(config)
    yield Diagnosis(
        "environment marker",
        config.target.marker is not None and seen.said,
        f"{seen.environment} ({seen.origin})",
        needed=False,
    )
    for area in areas():
        for name, look in area.looks(config):
            yield _diagnose(name, look)
    if config.gate.history:
        from readiness.run import shared_history

        # No verdict depends on it.
        found = _diagnose("shared history", partial(shared_history.look, config.gate.history))
        yield replace(found, needed=False)


def _text(found: Sequence[Diagnosis]) -> Iterator[str]:
    for one in found:
        word = "ok" if one.well else "MISSING" if one.needed else "absent"
        yield f"{word:<8} {one.thing:<28} {one.detail}"
    missing = [one for one in found if one.needed and not one.well]
    if not missing:
        return
    yield ""
    yield f"{len(missing)} missing: checks that need them will end as `error`."
    remedies = dict.fromkeys(one.remedy for one in missing if one.remedy and not one.grants)
    if remedies:
        yield ""
        yield "To fix:"
        yield from (f"  {number}. {remedy}" for number, remedy in enumerate(remedies, 1))
    if any(one.grants for one in missing):
        yield ""
        yield "Missing privileges, as SQL for a superuser (alone: readiness doctor --sql):"
        yield from (f"  {row}" for row in _script(missing))


def _script(found: Sequence[Diagnosis]) -> Iterator[str]:
    """The SQL of all missing privileges, by server."""
    for place in dict.fromkeys(one.place for one in found if one.grants):
        yield f"-- {place}"
        mine = (grant for one in found if one.place == place for grant in one.grants)
        yield from (f"{grant};" for grant in dict.fromkeys(mine))


def _programs(binaries: Binaries) -> str:
    return f"{binaries.version} in {binaries.folder} ({binaries.origin})"


def _diagnose(thing: str, look: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(thing, well=True, detail=look())
    except ReadinessError as error:
        place = f"{error.where}: " if error.where else ""
        return Diagnosis(
            thing,
            well=False,
            detail=f"{place}{error.message}",
            remedy=error.remedy,
            place=error.where,
            grants=error.grants if isinstance(error, NotPermitted) else (),
        )
