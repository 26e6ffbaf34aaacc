"""`readiness waivers`, `readiness signoff` and `readiness config`."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import click

from readiness.cli import signing
from readiness.config.base.tables import Signoff
from readiness.config.loading import Loaded
from readiness.config.locate import configured
from readiness.config.show import show as shown
from readiness.config.subjects import subjects
from readiness.lib import bundle, signoffs
from readiness.model.errors import ConfigError, UsageError
from readiness.model.measurement import now
from readiness.run import catalogue
from readiness.run.decisions import misnamed

_SOON = timedelta(days=14)


def waivers(config: Path | None) -> None:
    """Print every waiver with its state today."""
    loaded = configured(config)
    if not loaded.config.waiver:
        click.echo("no waivers")
    for waiver in loaded.config.waiver:
        subject = f"[{waiver.subject}]" if waiver.subject else ""
        click.echo(f"{waiver.check}{subject}")
        click.echo(f"  {_state(waiver.expires)}")
        click.echo(f"  owner {waiver.owner}, approved by {waiver.approver}")
        click.echo(f"  {waiver.reason}")


def signoff(
    *,
    item: str | None,
    config: Path | None,
    person: str | None,
    evidence: str | None,
    release: str | None,
    expires: str | None,
    write: bool,
) -> None:
    """List the sign-offs, or add one."""
    loaded = configured(config)
    target = loaded.config.target
    if item is None:
        _list_signoffs(config)
        return
    if not person or not evidence:
        raise UsageError(
            "--person and --evidence are required",
            where="readiness signoff",
            remedy=f"readiness signoff {item} --person NAME --evidence LINK --expires YYYY-MM-DD",
        )
    if person.strip().casefold() == target.deployer.strip().casefold() and person.strip():
        raise UsageError(
            f"{person} deploys this release and may not sign it off",
            where="--person",
            remedy=f"another person signs: readiness signoff {item} --person NAME --evidence LINK",
        )
    made = Signoff(
        item=item,
        person=person,
        evidence=evidence,
        release=release or target.release,
        expires=_date(expires) if expires else now().date() + timedelta(days=30),
    )
    if write:
        signing.append(loaded.path, made)
        click.echo(f"added the sign-off for {item} to {loaded.path}")
    else:
        click.echo(signing.block(made))


def _list_signoffs(config: Path | None) -> None:
    loaded = configured(config)
    target, policy = loaded.config.target, loaded.config.signoffs
    if policy is None:
        click.echo('no sign-offs are required; to require some: [signoffs] required = ["ITEM"]')
        return
    for item in policy.required:
        state = signoffs.state(
            item,
            loaded.config.signoff,
            release=target.release,
            deployer=target.deployer,
            today=now().date(),
        )
        click.echo(f"{item}: {'signed' if state.signed else '; '.join(state.problems)}")


def show(config: Path | None) -> None:
    """Print the effective configuration."""
    click.echo(shown(configured(config)))


def check(config: Path | None) -> None:
    """Print that the file has no mistakes.

    Raises:
        ConfigError: it has mistakes, or decides on a check, suite or subject that does not exist.
    """
    loaded = configured(config)
    problems = misnamed(loaded.config, set(_known(loaded)), origins=loaded.origins)
    if problems:
        raise ConfigError(problems)
    click.echo(f"{loaded.path}: no mistakes found")


def _known(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Check id and subject of everything that can be judged on this target."""
    folder, gate = loaded.path.parent, loaded.config.gate
    shipped = bundle.known_ids()
    for entry in catalogue.entries(folder / name for name in gate.suites):
        spec = entry.spec
        found = (
            subjects(loaded.config, spec.each, spec.needs) if spec.each else [loaded.config.target]
        )
        yield from ((spec.id, subject.name) for subject in found)
        if not found:
            yield spec.id, ""
        if spec.id not in shipped:
            # A user's check may have pytest parameters, which only collecting it would show.
            yield from ((w.check, w.subject) for w in loaded.config.waiver if w.check == spec.id)


def _state(expires: date) -> str:
    today = now().date()
    if expires < today:
        return f"EXPIRED on {expires}; the failure counts again"
    soon = " (soon)" if expires - today <= _SOON else ""
    return f"expires on {expires}{soon}"


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a date", where="--expires", remedy="write it as YYYY-MM-DD"
        ) from None
