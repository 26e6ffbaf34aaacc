"""`readiness waivers`, `readiness signoff` and `readiness config`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import click

from readiness.cli import signing
from readiness.cli.output import emit
from readiness.config.base.tables import Signoff
from readiness.config.finding import locate
from readiness.config.loading import Loaded, configured
from readiness.config.subjects import subjects
from readiness.config.values import show as shown
from readiness.lib import bundle, signoffs
from readiness.model.decision import Decision, Kind
from readiness.model.errors import ConfigError, Problem, UsageError
from readiness.model.exitcodes import ExitCode
from readiness.model.measurement import now
from readiness.run import catalogue
from readiness.run.decisions import misnamed
from readiness.run.gate import own_suites

_SOON: Final = timedelta(days=14)
_LAST_DAY: Final = {
    Kind.WAIVER: "expires on",
    Kind.NOT_APPLICABLE: "to be reviewed on",
    Kind.OBSERVE_ONLY: "decides after",
}
_AFTERWARDS: Final = {
    Kind.WAIVER: "the failure counts again",
    Kind.NOT_APPLICABLE: "the checks are required again",
    Kind.OBSERVE_ONLY: "the checks decide",
}


def waivers(config: Path | None, form: str) -> None:
    """Print every decision of the file with its state today: waivers, exclusions, observing."""
    decisions = configured(config).config.decisions
    emit(form, [_decision(one) for one in decisions], _decisions(decisions))


def _decision(decision: Decision) -> dict[str, object]:
    days = (decision.expires - now().date()).days
    plain = decision.model_dump(mode="json", exclude={"state"})
    return plain | {"valid": days >= 0, "days_left": max(days, 0)}


def _decisions(decisions: Sequence[Decision]) -> Iterator[str]:
    if not decisions:
        yield "no waivers and no other decisions"
    for one in decisions:
        yield f"{one.kind}  {one.what}"
        yield f"  {_state(one)}"
        yield f"  owner {one.owner}" + (f", approved by {one.approver}" if one.approver else "")
        if one.error:
            yield f"  accepts only the error that contains {one.error!r}"
        yield f"  {one.reason}"


def signoff(
    *,
    item: str | None,
    config: Path | None,
    person: str | None,
    evidence: str | None,
    release: str | None,
    expires: str | None,
    write: bool,
    check: bool,
    form: str,
) -> int:
    """List the sign-offs, or add one.

    Returns:
        The exit code: 1 if `check` is set and a required item is not signed, else 0.
    """
    loaded = configured(config)
    target = loaded.config.target
    if item is None:
        return _list_signoffs(loaded, form, check=check)
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
    return ExitCode.READY


def _list_signoffs(loaded: Loaded, form: str, *, check: bool) -> int:
    target, policy = loaded.config.target, loaded.config.signoffs
    states = [
        signoffs.state(
            item,
            loaded.config.signoff,
            release=target.release,
            deployer=target.deployer,
            today=now().date(),
        )
        for item in (policy.required if policy else ())
    ]
    rows = [f"{one.item}: {'signed' if one.signed else '; '.join(one.problems)}" for one in states]
    none = 'no sign-offs are required; to require some: [signoffs] required = ["ITEM"]'
    emit(form, [asdict(one) for one in states], rows or [none])
    missing = check and not all(one.signed for one in states)
    return ExitCode.NOT_READY if missing else ExitCode.READY


def show(config: Path | None) -> None:
    """Print the effective configuration."""
    click.echo(shown(configured(config)))


def check(config: Path | None, form: str) -> int:
    """Print every mistake of the file that `run` would refuse; contacts nothing.

    Returns:
        The exit code: 2 if there are mistakes.
    """
    path, problems = _mistakes(config)
    if problems and form == "text":
        raise ConfigError(problems)
    emit(form, [asdict(problem) for problem in problems], [f"{path}: no mistakes found"])
    return ExitCode.NOTHING_JUDGED if problems else ExitCode.READY


def _mistakes(config: Path | None) -> tuple[Path, Sequence[Problem]]:
    path = locate(config)
    try:
        loaded = configured(path)
        list(own_suites(loaded))
        return path, misnamed(loaded.config, set(_known(loaded)), origins=loaded.origins)
    except ConfigError as error:
        return path, error.problems
    except UsageError as error:  # a folder or a module of the user's own checks
        return path, [Problem(error.where, error.message, error.remedy)]


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


def _state(decision: Decision) -> str:
    today, last = now().date(), decision.expires
    if decision.is_valid(today):
        soon = " (soon)" if last - today <= _SOON else ""
        return f"{_LAST_DAY[decision.kind]} {last}{soon}"
    return f"EXPIRED on {last}; {_AFTERWARDS[decision.kind]}"


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a date", where="--expires", remedy="write it as YYYY-MM-DD"
        ) from None
