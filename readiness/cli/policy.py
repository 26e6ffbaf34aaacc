"""`readiness waivers`, `signoff` and `config`; a sign-off is added to the configuration file."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from readiness.cli.terminal import emit
from readiness.config.base.signoffs import Signoff, SignoffPolicy
from readiness.config.crosschecks import signoff_mistakes
from readiness.config.finding import PROJECT_FILE, locate, read
from readiness.config.loading import Loaded, configured, examine
from readiness.config.source import Raw
from readiness.config.subjects import subjects
from readiness.config.values import show as shown
from readiness.lib import bundle, proof, signoffs, ssh_signatures
from readiness.model.decision import Decision, Kind
from readiness.model.errors import ConfigError, Problem, UsageError, did_you_mean
from readiness.model.measurement import now
from readiness.model.verdict import ExitCode
from readiness.run import catalogue
from readiness.run.decisions import misnamed
from readiness.run.gate import own_suites

_TIMEOUT_S: Final = 5.0
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


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `readiness signoff`."""

    item: str | None
    config: Path | None
    person: str | None
    evidence: str | None
    release: str | None
    expires: str | None
    key: Path | None
    write: bool
    check: bool
    form: str


def signoff(asked: Asked) -> int:
    """List the sign-offs, show what an item requires, or add one.

    Returns:
        The exit code: 1 if `check` is set and a required item is not signed, else 0.
    """
    loaded = configured(asked.config)
    if asked.item is None:
        return _list_signoffs(loaded, asked)
    if not asked.person and not asked.evidence:
        return _guide(asked.item, loaded, asked)
    made = _made(asked.item, loaded, asked)
    if asked.write:
        append_signoff(loaded.path, made)
        click.echo(f"added the sign-off for {asked.item} to {loaded.path}")
    else:
        click.echo(as_toml(made))
    return ExitCode.READY


def _made(item: str, loaded: Loaded, asked: Asked) -> Signoff:
    """The sign-off, bound to what is judged now."""
    target, policy = loaded.config.target, loaded.config.signoffs
    if not asked.person or not asked.evidence:
        raise UsageError(
            "--by and --evidence are required",
            where="readiness signoff",
            remedy=f"readiness signoff {item} --by NAME --evidence LINK --expires YYYY-MM-DD",
        )
    if signoffs.same_person(asked.person, target.deployer) and asked.person.strip():
        raise UsageError(
            f"{asked.person} deploys this release and may not sign it off",
            where="--by",
            remedy=f"another person signs: readiness signoff {item} --by NAME --evidence LINK",
        )
    folder = loaded.path.parent
    is_file = not proof.is_address(asked.evidence)
    expires = _date(asked.expires) if asked.expires else now().date() + timedelta(days=30)
    try:
        made = Signoff(
            item=item,
            person=asked.person,
            evidence=asked.evidence,
            release=asked.release or target.release,
            image=target.image,
            config_sha256=loaded.asked_sha256,
            evidence_sha256=proof.digest(asked.evidence, folder) if is_file else None,
            signed=now().replace(microsecond=0),
            expires=expires,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{place}: {first['msg']}", where="readiness signoff") from None
    if problem := proof.problem(made, folder, policy.timeout_s if policy else _TIMEOUT_S):
        raise UsageError(
            problem,
            where="--evidence",
            remedy="name an address that answers, or a file beside readiness.toml",
        )
    return _signed(made, policy, asked) if asked.key else made


def _signed(made: Signoff, policy: SignoffPolicy | None, asked: Asked) -> Signoff:
    """The same with a signature, which the gate will accept."""
    signed = made.model_copy(update={"signature": ssh_signatures.sign(made, Path(str(asked.key)))})
    allowed = policy.allowed_signers if policy else None
    if allowed and (problem := ssh_signatures.problem(signed, Path(allowed))):
        raise UsageError(
            problem, where="--key", remedy=f"add the key of {made.person} to {allowed}"
        )
    return signed


def _guide(item: str, loaded: Loaded, asked: Asked) -> int:
    """Print what to do before an item is signed."""
    policy = loaded.config.signoffs
    required = policy.required if policy else []
    if policy is None or item not in required:
        raise UsageError(
            f"no sign-off of {item!r} is required. {did_you_mean(item, required)}".rstrip(". "),
            where="readiness signoff",
            remedy="add it to [signoffs] required",
        )
    found, steps = _state_of(item, loaded), signoffs.guide(item, policy)
    box = "[x]" if found.signed else "[ ]"
    rows = [_told(found), *(f"  {box} {step}" for step in steps)]
    if not steps:
        rows.append(f'  no guide; write one: [signoffs.guides] {item} = ["STEP", ...]')
    rows.append(f"sign it: readiness signoff {item} --by NAME --evidence LINK-OR-FILE --write")
    emit(asked.form, asdict(found) | {"steps": list(steps)}, rows)
    return ExitCode.NOT_READY if asked.check and not found.signed else ExitCode.READY


def _list_signoffs(loaded: Loaded, asked: Asked) -> int:
    policy = loaded.config.signoffs
    states = [_state_of(item, loaded) for item in (policy.required if policy else ())]
    none = 'no sign-offs are required; to require some: [signoffs] required = ["ITEM"]'
    emit(asked.form, [asdict(one) for one in states], [_told(one) for one in states] or [none])
    missing = asked.check and not all(one.signed for one in states)
    return ExitCode.NOT_READY if missing else ExitCode.READY


def _state_of(item: str, loaded: Loaded) -> signoffs.SignoffState:
    today = now().date()
    return signoffs.state(item, loaded.config, config_sha256=loaded.asked_sha256, today=today)


def _told(one: signoffs.SignoffState) -> str:
    return f"{one.item}: {'signed' if one.signed else '; '.join(one.problems)}"


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


_KEYS: Final = (
    *("item", "person", "evidence", "release", "image", "config_sha256", "evidence_sha256"),
    *("signed", "expires", "signature"),
)


def as_toml(signoff: Signoff, *, table: str = "signoff") -> str:
    """The sign-off as TOML, an array entry of that table."""
    values = {key: getattr(signoff, key) for key in _KEYS}
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value]
    return "\n".join([f"[[{table}]]", *lines, ""])


def append_signoff(path: Path, signoff: Signoff) -> None:
    """Append a sign-off to a configuration file; nothing before it changes.

    The file is replaced atomically, and only by one that loads. Unset variables are accepted:
    whoever signs need not have the secrets.

    Raises:
        ConfigError: the file is not right, or would not be with the sign-off.
        UsageError: it cannot be written, or changed meanwhile.
    """
    place = path.resolve()
    before = read(place)
    _entries(path, before)
    after = before + _addition(path, before, signoff)
    if Signoff.model_validate(_entries(path, after)[-1]) != signoff:
        raise ConfigError([Problem(str(path), "the sign-off would be read back with other values")])
    _replace(place, before, after)


def _toml(value: str | date) -> str:
    return value.isoformat() if isinstance(value, date) else _quoted(value)


def _quoted(text: str) -> str:
    """A TOML string; `${` is escaped, so that it is not taken for a variable."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False).replace("\x7f", "\\u007f")


def _addition(path: Path, before: bytes, signoff: Signoff) -> bytes:
    table = "tool.readiness.signoff" if path.name == PROJECT_FILE else "signoff"
    gap = "\n" if not before or before.endswith(b"\n") else "\n\n"
    text = gap + as_toml(signoff, table=table)
    return text.replace("\n", "\r\n" if b"\r\n" in before else "\n").encode()


def _entries(path: Path, data: bytes) -> list[Raw]:
    """The sign-offs in these bytes, if nothing is wrong with them but the environment."""
    draft = examine(path, data, os.environ, datetime.now(UTC).date())
    wrong = [mistake for mistake in draft.mistakes if not mistake.environment]
    entries, policy = draft.values.values.get("signoff"), draft.values.values.get("signoffs")
    signed = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    required = policy.get("required") if isinstance(policy, dict) else None
    if not wrong:
        # `examine` gets this far only where every variable is set.
        items = [Signoff.model_validate(entry) for entry in signed]
        wrong = list(signoff_mistakes(items, required if isinstance(required, list) else []))
    if wrong:
        raise ConfigError(draft.source.problems(wrong))
    return signed


def _replace(place: Path, before: bytes, after: bytes) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(place.stat().st_mode)
            if read(place) != before:
                raise UsageError(
                    "the file was changed while the sign-off was written",
                    where=str(place),
                    remedy="review the change and sign again",
                )
            Path(name).replace(place)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}",
            where=str(place),
            remedy="check the permissions of the file and its folder: ls -ld",
        ) from error
