"""`readiness plan`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.config import Deployment
from readiness.config.locate import configured
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
    """Print what would run. Reads the target's marker; judges and writes nothing."""
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
    if loaded.config.deployment and _drills(ended.ledger):
        _show_drill(loaded.config.deployment)
    return 0


def _show(ledger: Ledger) -> None:
    target, _ = begun(ledger)
    click.echo(f"target       {target.name}, release {target.release}")
    click.echo(f"environment  {target.environment} (as the target itself says)")
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
        "\nload and disrupt run only with"
        f" --allow EFFECT --confirm {target.fingerprint}, where the file allows them."
    )


def _drills(ledger: Ledger) -> bool:
    chosen = (planned for planned in ledger.plan.values() if planned.selected)
    return any(planned.suite == "deployment" and planned.effect.needs_quiet for planned in chosen)


def _show_drill(deployment: Deployment) -> None:
    """The commands themselves: whoever confirms should have seen them."""
    if deployment.adapter is None or deployment.previous is None:
        return
    adapter = adapter_of(deployment)
    click.echo(
        "\nThe drill deploys, rolls back and deploys again; the release that is served before it is"
        "\nserved after it. What it runs:"
    )
    calls = [
        *adapter.deploy(deployment.previous),
        *adapter.deploy(deployment.release),
        *adapter.rollback(deployment.previous),
    ]
    if deployment.bad_release:
        calls += adapter.deploy(deployment.bad_release)
    for call in calls:
        click.echo(f"  {printable(str(call))}")


def _line(planned: Planned) -> str:
    note = ""
    if planned.settled and planned.reason:
        note = f"  {planned.settled}: {planned.reason}"
    return f"{name_of(planned)}{note}"
