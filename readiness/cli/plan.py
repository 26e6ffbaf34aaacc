"""`readiness plan`: prints what a run would do; judges and writes nothing."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from readiness.areas.registry import areas
from readiness.config.base.tables import Config
from readiness.config.loading import configured
from readiness.model.check import Effect
from readiness.model.clean import line as printable
from readiness.model.errors import UsageError
from readiness.run.conclude import begun
from readiness.run.ledger import Ledger, Planned
from readiness.run.progress import Silent, name_of
from readiness.run.supervisor import Options
from readiness.run.supervisor import run as collect


def run(
    *, config: Path | None, suite: Sequence[str], select: Sequence[str], ignore: Sequence[str]
) -> int:
    """Print what would run; only the target's marker is read."""
    loaded = configured(config)
    with tempfile.TemporaryDirectory() as nowhere:
        ended = collect(
            Options(
                loaded,
                Path(nowhere),
                suites=tuple(suite),
                select=tuple(select),
                ignore=tuple(ignore),
                workers="0",
                collect_only=True,
            ),
            Silent(),
        )
    if ended.refusal or not ended.ledger.plan:
        raise UsageError(ended.refusal or "the checks could not be collected")
    _show(ended.ledger)
    _show_drills(loaded.config, ended.ledger)
    return 0


def _show(ledger: Ledger) -> None:
    target, _ = begun(ledger)
    click.echo(f"target       {target.name}, release {target.release}")
    click.echo(f"environment  {target.environment} (reported by the target)")
    click.echo(f"fingerprint  {target.fingerprint}")
    for effect in Effect:
        chosen = [p for p in ledger.plan.values() if p.selected and p.effect is effect]
        if chosen:
            when = "alone, one at a time" if effect.needs_quiet else "in parallel"
            click.echo(f"\n{effect} ({when}):")
        for planned in sorted(chosen, key=name_of):
            click.echo(f"  {printable(_line(planned))}")
    for incident in ledger.incidents:
        if incident.kind != "dry-run":
            click.echo(f"\n{printable(incident.message)}", err=True)
    click.echo(
        "\nload and disrupt run only if the file allows them, and with"
        f" --allow EFFECT --confirm {target.fingerprint}"
    )


def _show_drills(config: Config, ledger: Ledger) -> None:
    """Print the commands of drills, so that whoever confirms has seen them."""
    chosen = [p for p in ledger.plan.values() if p.selected and p.effect.needs_quiet]
    for area in areas():
        if area.drills and any(planned.suite == area.name for planned in chosen):
            heading, *calls = list(area.drills.commands(config)) or [""]
            for text in [f"\n{heading}", *(f"  {printable(call)}" for call in calls)]:
                if text.strip():
                    click.echo(text)


def _line(planned: Planned) -> str:
    note = ""
    if planned.settled and planned.reason:
        note = f"  {planned.settled}: {planned.reason}"
    return f"{name_of(planned)}{note}"
