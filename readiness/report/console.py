"""The end of a run on the terminal: at most 25 lines, the verdict in the last."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from readiness.model import figures
from readiness.model.clean import clean, no_command
from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord, Verdict
from readiness.report import brief
from readiness.report.brief import Area
from readiness.report.layout import NARROWEST, Paint, height, painter, wrap
from readiness.report.steps import Step, steps
from readiness.report.view import ORDER, SHAPES, VERDICT_SHAPES

MOST_LINES: Final = 25
_MOST_WARNINGS: Final = 3
_MOST_AREAS: Final = 10
_FEWEST_AREAS: Final = 4
_FIRST_COMMANDS: Final = 3
# Of a file at the start of a message: its name says enough here.
_FOLDER: Final = re.compile(r"^/\S*/(?=[^/\s]+: )")
_LONGEST_COMMAND: Final = 3
"""Rows that a command may take; a longer one is left to `readiness show`."""


def summary(
    record: RunRecord, *, width: int, color: bool, report: str = "", in_ci: bool = False
) -> str:
    """The end of a run for a terminal, at most 25 lines of at least 80 columns.

    Args:
        record: the run.
        width: columns, at least 40.
        color: whether to use colors.
        report: the path of the page.
        in_ci: whether to leave out what is not applicable.
    """
    width = max(width, NARROWEST)
    page = _Page(record, steps(record), width, painter(color), report, in_ci)
    return "\n".join(no_command(row) for row in page.rows()) + "\n"


def verdict(record: RunRecord, *, width: int, color: bool, report: str = "") -> str:
    """The last lines of the same: what decided, the coverage and the verdict."""
    width = max(width, NARROWEST)
    page = _Page(record, steps(record), width, painter(color), report, in_ci=False)
    return "\n".join(no_command(row) for row in page.end()) + "\n"


@dataclass(frozen=True, slots=True)
class _Page:
    record: RunRecord
    todo: tuple[Step, ...]
    width: int
    paint: Paint
    report: str
    in_ci: bool

    def rows(self) -> list[str]:
        """The first of ever shorter versions that fits; the verdict and its reasons always do."""
        end = list(self.end())
        room = MOST_LINES - _total(end, self.width)
        everything = len(self.todo)
        for most, text_rows in product((None, _MOST_AREAS), (2, 1)):
            areas = list(self._areas(most))
            work = self._work(everything, text_rows=text_rows, commands=everything)
            if _total([*areas, *work], self.width) <= room:
                return [*areas, *work, *end]
        # What to do is worth more lines than where.
        work = self._work(everything, text_rows=1, commands=_FIRST_COMMANDS)
        for most in range(_MOST_AREAS, _FEWEST_AREAS - 1, -1):
            areas = list(self._areas(most))
            if _total([*areas, *work], self.width) <= room:
                break
        return [*areas, *self._shortened(room - _total(areas, self.width)), *end]

    def _shortened(self, room: int) -> list[str]:
        """A line for each step, as far as there is room; then commands, the first steps first."""
        shown = len(self.todo)
        if _total(self._work(shown, text_rows=1, commands=0), self.width) > room:
            shown = min(shown, max(1, room - 3))  # heading, the rest, a blank line
        best = self._work(shown, text_rows=1, commands=0)
        for commands in range(1, shown + 1):
            longer = self._work(shown, text_rows=1, commands=commands)
            if _total(longer, self.width) > room:
                break
            best = longer
        return best

    def _areas(self, most: int | None) -> Iterator[str]:
        """A line for each area, or at most so many; those that are well then share one."""
        folded = most is not None
        found = brief.areas(self.record)
        apart = [area for area in found if not area.applies]
        own = [area for area in found if area.applies and not (folded and area.is_well)]
        well = [area for area in found if folded and area.is_well]
        widest = max((len(area.name) for area in own), default=0)
        name = min(widest, self.width // 3)
        own.sort(key=lambda area: ORDER.index(area.worst or Outcome.NOT_RUN))
        # The line "and 1 more" would take the place of that one.
        shown = own if most and len(own) == most + 1 else own[:most]
        for area in sorted(shown, key=lambda area: area.name):
            yield self._area(area, name)
        if len(own) > len(shown):
            yield f"  and {len(own) - len(shown):,} more areas"
        if well:
            checks = sum(area.judged for area in well)
            names = ", ".join(area.name for area in well)
            yield from wrap(f"all {checks:,} passed: {names}", self.width, "  ", "✓ ", rows=2)
        if apart and not self.in_ci:
            names = ", ".join(area.name for area in apart)
            rows = wrap(f"not judged here: {names}", self.width, "  ", "– ", rows=2)
            yield from (self.paint(row, "soft") for row in rows)
        if found:
            yield ""

    def _area(self, area: Area, widest: int) -> str:
        name = area.name if len(area.name) <= widest else f"{area.name[: widest - 1]}…"
        mark = SHAPES[area.worst] if area.worst and not area.is_well else "✓" if area.worst else "○"
        (row,) = wrap(str(area), self.width, "", f"  {name.ljust(widest)}  ", rows=1)
        return self.paint(mark, "pass" if area.is_well else area.worst or "soft") + row[1:]

    def _work(self, shown: int, *, text_rows: int, commands: int) -> list[str]:
        if not self.todo:
            return []
        column = self._column
        heading = "Do this, in order".ljust(self.width - column) + "unblocks".rjust(column)
        rows = [self.paint(heading, "bold")]
        for number, step in enumerate(self.todo[:shown], 1):
            rows += self._step(number, step, text_rows, with_command=number <= commands)
        if shown < len(self.todo):
            rows.append(f"   and {len(self.todo) - shown:,} more: readiness show --causes")
        return [*rows, ""]

    @property
    def _column(self) -> int:
        return max(len("unblocks"), *(len(step.unblocks) for step in self.todo))

    def _step(
        self, number: int, step: Step, text_rows: int, *, with_command: bool
    ) -> Iterator[str]:
        lead = f"{number:>2} {step.severity.upper():<8} "
        released = step.unblocks.rjust(self._column)
        room = self.width - self._column - 2
        said = _FOLDER.sub("…/", brief.said(step))
        first, *others = wrap(said, room, " " * len(lead), lead, rows=text_rows)
        yield self.paint(first.ljust(room), "bold") + "  " + released
        yield from others
        advice = brief.advice(step)
        if with_command and advice:
            yield from wrap(advice, self.width, " " * len(lead), " " * (len(lead) - 2) + "→ ",
                            rows=text_rows)  # fmt: skip
        elif with_command:
            command = f"   $ {clean(brief.command(step), 2000)}"
            if height(command, self.width) > _LONGEST_COMMAND:
                command = f"   $ {brief.show_command(step.checks[0])}"
            yield command

    def end(self) -> Iterator[str]:
        """What decided, how much was judged, and in the last line the verdict."""
        warned = list(brief.warnings(self.record, self.todo))
        for text in warned[:_MOST_WARNINGS]:
            rows = wrap(text, self.width, "   ", "!! ", rows=2)
            yield from (self.paint(row, "bold") for row in rows)
        if len(warned) > _MOST_WARNINGS:
            yield f"   and {len(warned) - _MOST_WARNINGS:,} more: readiness show"
        yield from wrap(brief.answer(self.record), self.width, "  ", rows=2)
        yield from wrap(brief.covered(self.record), self.width, "  ", rows=2)
        if note := self.record.target.note:
            yield from wrap(clean(note), self.width, "  ", rows=2)
        took = f"took {figures.duration(self.record.run.duration_s)}"
        if self.report:
            yield f"Page {self.report} · {took}"
        else:
            yield took[:1].upper() + took[1:]
        verdict = self.record.verdict
        ends = brief.ends(self.record)
        room = self.width - len(f"{VERDICT_SHAPES[verdict]} {verdict}   · {ends}")
        named = wrap(brief.title(self.record), max(room, 10), rows=1)
        head = self.paint(f"{VERDICT_SHAPES[verdict]} {verdict}", Verdict(verdict).value)
        yield f"{head}  {''.join(named)} · {ends}"


def _total(rows: Iterable[str], width: int) -> int:
    return sum(height(row, width) for row in rows)
