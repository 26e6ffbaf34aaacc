"""The long account of a run on the terminal: every finding, every cause, or one whole check."""

from collections.abc import Iterable, Iterator, Sequence

from readiness.model import figures
from readiness.model.clean import clean, line, no_command
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord
from readiness.report import brief
from readiness.report.layout import NARROWEST, Paint, painter, wrap
from readiness.report.richtext import rich
from readiness.report.steps import Step, steps
from readiness.report.view import HEADINGS, ORDER, SHAPES, tally

_FINDINGS = ORDER[:5]


def details(record: RunRecord, *, width: int, color: bool) -> str:
    """Every reason, area and finding, worst first; what passed is counted."""
    return _text(_details(record, max(width, NARROWEST), painter(color)))


def causes(record: RunRecord, *, width: int, color: bool) -> str:
    """Everything to do, in order, each with its whole remedy and the checks that it releases."""
    return _text(_causes(steps(record), max(width, NARROWEST), painter(color)))


def one(checks: Sequence[CheckResult], *, width: int, color: bool) -> str:
    """Everything that the record has of these checks."""
    width, paint = max(width, NARROWEST), painter(color)
    last = {(check.id, check.fix): check for check in checks}
    return _text(
        row
        for check in checks
        for row in _one(check, width, paint, with_fix=check is last[check.id, check.fix])
    )


def _text(rows: Iterable[str]) -> str:
    return "\n".join(map(no_command, rows)).strip("\n") + "\n"


def _details(record: RunRecord, width: int, paint: Paint) -> Iterator[str]:
    for reason in record.reasons:
        yield from wrap(f"• {line(reason, 2000)}", width, "  ")
    yield ""
    found = brief.areas(record)
    widest = min(max((len(area.name) for area in found), default=0), width // 3)
    for area in found:
        mark = SHAPES[area.worst] if area.worst else "○"
        words = tally(area.counts) if any(area.counts.values()) else area.note
        lead = f"{mark} {area.name.ljust(widest)}  "
        yield from wrap(words, width, " " * len(lead), lead)
    yield from wrap(f"all: {tally(record.counts)}", width, "  ", "  ")
    for outcome in _FINDINGS:
        mine = [check for check in record.checks if check.outcome is outcome]
        if mine:
            yield from ("", paint(f"{HEADINGS[outcome]} ({len(mine):,})", "bold"))
        fixed: set[tuple[str, str]] = set()
        for check in mine:
            yield from _finding(check, width, paint, with_fix=(check.id, check.fix) not in fixed)
            fixed.add((check.id, check.fix))


def _finding(check: CheckResult, width: int, paint: Paint, *, with_fix: bool) -> Iterator[str]:
    name = wrap(f"{SHAPES[check.outcome]} {line(check.name, 300)}", width, "  ")
    yield from (paint(row, check.outcome) for row in name)
    yield from wrap(line(check.message, 2000) or line(check.headline, 300), width, "  ", "  ")
    yield from _decided(check, width)
    if not with_fix or check.outcome is Outcome.WAIVED:
        return
    if check.outcome in brief.UNJUDGED:
        for remedy in dict.fromkeys(cause.remedy for cause in check.causes if cause.remedy):
            yield from _rich(remedy, width, "  → ")
    else:
        yield from _run(check.commands, "  → ")
        yield from _rich(check.fix, width, "  → ")


def _run(commands: Iterable[str], lead: str) -> Iterator[str]:
    """What to paste for this failure; the names that a fix cannot know are in it."""
    yield from (f"{lead}{line(command, 4000)}" for command in commands)


def _decided(check: CheckResult, width: int) -> Iterator[str]:
    """The decisions on a check, and the failures that explain it."""
    for decision in (check.waiver, check.decision):
        if decision:
            by = f", approved by {line(decision.approver, 100)}" if decision.approver else ""
            text = (
                f"{decision.kind}: {line(decision.reason, 500)}"
                f" ({line(decision.owner, 100)}{by}, until {decision.expires})"
            )
            yield from wrap(text, width, "  ", "  ")
    if check.explained_by:
        names = ", ".join(line(name, 300) for name in check.explained_by)
        yield from wrap(f"explained by {names}", width, "  ", "  ")


def _causes(todo: Sequence[Step], width: int, paint: Paint) -> Iterator[str]:
    if not todo:
        yield "Nothing to do: nothing that decides failed or is missing."
    for number, step in enumerate(todo, 1):
        lead = f"{number:>2} {step.severity.upper():<8} "
        indent = " " * len(lead)
        yield from (paint(row, "bold") for row in wrap(brief.said(step), width, indent, lead))
        yield from _run(step.commands, f"{indent[:-2]}→ ")
        yield from _rich(step.remedy, width, f"{indent[:-2]}→ ")
        names = ", ".join(line(check.name, 300) for check in (*step.checks, *step.explained))
        yield from wrap(f"unblocks {step.unblocks}: {names}", width, indent, indent)
        yield ""


def _one(check: CheckResult, width: int, paint: Paint, *, with_fix: bool) -> Iterator[str]:
    """Everything of one check; why and how to fix it stand once below all its subjects."""
    name = wrap(f"{SHAPES[check.outcome]} {line(check.name, 300)}", width, "  ")
    yield from (paint(row, check.outcome) for row in name)
    yield from wrap(line(check.headline, 300), width, "  ", "  ")
    decides = "" if check.decides else ", does not decide"
    took = f", took {figures.duration(check.duration_s)}" if check.duration_s else ""
    told = f"{check.outcome}{decides}; {check.severity}, effect {check.effect}{took}"
    yield from wrap(told, width, "  ", "  ")
    if check.message:
        yield from ("", *wrap(line(check.message, 4000), width, "  ", "  "))
    yield from _decided(check, width)
    if check.causes:
        yield from ("", paint("  Could not be judged because", "bold"))
    for cause in check.causes:
        yield from wrap(f"• {line(cause.what, 2000)}", width, "    ", "  ")
        yield from _rich(cause.remedy, width, "    → ")
    if check.measurements:
        yield from ("", paint("  Measured", "bold"))
    for measurement in check.measurements:
        yield from _measured(measurement, width)
    for heading, text in (("Why it matters", check.why), ("How to fix it", check.fix)):
        if text and with_fix:
            yield from ("", paint(f"  {heading}", "bold"), *_rich(text, width, "  "))
    yield ""


def _measured(measurement: Measurement, width: int) -> Iterator[str]:
    observed, limit = figures.observed_and_limit(
        measurement.value, measurement.limit, measurement.unit
    )
    decided = measurement.limit.setting if measurement.limit else ""
    allowed = f"; limit {limit}" if limit else ""
    allowed += f" ({line(decided, 200)})" if decided else ""
    mark = "✗" if measurement.is_missed else "✓" if measurement.limit else "·"
    text = f"{mark} {line(measurement.name, 200)}: {observed}{allowed}"
    yield from wrap(text, width, "    ", "  ")
    source = line(measurement.source, 1000) or "source not given"
    samples = f"n={figures.number(measurement.samples)}"
    yield from wrap(f"{samples}, {figures.when(measurement.at)}, {source}", width, "    ", "    ")


def _rich(text: str, width: int, lead: str) -> Iterator[str]:
    """A why, fix or remedy; its commands are not wrapped, so that they can be copied."""
    indent = " " * len(lead)
    for block in rich(text):
        if block.kind == "code":
            for row in clean(block.spans[0].text, 4000).split("\n"):
                yield from _pasted(f"{indent}  {row}", width)
        else:
            words = "".join(span.text for span in block.spans)
            yield from wrap(words, width, indent, lead)
        lead = indent


def _pasted(row: str, width: int) -> list[str]:
    """A row of a block; only a sentence among the commands is wrapped."""
    if len(row) <= width or brief.is_pasted(row):
        return [row]
    lead = row[: len(row) - len(row.lstrip())]
    return wrap(row.strip(), width, f"{lead}  ", lead)
