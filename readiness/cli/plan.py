"""`readiness plan`: prints what a run would do; judges and writes nothing."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from readiness.areas.registry import areas
from readiness.cli.terminal import emit
from readiness.config.base.tables import Config
from readiness.config.loading import Loaded, configured
from readiness.model.check import Effect
from readiness.model.errors import UsageError
from readiness.run.conclude import begun
from readiness.run.ledger import Ledger, Planned
from readiness.run.profile import Profile
from readiness.run.progress import Silent, name_of
from readiness.run.supervisor import Options
from readiness.run.supervisor import run as collect


def run(
    *,
    config: Path | None,
    suite: Sequence[str],
    select: Sequence[str],
    ignore: Sequence[str],
    form: str = "text",
) -> int:
    """Print what would run; only the target's marker is read."""
    loaded = configured(config)
    ledger = _collected(loaded, suite=suite, select=select, ignore=ignore)
    emit(form, _data(loaded.config, ledger), _text(loaded.config, ledger))
    return 0


def _collected(
    loaded: Loaded, *, suite: Sequence[str], select: Sequence[str], ignore: Sequence[str]
) -> Ledger:
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
    return ended.ledger


def _data(config: Config, ledger: Ledger) -> dict[str, object]:
    target, _ = begun(ledger)
    return {
        "target": target.model_dump(mode="json"),
        "profile": Profile.of(config).name,
        "checks": [
            {
                "id": planned.id,
                "subject": planned.subject,
                "severity": planned.spec.severity,
                "effect": planned.effect,
                "runs": not planned.settled,
                "outcome": planned.settled or None,
                "reason": planned.reason,
                "required": planned.asked,
            }
            for planned in sorted(_chosen(ledger), key=name_of)
        ],
        "commands": {name: [heading, *calls] for name, heading, calls in _drills(config, ledger)},
        "problems": [i.message for i in ledger.incidents if i.kind != "dry-run"],
    }


def _text(config: Config, ledger: Ledger) -> Iterator[str]:
    target, _ = begun(ledger)
    yield f"target       {target.name}, release {target.release}"
    yield f"environment  {target.environment} ({target.source})"
    yield f"fingerprint  {target.fingerprint}"
    yield f"profile      {Profile.of(config).name}"
    chosen = _chosen(ledger)
    for effect in Effect:
        mine = [p for p in chosen if p.asked and p.effect is effect]
        if mine:
            when = "alone, one at a time" if effect.needs_quiet else "in parallel"
            yield ""
            yield f"{effect} ({when}):"
        yield from (f"  {_line(planned)}" for planned in sorted(mine, key=name_of))
    unasked = sum(not p.asked for p in chosen)
    if unasked:
        yield ""
        yield f"{unasked} more checks: neither the profile nor the file asks for them"
    for incident in ledger.incidents:
        if incident.kind != "dry-run":
            yield ""
            yield incident.message
    yield ""
    yield (
        "load and disrupt run only if the file allows them, and with"
        f" --allow EFFECT --confirm {target.fingerprint}"
    )
    for _, heading, calls in _drills(config, ledger):
        yield ""
        yield heading
        yield from (f"  {call}" for call in calls)


def _chosen(ledger: Ledger) -> list[Planned]:
    return [planned for planned in ledger.plan.values() if planned.selected]


def _drills(config: Config, ledger: Ledger) -> Iterator[tuple[str, str, list[str]]]:
    """The commands of drills by area, so that whoever confirms has seen them."""
    quiet = {planned.suite for planned in _chosen(ledger) if planned.effect.needs_quiet}
    for area in areas():
        if area.drills and area.name in quiet:
            heading, *calls = list(area.drills.commands(config)) or [""]
            if heading:
                yield area.name, heading, [call for call in calls if call.strip()]


def _line(planned: Planned) -> str:
    note = ""
    if planned.settled and planned.reason:
        note = f"  {planned.settled}: {planned.reason}"
    return f"{name_of(planned)}{note}"
