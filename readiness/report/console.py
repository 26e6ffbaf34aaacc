"""The summary on the terminal."""

import textwrap
from collections.abc import Callable, Iterator
from typing import Final

from readiness.model.clean import no_command
from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord, Verdict
from readiness.report.build import build
from readiness.report.richtext import RichText
from readiness.report.view import HEADINGS, ORDER, SHAPES, Group, View, tally

NARROWEST: Final = 40
_MOST_REASONS: Final = 8
_MOST_FINDINGS: Final = 20
_COLOURS: Final = {
    Verdict.READY.value: "1;32",
    Verdict.NOT_READY.value: "1;31",
    Verdict.INCOMPLETE.value: "1;33",
    Outcome.FAIL.value: "31",
    Outcome.ERROR.value: "33",
    Outcome.NOT_RUN.value: "33",
    Outcome.WAIVED.value: "35",
    Outcome.WARN.value: "33",
    Outcome.PASS.value: "32",
    "bold": "1",
    "soft": "2",
}
_Paint = Callable[[str, str], str]


def summary(record: RunRecord, *, width: int, color: bool, report: str = "") -> str:
    """The summary of a run for a terminal.

    Args:
        record: the run.
        width: columns, at least 40.
        color: whether to use colors.
        report: the path of the page, for the last line.
    """
    view = build(record)
    lines = _lines(view, max(width, NARROWEST), _painter(color), report)
    return "\n".join(map(no_command, lines)) + "\n"


def _painter(color: bool) -> _Paint:
    def paint(text: str, what: str) -> str:
        code = _COLOURS.get(what)
        return f"\x1b[{code}m{text}\x1b[0m" if color and code else text

    return paint


def _lines(view: View, width: int, paint: _Paint, report: str) -> Iterator[str]:
    yield paint(f"{view.shape} {view.verdict}", view.verdict.value)
    yield from _wrap(view.title, width)
    for banner in view.banners:
        yield from (paint(row, "bold") for row in _wrap(f"!! {banner}", width, "   "))
    if view.note:
        yield from _wrap(view.note, width)
    yield ""
    for reason in view.reasons[:_MOST_REASONS]:
        yield from _wrap(f"• {reason.text}", width, "  ")
    if len(view.reasons) > _MOST_REASONS:
        yield f"  and {len(view.reasons) - _MOST_REASONS:,} more reasons"
    yield ""
    yield from _table(view, width, paint)
    for outcome in ORDER[:5]:
        yield from _findings(view, outcome, width, paint)
    if report:
        yield ""
        yield from _wrap(f"Report: {report}", width)


def _table(view: View, width: int, paint: _Paint) -> Iterator[str]:
    shown = [o for o in ORDER if view.counts[o]] or [Outcome.PASS]
    first = max([5, *(len(suite.name) for suite in view.suites)])
    first = min(first, width // 3)
    for suite in view.suites:
        name = textwrap.shorten(suite.name, first, placeholder="…").ljust(first)
        words = tally(suite.counts) if suite.total else suite.state
        if suite.total and suite.state != "verified":
            words = f"{words}; {suite.state}"
        if suite.reason:
            words = f"{words}: {suite.reason}"
        worst = next((o for o in shown if suite.counts[o]), None)
        mark = SHAPES[worst] if worst else "○"
        rows = textwrap.wrap(words, width - first - 4) or [""]
        yield f"{paint(mark, worst.value if worst else 'soft')} {name}  {rows[0]}"
        yield from (" " * (first + 4) + row for row in rows[1:])
    lead = f"  {'all'.ljust(first)}  "
    total = _wrap(tally(view.counts), width, " " * len(lead), lead)
    yield from (paint(row, "bold") for row in total)


def _findings(view: View, outcome: Outcome, width: int, paint: _Paint) -> Iterator[str]:
    groups = view.groups(outcome)
    if not groups:
        return
    yield ""
    yield paint(f"{HEADINGS[outcome]} ({view.counts[outcome]:,})", "bold")
    for group in groups[:_MOST_FINDINGS]:
        yield from _finding(group, outcome, width, paint)
    if len(groups) > _MOST_FINDINGS:
        yield f"  and {len(groups) - _MOST_FINDINGS:,} more checks, in the report"


def _finding(group: Group, outcome: Outcome, width: int, paint: _Paint) -> Iterator[str]:
    for row in group.rows[:_MOST_FINDINGS]:
        name = _wrap(f"{SHAPES[outcome]} {row.name}", width, "  ")
        yield from (paint(part, outcome.value) for part in name)
        yield from _wrap(row.message or group.title, width, "  ", "  ")
        if row.waiver:
            yield from _wrap(row.waiver, width, "  ", "  ")
    if len(group.rows) > _MOST_FINDINGS:
        yield f"  and {len(group.rows) - _MOST_FINDINGS:,} more subjects, in the report"
    if outcome is not Outcome.WAIVED and group.was_measured:
        yield from _fix(group.fix, width)


def _fix(fix: RichText, width: int) -> Iterator[str]:
    lead = "  → "
    for block in fix:
        if block.kind == "code":
            # Commands are not wrapped, so that they can be copied.
            yield from (f"      {row}" for row in block.spans[0].text.split("\n"))
        else:
            text = "".join(span.text for span in block.spans)
            yield from _wrap(text, width, "    ", lead)
        lead = "    "


def _wrap(text: str, width: int, indent: str = "", first: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )
