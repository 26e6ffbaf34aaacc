"""`readiness.md`: for a pull request or a job summary, under 1 MiB."""

import html
import re
from collections.abc import Iterable, Iterator
from typing import Final

from readiness.model.evidence import Outcome
from readiness.model.figures import counted
from readiness.model.record import RunRecord
from readiness.report.build import Room, build
from readiness.report.groups import Member
from readiness.report.overview import Overview
from readiness.report.richtext import RichText, Span
from readiness.report.trends import PastRun, trends
from readiness.report.view import HEADINGS, ORDER, SHAPES, Figure, Fix, Group, Row, View

# GitHub rejects a summary above 1 MiB; earlier steps may have written to it.
LARGEST: Final = 900_000
_MOST_CONDITIONS: Final = 50
_MOST_STEPS: Final = 50
_LONGEST_SOURCE: Final = 300
_SYNTAX: Final = re.compile(r"[\\`*_\[\]#|~$]|:(?=[a-z/+_])|(?<=\bwww)\.", re.IGNORECASE)
_LEADING: Final = re.compile(r"^(\d*)(?=[-+=.)])")
# GitHub looks for mentions and references after rendering, when escapes are gone; an invisible
# joiner prevents them.
_REFERENCE: Final = re.compile(r"([@#])(?=\w)|(\bGH)(?=-\d)", re.IGNORECASE)
_ISSUE: Final = re.compile(r"(\bGH)-(?=\d)", re.IGNORECASE)
# In code, where GitHub looks for neither, entities are enough: a command stays as it is.
_ENTITIES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;"}
)
_CUT: Final = (
    "\n> **Truncated**: the rest does not fit into 1 MiB."
    " See `readiness.html` or `readiness.json`.\n"
)


def render(record: RunRecord, earlier: Iterable[PastRun] = ()) -> str:
    """The record as GitHub-flavoured Markdown; truncated between findings if it is too long.

    Args:
        record: the run.
        earlier: runs of the same target and profile, newest first.
    """
    view = build(record, Room(source=_LONGEST_SOURCE), trends(record, earlier))
    kept: list[str] = []
    room = LARGEST - len(_CUT.encode())
    for chunk in _chunks(view):
        room -= len(chunk.encode("utf-8", "backslashreplace"))
        if room < 0:
            kept.append(_CUT)
            break
        kept.append(chunk)
    return "".join(kept)


def escape(text: str) -> str:
    """Escape text for Markdown: no syntax, HTML, mention or reference takes effect."""
    text = " ".join(text.split())
    text = _REFERENCE.sub(_apart, text)
    text = _SYNTAX.sub(r"\\\g<0>", text)
    text = _LEADING.sub(r"\1\\", text)
    return html.escape(text, quote=False)


def escape_html(text: str) -> str:
    """Escape text inside an HTML tag, where Markdown is not parsed."""
    return html.escape(_REFERENCE.sub(_apart, " ".join(text.split())))


def _apart(match: re.Match[str]) -> str:
    return f"{match[0]}\u2060"


def _chunks(view: View) -> Iterator[str]:
    yield f"# {view.shape} {view.verdict}\n\n{escape(_title(view))}\n"
    yield f"\n**{escape(view.overview.ship)}**\n"
    for banner in view.banners:
        yield f"\n> **{escape(banner)}**\n"
    yield from _summary(view.overview)
    yield from _steps(view.overview)
    yield _more_steps(view.overview)
    yield from _incidents(view)
    yield from _findings(HEADINGS[Outcome.FAIL], view.groups(Outcome.FAIL, observed_only=False))
    yield from _causes(view)
    yield from _findings(HEADINGS[Outcome.WAIVED], view.groups(Outcome.WAIVED, observed_only=False))
    yield from _decisions(view)
    yield from _findings("Observed only, does not decide yet", view.observed())
    yield from _findings(HEADINGS[Outcome.WARN], view.groups(Outcome.WARN, observed_only=False))
    yield from _changes(view)
    yield from _drifts(view)
    yield from _areas(view)
    yield from _signoffs(view)
    yield from _facts(view)


def _title(view: View) -> str:
    top = view.overview
    return f"{view.title} · {top.when}" + (f" · profile {top.profile}" if top.profile else "")


def _summary(top: Overview) -> Iterator[str]:
    yield "\n"
    for text in top.conditions[:_MOST_CONDITIONS]:
        yield f"- {escape(text)}\n"
    if len(top.conditions) > _MOST_CONDITIONS:
        yield f"- and {len(top.conditions) - _MOST_CONDITIONS:,} more reasons\n"
    yield f"- Coverage: {escape(' · '.join(top.coverage))}\n"
    if top.excused or top.excused_by:
        by = "; ".join(link.text for link in top.excused_by)
        yield f"- Not applicable: {escape(': '.join(filter(None, (top.excused, by))))}\n"
    if top.accepted:
        yield f"- Accepted risks: {escape('; '.join(link.text for link in top.accepted))}\n"
    if top.since:
        yield f"- Changes: {escape(top.since)}\n"


def _steps(top: Overview) -> Iterator[str]:
    if top.steps:
        yield "\n## Do this, in order\n\n| # | Severity | What is wrong | First command |"
        yield " Unblocks |\n| --: | --- | --- | --- | --- |\n"
    for step in top.steps[:_MOST_STEPS]:
        # `escape_html`, for a command must not be changed where it stands as code.
        first, *others = step.command.split("\n")
        command = _cell_code(first) if first else escape("".join(s.text for s in step.hint))
        command += f" … {len(others) + 1} lines" if others else ""
        what = f"{_inline(step.text)} ({', '.join(_cell_code(one.text) for one in step.checks)}"
        what += f" and {step.more} more)" if step.more else ")"
        yield (
            f"| {step.number} | {step.severity.upper()} | {what} | {command}"
            f" | {escape(step.unblocks)} |\n"
        )


def _more_steps(top: Overview) -> str:
    more = len(top.steps) - _MOST_STEPS
    return f"\nand {counted(more, 'more step')}\n" if more > 0 else ""


def _incidents(view: View) -> Iterator[str]:
    for kind, message in view.incidents:
        yield f"\n> **{escape(kind)}**: {escape(message)}\n"


def _causes(view: View) -> Iterator[str]:
    if view.causes:
        total = sum(cause.own for cause in view.causes)
        yield f"\n## Could not be judged ({total:,}), by cause\n"
    for cause in view.causes:
        what = escape_html("".join(span.text for span in cause.what))
        head = (
            f"{SHAPES[Outcome.ERROR]} <b>{what}</b> · blocks {counted(len(cause.members), 'check')}"
        )
        remedy = f"{_rich(cause.remedy)}\n\n" if cause.remedy else ""
        rows = "".join(map(_blocked, cause.members))
        yield f"\n<details>\n<summary>{head}</summary>\n\n{remedy}{rows}\n</details>\n"


def _blocked(member: Member) -> str:
    weight = member.severity if member.decides else f"{member.severity}, does not decide"
    more = f": {escape(member.message)}" if member.message else ""
    title, name = escape(member.title), _cell_code(member.name)
    return f"- {SHAPES[member.outcome]} {title} ({weight}, {name}){more}\n"


def _areas(view: View) -> Iterator[str]:
    heads = " | ".join(["Area", "Coverage", *ORDER, "total"])
    marks = " | ".join(["---", "---", *["--:"] * (len(ORDER) + 1)])
    yield f"\n## Areas\n\n| {heads} |\n| {marks} |\n"
    for suite in view.suites:
        state = suite.judged or suite.state
        state = escape(f"{state}: {suite.reason}" if suite.reason else state)
        counts = " | ".join(f"{suite.counts[o]:,}" for o in ORDER)
        yield f"| {escape(suite.name)} | {state} | {counts} | {suite.total:,} |\n"
    counts = " | ".join(f"{view.counts[o]:,}" for o in ORDER)
    yield f"| **All** | | {counts} | {view.total:,} |\n"
    for group in view.not_asked:
        yield f"\nNot asked for ({len(group.members):,}): {escape(group.reason)}\n"


def _facts(view: View) -> Iterator[str]:
    yield f"\n{' · '.join(f'{name}: {escape(value)}' for name, value in view.facts)}\n"
    yield f"\nRecord SHA-256: `{view.record_sha256 or 'none'}`. All times are UTC.\n"


def _changes(view: View) -> Iterator[str]:
    if view.since is None:
        return
    yield f"\n## What changed\n\nCompared with {escape(view.since.text)}.\n"
    for group in view.since.groups:
        rows = (f"{line.name}: {line.text}" if line.text else line.name for line in group.lines)
        items = "".join(f"- {escape(row)}\n" for row in rows)
        heading = f"{group.heading} ({len(group.lines):,})"
        if group.folded:
            yield f"\n<details><summary>{heading}</summary>\n\n{items}\n</details>\n"
        else:
            yield f"\n{heading}\n\n{items}"
    if not view.since.groups:
        yield "\nNothing changed.\n"


def _drifts(view: View) -> Iterator[str]:
    if view.drifts:
        yield "\n## Figures that move towards their limit\n\n"
    for drift in view.drifts:
        left = f"; {drift.left}" if drift.left else ""
        told = f"{drift.name} {drift.observed}, limit {drift.limit} ({drift.used} of it){left}"
        yield f"- {escape(drift.check)}: {escape(told)}\n"


def _findings(heading: str, groups: tuple[Group, ...]) -> Iterator[str]:
    if groups:
        yield f"\n## {heading} ({sum(len(group.rows) for group in groups):,})\n"
    for group in groups:
        yield _finding(group)


def _fix(fix: Fix) -> str:
    names = f" ({escape(fix.names)})" if fix.names else ""
    return f"\nHow to fix it{names}: {_rich(fix.text)}\n"


def _finding(group: Group) -> str:
    weight = group.severity if group.decides else f"{group.severity}, does not decide"
    head = f"{SHAPES[group.outcome]} <b>{escape_html(group.title)}</b>"
    name = f"<code>{escape_html(group.id)}</code>"
    rows = "".join(map(_row, group.rows))
    fix = "".join(map(_fix, group.fixes))
    why = f"\nWhy it matters: {_rich(group.why)}\n" if group.why else ""
    summary = f"{head} · {name} · {escape_html(weight)} · {escape_html(group.tally)}"
    return f"\n<details>\n<summary>{summary}</summary>\n\n{rows}{why}{fix}\n</details>\n"


def _row(row: Row) -> str:
    subject = f"**{escape(row.subject)}**: " if row.subject else ""
    waiver = f" ({escape(row.waiver)})" if row.waiver else ""
    missed = [f for f in row.urgent_first if f.holds is False] or row.figures
    figures = "".join(f"  - {_figure(f)}\n" for f in missed)
    return f"- {subject}{_inline(row.text) or row.outcome}{waiver}\n{figures}"


def _figure(figure: Figure) -> str:
    source = f"<code>{escape(figure.source)}</code>"
    return f"{escape(str(figure))} (n={figure.samples}, {escape(figure.at)}, {source})"


def _rich(blocks: RichText) -> str:
    parts = (
        f"\n\n<pre>{_code(block.spans[0].text)}</pre>\n\n"
        if block.kind == "code"
        else _inline(block.spans)
        for block in blocks
    )
    return "".join(parts).strip()


def _inline(given: Iterable[Span]) -> str:
    return "".join(
        _cell_code(span.text) if span.kind == "code" else _prose(span.text) for span in given
    ).strip()


def _code(text: str) -> str:
    """Commands inside of HTML, where Markdown is not parsed; their lines are kept."""
    return _ISSUE.sub(r"\1&#45;", text.translate(_ENTITIES))


def _cell_code(text: str) -> str:
    """Code in a row of text or of a table, to be copied: nothing invisible is in it."""
    escaped = _SYNTAX.sub(lambda m: m[0] if m[0] == "#" else f"\\{m[0]}", " ".join(text.split()))
    return f"<code>{_code(escaped)}</code>"


def _prose(text: str) -> str:
    # `escape` strips blanks at the ends, which separate the spans.
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() else ""
    return f"{before}{escape(text)}{after}"


def _decisions(view: View) -> Iterator[str]:
    if view.decisions:
        yield "\n## Decisions\n\n| Kind | What | State | Reason | Owner | Approved by | Until |\n"
        yield "| --- | --- | --- | --- | --- | --- | --- |\n"
    for one in view.decisions:
        until = f"{one.expires} **{one.note}**" if one.note else one.expires
        cells = (one.kind, one.what, one.state, one.reason, one.owner, one.approver)
        yield f"| {' | '.join(map(escape, cells))} | {until} |\n"


def _signoffs(view: View) -> Iterator[str]:
    if view.signoffs:
        yield "\n## Sign-offs\n\n| Item | Person | Evidence | Release | Expires |\n"
        yield "| --- | --- | --- | --- | --- |\n"
    for signoff in view.signoffs:
        expires = f"{signoff.expires} **{signoff.note}**" if signoff.note else signoff.expires
        cells = (signoff.item, signoff.person, signoff.evidence, signoff.release)
        yield f"| {' | '.join(map(escape, cells))} | {expires} |\n"
    for one in view.checklists:
        state, box = ("signed", "x") if one.signed else ("not signed", " ")
        steps = "".join(f"- [{box}] {escape(step)}\n" for step in one.steps)
        heading = f"{escape_html(one.item)}: {state}"
        yield f"\n<details><summary>{heading}</summary>\n\n{steps}\n</details>\n"
