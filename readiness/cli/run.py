"""`readiness run`: judges a target or the reference system."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click

from readiness.cli.terminal import colored, width
from readiness.config.loading import locate
from readiness.model.check import Effect
from readiness.model.errors import UsageError
from readiness.model.record import RunRecord
from readiness.run.conclude import Ended
from readiness.run.progress import Progress, choose
from readiness.run.supervisor import File, Options
from readiness.run.supervisor import run as judge

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
            return _judge(_with(options, asked))
    options = Options(File(locate(config)), asked.reports, allow=tuple(allow), confirm=confirm)
    return _judge(_with(options, asked))


@contextmanager
def reference_options(reports: Path, provider: str | None) -> Iterator[Options]:
    """Start the reference system; yields options that judge it with all effects allowed."""
    from readiness.reference import extra

    extra.require()
    from readiness.config.loading import load
    from readiness.reference.system import ReferenceSystem
    from readiness.run import marker
    from readiness.run.safety import fingerprint

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
    )


def _judge(options: Options) -> int:
    progress: Progress = choose()
    ended = judge(options, progress)
    _show(ended, options.reports)
    return ended.code


def _show(ended: Ended, reports: Path) -> None:
    if ended.record is None:
        raise UsageError(ended.refusal)
    from readiness.report import github  # imported late to start the run sooner

    github.announce(ended.record, os.environ)
    click.echo(summary(ended.record, reports))
    if ended.refusal:
        raise UsageError(ended.refusal)


def summary(record: RunRecord, reports: Path) -> str:
    """The verdict and the path of the page, for the terminal."""
    from readiness.report import console

    text = console.summary(record, width=width(), color=colored(sys.stdout))
    return f"{text.rstrip()}\n\nReport: {reports / 'readiness.html'}"


def _known_workers(workers: str) -> None:
    if workers != "auto" and not workers.isdecimal():
        raise UsageError(
            f"{workers!r} is not a number of workers",
            where="-n",
            remedy="give a whole number, or 'auto' for one per core",
        )


def _say(text: str) -> None:
    click.echo(f"reference system: {text}")
