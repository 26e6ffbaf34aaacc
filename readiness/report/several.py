"""One summary over the records of several targets: terminal, Markdown and a page."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from readiness.model import figures
from readiness.model.clean import line, no_command
from readiness.model.record import RunRecord, Verdict
from readiness.model.verdict import ExitCode, exit_code
from readiness.report import brief
from readiness.report.compare import RunLine
from readiness.report.html import environment
from readiness.report.layout import painter, wrap
from readiness.report.markdown import escape
from readiness.report.pull_request import fenced
from readiness.report.steps import Step, steps
from readiness.report.view import VERDICT_SHAPES

PAGE: Final = "summary.html"
MARKDOWN: Final = "summary.md"
_SHOW: Final = "readiness show --check"
_FIRST_STEPS: Final = 3
_OLD: Final = timedelta(days=1)
_WORST_FIRST: Final = (Verdict.NOT_READY, Verdict.INCOMPLETE, Verdict.READY)
_CODES: Final = (ExitCode.NOT_READY, ExitCode.INTERRUPTED, ExitCode.INCOMPLETE, ExitCode.READY)


@dataclass(frozen=True, slots=True)
class StepLine:
    """One of the first steps of a target: with advice, or with a command."""

    severity: str
    said: str
    advice: str
    command: str


@dataclass(frozen=True, slots=True)
class Target:
    """A target in the summary.

    Attributes:
        path: its record.
        page: its page beside the record; None if there is none.
        run: the run as a line.
        answer: may it be shipped.
        todo: what to do, in order.
        note: what makes its verdict weaker than it looks.
    """

    path: Path
    page: Path | None
    record: RunRecord
    run: RunLine
    answer: str
    todo: tuple[Step, ...]
    note: str

    @property
    def first(self) -> Iterator[StepLine]:
        """What to do first."""
        named = _SHOW.replace("show", f"show {shlex.quote(str(self.path))}")
        for step in self.todo[:_FIRST_STEPS]:
            advice = brief.advice(step)
            command = "" if advice else line(brief.command(step), 500)
            # Without a path it would look into the record of this folder.
            if command.startswith(_SHOW):
                command = named + command.removeprefix(_SHOW)
            yield StepLine(step.severity.value, brief.said(step, 300), advice, command)

    @property
    def more(self) -> int:
        """How many steps follow."""
        return max(0, len(self.todo) - _FIRST_STEPS)

    def link(self, folder: Path) -> str:
        """The address of its page, relative to a folder; empty if there is none."""
        if self.page is None:
            return ""
        relative = Path(os.path.relpath(self.page.resolve(), folder.resolve()))
        return "/".join(map(_quoted, relative.parts))


def targets(records: Sequence[tuple[Path, RunRecord]]) -> tuple[Target, ...]:
    """The targets of the summary, those that are not READY first.

    Args:
        records: the records that were read, with their paths.
    """
    newest = max(figures.in_utc(record.run.started) for _, record in records)
    found = [_target(path, record, newest - _OLD) for path, record in records]
    return tuple(sorted(found, key=lambda one: _WORST_FIRST.index(one.record.verdict)))


def code(found: Sequence[Target]) -> ExitCode:
    """The worst exit code: NOT READY, then interrupted, then INCOMPLETE."""
    codes = {exit_code(target.record) for target in found}
    return next(code for code in _CODES if code in codes)


def text(found: Sequence[Target], *, width: int, color: bool, page: str) -> str:
    """For a terminal: each target with its first steps, and in the last line the worst verdict."""
    paint = painter(color)
    rows: list[str] = []
    for target in found:
        head = f"{target.run.shape} {target.run.verdict}"
        said = f"{target.run.title} · {target.run.coverage}, profile {target.run.profile}"
        first, *others = wrap(said, width, "    ", f"{head}  ")
        rows += [paint(head, target.record.verdict.value) + first.removeprefix(head), *others]
        rows += wrap(target.note, width, "       ", "    !! ") if target.note else []
        for step in target.first:
            rows += wrap(step.said, width, " " * 13, f"    {step.severity.upper():<8} ", rows=2)
            rows += wrap(step.advice, width, " " * 13, " " * 11 + "→ ", rows=2)
            rows += [f"      $ {step.command}"] if step.command else []
        rows += [f"    and {target.more:,} more: readiness show {target.path}"] * bool(target.more)
        rows += [f"    Page {target.page}"] if target.page else []
        rows.append("")
    worst = found[0].record.verdict
    ready = sum(target.record.verdict is Verdict.READY for target in found)
    rows.append(f"Page {page}")
    head = paint(f"{VERDICT_SHAPES[worst]} {worst}", worst.value)
    rows.append(f"{head}  {ready} of {len(found)} targets are READY · exit {int(code(found))}")
    return "\n".join(map(no_command, rows)) + "\n"


def markdown(found: Sequence[Target], folder: Path) -> str:
    """For a job summary; links are relative to the folder that it is written to."""
    return "".join(_markdown(found, folder))


def page(found: Sequence[Target], folder: Path) -> str:
    """As a page: one file, no script; links are relative to the folder that it is written to."""
    worst = found[0].record.verdict
    return (
        environment()
        .get_template("several.html")
        .render(
            verdict=worst.value,
            shape=VERDICT_SHAPES[worst],
            title=_title(found),
            said=_said(found),
            notes=[],
            targets=[(target, target.link(folder)) for target in found],
        )
    )


def _title(found: Sequence[Target]) -> str:
    return f"{len(found)} targets · {max(t.run.began for t in found)}"


def _said(found: Sequence[Target]) -> str:
    ready = sum(target.record.verdict is Verdict.READY for target in found)
    return f"{ready} of {len(found)} targets are READY."


def _markdown(found: Sequence[Target], folder: Path) -> Iterator[str]:
    worst = found[0].record.verdict
    yield f"# {VERDICT_SHAPES[worst]} {worst}: {_said(found)}\n\n"
    yield "| Verdict | Target | Coverage | Profile | Began |\n|---|---|---|---|---|\n"
    for target in found:
        run, link = target.run, target.link(folder)
        title = f"[{escape(run.title)}]({link})" if link else escape(run.title)
        cells = map(escape, (run.coverage, run.profile, run.began))
        yield f"| {run.shape} {run.verdict} | {title} | {' | '.join(cells)} |\n"
    for target in found:
        if target.note or target.todo:
            yield f"\n## {target.run.shape} {escape(target.run.title)}\n\n"
            yield f"> {escape(target.note)}\n\n" if target.note else ""
        for number, step in enumerate(target.first, 1):
            yield f"{number}. **{step.severity.upper()}** {escape(step.said)}\n"
            yield f"   {escape(step.advice)}\n" if step.advice else ""
            yield f"   {fenced(step.command)}\n" if step.command else ""
        if target.more:
            yield f"\nand {target.more:,} more\n"


def _quoted(part: str) -> str:
    return part if part == ".." else quote(part)


def _notes(record: RunRecord, oldest: datetime) -> Iterator[str]:
    if record.run.report_only:
        yield "--report-only: its exit code is 0 whatever the verdict"
    if record.run.selection.partial:
        yield "only some of the checks were selected"
    if record.run.interrupted:
        yield "the run was interrupted"
    if figures.in_utc(record.run.started) < oldest:
        yield "more than a day older than the newest record"


def _target(path: Path, record: RunRecord, oldest: datetime) -> Target:
    todo = steps(record)
    beside = path.with_suffix(".html")
    return Target(
        path=path,
        page=beside if beside.is_file() else None,
        record=record,
        run=RunLine.of(record),
        answer=brief.answer(record),
        todo=todo,
        note="; ".join(_notes(record, oldest)),
    )
