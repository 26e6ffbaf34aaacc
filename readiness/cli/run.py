"""`readiness run`: judges a target or the reference system."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from readiness.cli.terminal import colored, in_ci, width
from readiness.config.finding import PROJECT_FILE, locate
from readiness.model.check import Effect
from readiness.model.errors import UsageError
from readiness.model.record import RunRecord
from readiness.run.ending import Ended
from readiness.run.progress import Progress, choose
from readiness.run.supervisor import File, Options
from readiness.run.supervisor import run as judge

if TYPE_CHECKING:
    from readiness.report import EvidenceShown
    from readiness.report.github import Source

_ALL = tuple(effect.value for effect in Effect if effect.needs_quiet)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options that are the same for every target."""

    reports: Path
    suite: Sequence[str]
    select: Sequence[str]
    ignore: Sequence[str]
    workers: str
    baseline: Path | None
    report_only: bool
    debug: bool
    attest: Path | None = None
    verbose: bool = False
    evidence: "EvidenceShown" = "full"


def run(
    *,
    config: Path | None,
    reference: bool,
    provider: str | None,
    allow: Sequence[str],
    confirm: str,
    **common: object,
) -> int:
    """Judge the target, print the verdict, and give the exit code.

    Raises:
        ReadinessError: usage or configuration is wrong, or nothing could be written.
    """
    asked = _Asked(**common)  # type: ignore[arg-type]
    _known_workers(asked.workers)
    if reference:
        if config is not None:
            raise UsageError(
                "cannot be combined with --config",
                where="--reference",
                remedy="leave out --config or --reference",
            )
        with reference_options(asked.reports, provider) as options:
            return _judge(_with(options, asked), asked)
    options = Options(File(locate(config)), asked.reports, allow=tuple(allow), confirm=confirm)
    return _judge(_with(options, asked), asked)


@contextmanager
def reference_options(reports: Path, provider: str | None) -> Iterator[Options]:
    """Start the reference system; yields options that judge it with all effects allowed."""
    from readiness import reference

    reference.require()
    from readiness.config.loading import load
    from readiness.reference.system import ReferenceSystem
    from readiness.run import marker
    from readiness.run.safety import fingerprint
    from readiness.servers.files import work_in_memory

    work_in_memory()
    with ReferenceSystem.start(provider=provider, progress=_say) as system:
        _say(f"{system.coverage} (PostgreSQL: {system.provider})")
        loaded = load(system.config_path, os.environ | system.environ)
        seen = marker.environment(loaded.config)
        yield Options(
            loaded,
            reports,
            allow=_ALL,
            confirm=fingerprint(loaded.config, seen.environment),
            environ=system.environ,
        )


def _with(options: Options, asked: _Asked) -> Options:
    return replace(
        options,
        suites=tuple(asked.suite),
        select=tuple(asked.select),
        ignore=tuple(asked.ignore),
        workers=asked.workers,
        baseline=asked.baseline,
        report_only=asked.report_only,
        debug=asked.debug,
        evidence=asked.evidence,
    )


def _judge(options: Options, asked: _Asked) -> int:
    if asked.attest:
        _attestable(options, asked.attest)
    progress: Progress = choose(reports=options.reports, brief=in_ci(sys.stdout))
    ended = judge(options, progress)
    if asked.attest and ended.record and not ended.refusal:
        from readiness.cli import records

        records.attest(options.reports / "readiness.json", asked.attest)
    _show(ended, options, verbose=asked.verbose)
    return ended.code


def _attestable(options: Options, file: Path) -> None:
    """Refuse before anything is measured, and leave no statement of an earlier run."""
    from readiness.config.loading import configured
    from readiness.report import attestation

    loaded = options.loaded
    config = (configured(loaded.path) if isinstance(loaded, File) else loaded).config
    attestation.attestable(config.target.image or "", config.target.release)
    attestation.clear(file)


def _show(ended: Ended, options: Options, *, verbose: bool) -> None:
    if ended.record is None:
        raise UsageError(ended.refusal)
    from readiness.report import github  # imported late to start the run sooner

    if github.is_wanted(os.environ):
        github.announce(ended.record, os.environ, _source(options.loaded.path))
    if verbose:
        from readiness.report import details

        text = details.details(ended.record, width=width(), color=colored(sys.stdout))
        click.echo(f"\n{text}")
    click.echo(f"\n{summary(ended.record, options.reports)}", nl=False)
    if ended.note:
        from readiness.report.layout import wrap

        click.echo("\n".join(wrap(f"readiness: {ended.note}", width(), "    ")), err=True)
    if ended.refusal:
        raise UsageError(ended.refusal)


def summary(record: RunRecord, reports: Path) -> str:
    """The end of a run for the terminal: what to do, the verdict and the path of the page."""
    from readiness.report import console

    return console.summary(
        record,
        width=width(),
        color=colored(sys.stdout),
        report=str(reports / "readiness.html"),
        in_ci=in_ci(sys.stdout),
    )


def _source(path: Path) -> "Source | None":
    """The lines of the configuration file, for annotations; None outside of the checkout."""
    from readiness.config.source import scan
    from readiness.config.values import dotted
    from readiness.report.github import Source

    checkout = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    try:
        inside = path.resolve().relative_to(checkout)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
    root = "tool.readiness." if path.name == PROJECT_FILE else ""
    known = {dotted(key): line for key, line in scan(text).at.items()}

    def line_of(key: str) -> int | None:
        """The line of a key or of the nearest table above it, or of a subject's table."""
        tables = (name for name in known if key and name.removeprefix(root).count(".") == 1)
        named = next((name for name in tables if name.endswith(f".{key}")), "")
        if named:
            return known[named]
        parts = re.split(r"(?=[.\[])", root + key) if key else []
        above = ("".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((known[name] for name in above if name in known), None)

    return Source(inside.as_posix(), line_of)


def _known_workers(workers: str) -> None:
    if workers != "auto" and not workers.isdecimal():
        raise UsageError(
            f"{workers!r} is not a number of workers",
            where="-n",
            remedy="give a whole number, or 'auto' for one per core",
        )


def _say(text: str) -> None:
    from readiness.report.layout import wrap

    click.echo("\n".join(wrap(f"reference system: {text}", width(), "  ")))
