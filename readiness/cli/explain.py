"""`readiness list` and `readiness explain`: the catalogue for people and machines."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from readiness.cli.terminal import emit, fitted
from readiness.model.check import CheckSpec
from readiness.model.errors import UsageError, did_you_mean
from readiness.run import catalogue
from readiness.run.catalogue_file import FaultNote


def show_judgements(config: Path | None) -> None:
    """Print every judgement of every check, with the faults that prove it."""
    emit("text", None, _judgements(catalogue.entries(_own(config))))


def _judgements(entries: Iterable[catalogue.Entry]) -> Iterator[str]:
    for entry in entries:
        for key in entry.spec.judgements:
            faults = [fault.name for fault in entry.faults if key in fault.misses[entry.spec.id]]
            yield f"{f'{entry.spec.id}:{key}':<58} {', '.join(faults) or 'no fault'}"


def show_all(config: Path | None, form: str) -> None:
    """Print every check, as `text`, `json` or `markdown`.

    Raises:
        UsageError: a module cannot be imported.
    """
    entries = catalogue.entries(_own(config))
    if form == "json":
        click.echo(json.dumps([_as_json(entry) for entry in entries], indent=1))
    elif form == "markdown":
        click.echo(markdown(entries), nl=False)
    else:
        specs = [entry.spec for entry in entries]
        rows = (f"{s.id:<36} {s.severity:<8} {s.effect:<8}  {s.title}" for s in specs)
        emit("text", None, rows)


def show_one(name: str, config: Path | None, form: str = "text") -> None:
    """Print what a check is, why, how to fix it, and what proves it; as `text` or `json`.

    Raises:
        UsageError: there is no such check.
    """
    entries = {entry.spec.id: entry for entry in catalogue.entries(_own(config))}
    plain = name.partition("[")[0]
    if plain not in entries:
        hint = did_you_mean(plain, entries)
        raise UsageError(
            f"unknown check {plain!r}" + (f". {hint}" if hint else ""),
            where="readiness explain",
            remedy="list all checks: readiness list",
        )
    entry = entries[plain]
    if form == "json":
        click.echo(json.dumps(_explained(entry), indent=1))
    else:
        emit("text", None, _explain(entry))


def _explain(entry: catalogue.Entry) -> Iterator[str]:
    spec = entry.spec
    yield from (spec.id, spec.title, "")
    yield f"severity  {spec.severity}"
    yield f"effect    {spec.effect}"
    yield f"judged    {f'once for each {spec.each}' if spec.each else 'once'}"
    yield f"judges    {', '.join(spec.judgements) or 'not declared'}"
    yield from ("", "Why it matters", *_indented(spec.why), "")
    yield from ("How to fix it", *_indented(spec.fix), "", "Proven by")
    yield from (f"  {fault.name}: {fault.story}{_needs(fault)}" for fault in entry.faults)
    if not entry.faults:
        yield "  no fault (a check of your own)"


def markdown(entries: list[catalogue.Entry]) -> str:
    """The catalogue as one page of documentation."""
    lines = ["<!-- Made by `readiness list --format markdown`; do not edit. -->", "# Checks", ""]
    suite = ""
    for entry in entries:
        spec = entry.spec
        if spec.suite != suite:
            suite = spec.suite
            lines += [f"## {suite}", ""]
        lines += [
            f"### `{spec.id}`",
            "",
            f"{spec.title}",
            "",
            f"*{_kind(spec)}*",
            "",
            f"**Why.** {spec.why}",
            "",
            *_fix(spec.fix),
            "",
            f"**Judges** {', '.join(f'`{key}`' for key in spec.judgements)}; **proven by**",
            "",
            *(f"* `{fault.name}`: {fault.story}{_needs(fault)}" for fault in entry.faults),
            "",
        ]
    return "\n".join(lines)


def _kind(spec: CheckSpec) -> str:
    """Severity, profile, effect and what it is judged on, in a line."""
    words = [spec.severity.value, f"profile {'core' if spec.core else 'full'}"]
    words.append(f"effect {spec.effect}")
    if spec.each:
        words.append(f"once for each {spec.each}")
    if spec.needs:
        words.append(f"needs {', '.join(f'`{key}`' for key in spec.needs)}")
    return ", ".join(words)


def _fix(fix: str) -> list[str]:
    """As it is printed in a terminal: its indented lines are commands, or go on with a sentence."""
    if "\n" not in fix:
        return [f"**How to fix.** {fix}"]
    return ["**How to fix**", "", "```text", *fix.splitlines(), "```"]


def _needs(fault: FaultNote) -> str:
    return f" Needs {fault.needs}." if fault.needs else ""


def _as_json(entry: catalogue.Entry) -> dict[str, object]:
    spec = entry.spec
    return {
        "id": spec.id,
        "suite": spec.suite,
        "title": spec.title,
        "severity": spec.severity,
        "effect": spec.effect,
        "failure_title": spec.failure_title,
        "why": spec.why,
        "fix": spec.fix,
        "judgements": list(spec.judgements),
        "faults": [fault.name for fault in entry.faults],
    }


def _explained(entry: catalogue.Entry) -> dict[str, object]:
    spec = entry.spec
    proofs = [
        {"name": f.name, "story": f.story, "needs": f.needs, "misses": sorted(f.misses[spec.id])}
        for f in entry.faults
    ]
    more = {"each": spec.each, "needs": list(spec.needs), "core": spec.core}
    return _as_json(entry) | more | {"explains": list(spec.explains), "faults": proofs}


def _own(config: Path | None) -> list[Path]:
    """The folders of the user's checks; empty if no configuration was named."""
    if config is None:
        return []
    from readiness.config.loading import configured

    loaded = configured(config)
    return [loaded.path.parent / name for name in loaded.config.gate.suites]


def _indented(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from fitted(f"  {line}" if line else "")
