"""`readiness.md`: for a pull request or a job summary, under 1 MiB."""

import html
import re
from collections.abc import Iterator
from typing import Final

from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord
from readiness.report.build import Room, build
from readiness.report.richtext import RichText
from readiness.report.view import HEADINGS, ORDER, SHAPES, Figure, Group, Row, View

# GitHub rejects a summary above 1 MiB; earlier steps may have written to it.
LARGEST: Final = 900_000
_MOST_REASONS: Final = 50
_LONGEST_SOURCE: Final = 300
_SYNTAX: Final = re.compile(r"[\\`*_\[\]#|~$]|:(?=[a-z/+_])|(?<=\bwww)\.", re.IGNORECASE)
_LEADING: Final = re.compile(r"^(\d*)(?=[-+=.)])")
# GitHub looks for mentions and references after rendering, when escapes are gone; an invisible
# joiner prevents them.
_REFERENCE: Final = re.compile(r"([@#])(?=\w)|(\bGH)(?=-\d)", re.IGNORECASE)
_CUT: Final = (
    "\n> **Truncated**: the rest does not fit into 1 MiB."
    " See `readiness.html` or `readiness.json`.\n"
)


def render(record: RunRecord) -> str:
    """The record as GitHub-flavoured Markdown; truncated between findings if it is too long."""
    view = build(record, Room(source=_LONGEST_SOURCE))
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
    yield f"# {view.shape} {view.verdict}\n\n{escape(view.title)}\n"
    for banner in view.banners:
        yield f"\n> **{escape(banner)}**\n"
    yield from _reasons(view)
    facts = " · ".join(f"{name}: {escape(value)}" for name, value in view.facts)
    yield f"\n{facts}\n"
    yield from _suites(view)
    yield from _changes(view)
    for outcome in ORDER[:3]:
        yield from _findings(view, outcome)
    yield from _decisions(view)
    yield from _signoffs(view)
    yield from _findings(view, Outcome.WARN)
    yield f"\nRecord SHA-256: `{view.record_sha256 or 'none'}`. All times are UTC.\n"


def _reasons(view: View) -> Iterator[str]:
    yield "\n"
    for reason in view.reasons[:_MOST_REASONS]:
        yield f"- {escape(reason.text)}\n"
    if len(view.reasons) > _MOST_REASONS:
        yield f"- and {len(view.reasons) - _MOST_REASONS:,} more reasons\n"


def _suites(view: View) -> Iterator[str]:
    heads = " | ".join(["Suite", "State", *ORDER, "total"])
    marks = " | ".join(["---", "---", *["--:"] * (len(ORDER) + 1)])
    yield f"\n## Suites\n\n| {heads} |\n| {marks} |\n"
    for suite in view.suites:
        state = escape(f"{suite.state}: {suite.reason}" if suite.reason else suite.state)
        counts = " | ".join(f"{suite.counts[o]:,}" for o in ORDER)
        yield f"| {escape(suite.name)} | {state} | {counts} | {suite.total:,} |\n"
    counts = " | ".join(f"{view.counts[o]:,}" for o in ORDER)
    yield f"| **All** | | {counts} | {view.total:,} |\n"
    for kind, message in view.incidents:
        yield f"\n> **{escape(kind)}**: {escape(message)}\n"


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


def _findings(view: View, outcome: Outcome) -> Iterator[str]:
    groups = view.groups(outcome)
    if not groups:
        return
    yield f"\n## {HEADINGS[outcome]} ({view.counts[outcome]:,})\n"
    for group in groups:
        yield _finding(group)


def _finding(group: Group) -> str:
    weight = group.severity if group.decides else f"{group.severity}, does not decide"
    head = f"{SHAPES[group.outcome]} <b>{escape_html(group.title)}</b>"
    name = f"<code>{escape_html(group.id)}</code>"
    rows = "".join(map(_row, group.rows))
    fix = f"\nHow to fix it: {_rich(group.fix)}\n" if group.fix and group.was_measured else ""
    why = f"\nWhy it matters: {_rich(group.why)}\n" if group.why else ""
    summary = f"{head} · {name} · {escape_html(weight)} · {escape_html(group.tally)}"
    return f"\n<details>\n<summary>{summary}</summary>\n\n{rows}{why}{fix}\n</details>\n"


def _row(row: Row) -> str:
    subject = f"**{escape(row.subject)}**: " if row.subject else ""
    waiver = f" ({escape(row.waiver)})" if row.waiver else ""
    figures = "".join(f"  - {_figure(f)}\n" for f in row.figures)
    return f"- {subject}{escape(row.message) or row.outcome}{waiver}\n{figures}"


def _figure(figure: Figure) -> str:
    source = f"<code>{escape(figure.source)}</code>"
    return f"{escape(str(figure))} (n={figure.samples}, {escape(figure.at)}, {source})"


def _rich(blocks: RichText) -> str:
    words = (
        f"<code>{escape(span.text)}</code>" if span.kind == "code" else _prose(span.text)
        for block in blocks
        for span in block.spans
    )
    return "".join(words).strip()


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
    yield from _findings(view, Outcome.WAIVED)


def _signoffs(view: View) -> Iterator[str]:
    if view.signoffs:
        yield "\n## Sign-offs\n\n| Item | Person | Evidence | Release | Expires |\n"
        yield "| --- | --- | --- | --- | --- |\n"
    for signoff in view.signoffs:
        expires = f"{signoff.expires} **{signoff.note}**" if signoff.note else signoff.expires
        cells = (signoff.item, signoff.person, signoff.evidence, signoff.release)
        yield f"| {' | '.join(map(escape, cells))} | {expires} |\n"
