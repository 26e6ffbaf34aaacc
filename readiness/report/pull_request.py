"""`readiness.pr.md`: a comment on a pull request, at most 20 kB.

Verdict, coverage, what to do in order, and what changed; everything else is on the page.
"""

import re
from collections.abc import Iterator
from typing import Final

from readiness.model import figures
from readiness.model.clean import clean, line
from readiness.model.record import Change, RunRecord
from readiness.report import brief
from readiness.report.markdown import escape
from readiness.report.steps import Step, steps
from readiness.report.view import CHANGE_HEADINGS, VERDICT_SHAPES, change_text, tally

LARGEST: Final = 20_000
"""Bytes; GitHub takes 65,536 characters, and a comment of that length is read by nobody."""
_MOST_STEPS: Final = 20
_MOST_CHANGES: Final = 10
_MOST_WARNINGS: Final = 5
_LONGEST: Final = 400
_CUT: Final = "\nThe rest is in `readiness.html`.\n"


def render(record: RunRecord) -> str:
    """The record as a short comment; cut between two of its parts if it is too long."""
    kept: list[str] = []
    room = LARGEST - _size(_CUT)
    for chunk in _chunks(record):
        room -= _size(chunk)
        if room < 0:
            kept.append(_CUT)
            break
        kept.append(chunk)
    return "".join(kept)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _chunks(record: RunRecord) -> Iterator[str]:
    todo = steps(record)
    yield f"## {VERDICT_SHAPES[record.verdict]} {record.verdict}: {escape(brief.title(record))}\n\n"
    yield f"**{escape(brief.answer(record))}**\n\n"
    yield f"{escape(brief.covered(record))}\n\n"
    warned = list(brief.warnings(record, todo))
    for text in warned[:_MOST_WARNINGS]:
        yield f"> {escape(line(text, 500))}\n\n"
    if len(warned) > _MOST_WARNINGS:
        yield f"> and {len(warned) - _MOST_WARNINGS:,} more reasons\n\n"
    yield from _work(todo)
    yield from _changes(record)
    took = f"took {figures.duration(record.run.duration_s)}"
    run = f"run {line(record.run.id, 100)}, {figures.when(record.run.finished)}, {took}"
    yield f"{tally(record.counts)} · {escape(run)}\n"


def _work(todo: tuple[Step, ...]) -> Iterator[str]:
    if todo:
        yield "### Do this, in order\n\n"
    for number, step in enumerate(todo[:_MOST_STEPS], 1):
        said = escape(brief.said(step, _LONGEST))
        yield (
            f"{number}. **{step.severity.upper()}** {said} — unblocks {step.unblocks}\n"
            f"{_command(step)}"
        )
    if len(todo) > _MOST_STEPS:
        yield f"\nand {len(todo) - _MOST_STEPS:,} more\n"
    if todo:
        yield "\n"


def _command(step: Step) -> str:
    advice = brief.advice(step)
    if advice:
        return f"   {escape(advice)}\n"
    return f"   {fenced(brief.command(step))}\n"


def fenced(command: str) -> str:
    """A command as a block within an item of a list."""
    command = clean(command, 1000)
    # A fence longer than any in the command, so that nothing of it ends the block.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n   {command}\n   {fence}"


def _changes(record: RunRecord) -> Iterator[str]:
    changes = record.changes
    if changes is None or not changes.items:
        return
    since = f"run {line(changes.since_run, 100)} of {figures.when(changes.since)}"
    yield f"### Since {escape(since)} ({changes.since_verdict})\n\n"
    for kind, heading in CHANGE_HEADINGS.items():
        mine = [item for item in changes.items if item.kind == kind]
        if mine:
            yield f"{heading} ({len(mine):,})\n\n{''.join(map(_change, mine[:_MOST_CHANGES]))}"
            more = len(mine) - _MOST_CHANGES
            yield f"- and {more:,} more\n\n" if more > 0 else "\n"


def _change(item: Change) -> str:
    name = f"{item.check}[{item.subject}]" if item.subject else item.check
    text = change_text(item)
    return f"- {escape(line(name, 300))}{f': {escape(text)}' if text else ''}\n"
