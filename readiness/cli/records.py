"""`readiness report`, `readiness show` and `readiness diff`: they need only records."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from readiness.cli.run import summary
from readiness.cli.terminal import colored, width
from readiness.model import record as records
from readiness.model.errors import RecordError, UsageError, did_you_mean
from readiness.model.record import CheckResult, RunRecord
from readiness.model.verdict import ExitCode, exit_code, judge
from readiness.report import EvidenceShown, write_all

# What fails now, and what was judged before and is no more.
_WORSE: Final = frozenset({"newly-failing", "removed", "not-applicable"})


def report(paths: Sequence[Path], reports: Path, evidence: EvidenceShown = "full") -> int:
    """Write all reports again from a record, or one summary of several; the exit code is the worst.

    Raises:
        RecordError: a record cannot be read, or its verdict is not what its facts give.
        UsageError: two of them are the same run.
    """
    found = [_verified(path) for path in paths]
    if len(found) > 1:
        return _summary(list(zip(paths, found, strict=True)), reports)
    (record,) = found
    write_all(record, reports, evidence=evidence)
    click.echo(summary(record, reports), nl=False)
    return exit_code(record)


def _verified(path: Path) -> RunRecord:
    record = records.load(path)
    again = judge(record)
    if again.verdict is not record.verdict:
        raise RecordError(
            f"its verdict is {record.verdict}, but its checks give {again.verdict}",
            where=str(path),
            remedy="use the record as the run wrote it",
        )
    return record


def _summary(found: Sequence[tuple[Path, RunRecord]], reports: Path) -> int:
    from readiness.report import files, several

    runs: dict[str, Path] = {}
    for path, record in found:
        if record.run.id in runs:
            raise UsageError(
                f"is the same run as {runs[record.run.id]}",
                where=str(path),
                remedy="name each run once, with the record of each target",
            )
        runs[record.run.id] = path
    targets = several.targets(found)
    page = reports / several.PAGE
    files.make_folder(reports)
    files.write(page, [several.page(targets, reports)])
    files.write(reports / several.MARKDOWN, [several.markdown(targets, reports)])
    shown = several.text(targets, width=width(), color=colored(sys.stdout), page=str(page))
    click.echo(shown, nl=False)
    return several.code(targets)


def attest(path: Path, file: Path, *, verify: bool = False) -> int:
    """Write the statements about a record, or verify one; the exit code is 1 unless it passed.

    Raises:
        RecordError: the record cannot be read or attested, or the statement is not of it.
        UsageError: the file exists and is not a statement.
    """
    from readiness.report import attestation

    if verify:
        passed = attestation.verify(path, file)
        click.echo(f"{file} is the statement of {path}: {'PASSED' if passed else 'FAILED'}")
        return ExitCode.READY if passed else ExitCode.NOT_READY
    written = attestation.attest(path, file)
    click.echo(f"Attested: {', '.join(f'{place} ({what})' for place, what in written.items())}")
    return ExitCode.READY if written[file] == "PASSED" else ExitCode.NOT_READY


def diff(old: Path, new: Path, form: str = "text", *, exit_code: bool = False) -> int:
    """Print what changed from one record to another.

    Args:
        old: the earlier record.
        new: the later record.
        form: `text`, `markdown`, `html` or `json`.
        exit_code: whether to tell it by the exit code.

    Returns:
        With `exit_code`, 1 if a check newly fails or is no longer judged; else 0.

    Raises:
        RecordError: one of them cannot be read.
    """
    from readiness.report import compare

    found = compare.Comparison.of(records.load(old), records.load(new))
    worse = any(item.kind in _WORSE for item in found.changes.items)
    match form:
        case "json":
            told = found.changes.model_dump(mode="json")
            runs = {"to_run": found.new.run.id, "to_verdict": found.new.verdict, "worse": worse}
            click.echo(json.dumps(told | runs, indent=1))
        case "markdown":
            click.echo(compare.markdown(found), nl=False)
        case "html":
            click.echo(compare.page(found), nl=False)
        case _:
            click.echo(compare.text(found, width()), nl=False)
    return int(worse and exit_code)


def show(path: Path, *, only_causes: bool, check: str) -> None:
    """Print a record: everything, what to do and why, or one check.

    Args:
        path: the record.
        only_causes: whether to print only what to do, with the checks that it releases.
        check: an id, or `id[subject]`; empty for all.

    Raises:
        RecordError: the record cannot be read.
        UsageError: it has no such check.
    """
    from readiness.report import console, details

    record = records.load(path)
    columns, color = width(), colored(sys.stdout)
    if check:
        found = _named(record, check)
        click.echo(details.one(found, width=columns, color=color), nl=False)
        return
    told = details.causes if only_causes else details.details
    click.echo(told(record, width=columns, color=color))
    page = path.with_suffix(".html")
    report = str(page) if page.exists() else ""
    click.echo(console.verdict(record, width=columns, color=color, report=report), nl=False)


def _named(record: RunRecord, check: str) -> list[CheckResult]:
    found = [c for c in record.checks if check in {c.id, c.name}]
    if found:
        return found
    asked = next((a for a in record.not_asked if check in {a.id, f"{a.id}[{a.subject}]"}), None)
    if asked:
        raise UsageError(
            f"{check!r} was not judged: {asked.reason}",
            where="--check",
            remedy=f"explain it: readiness explain {asked.id}",
        )
    hint = did_you_mean(check, (name for c in record.checks for name in (c.id, c.name)))
    raise UsageError(
        f"{check!r} is not in this record" + (f". {hint}" if hint else ""),
        where="--check",
        remedy="list its checks: readiness show",
    )
