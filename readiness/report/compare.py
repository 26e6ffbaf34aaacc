"""What `readiness diff` shows of two records: for a terminal, as Markdown and as a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from readiness.model import figures
from readiness.model.clean import line, no_command
from readiness.model.record import Changes, RunRecord, Verdict
from readiness.report import brief
from readiness.report.diff import changes
from readiness.report.html import environment
from readiness.report.layout import wrap
from readiness.report.markdown import escape
from readiness.report.view import (
    CHANGE_HEADINGS,
    VERDICT_SHAPES,
    ChangeGroup,
    ChangeLine,
    change_text,
)

TONES: Final = {Verdict.READY: "pass", Verdict.NOT_READY: "fail", Verdict.INCOMPLETE: "error"}
"""The class of a verdict on a page."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a table: all text is clean and bounded."""

    id: str
    verdict: str
    shape: str
    tone: str
    title: str
    began: str
    profile: str
    coverage: str

    @classmethod
    def of(cls, record: RunRecord) -> "RunLine":
        """The line of a record."""
        known = brief.coverage(record)
        return cls(
            id=line(record.run.id, 100),
            verdict=record.verdict.value,
            shape=VERDICT_SHAPES[record.verdict],
            tone=TONES[record.verdict],
            title=brief.title(record),
            began=figures.when(record.run.started),
            profile=line(known.profile, 40),
            coverage=f"{known.judged:,} of {known.required:,} judged",
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, and what changed from one to the other."""

    old: RunRecord
    new: RunRecord
    changes: Changes

    @classmethod
    def of(cls, old: RunRecord, new: RunRecord) -> "Comparison":
        """Compare two records."""
        return cls(old, new, changes(old, new))

    @property
    def notes(self) -> Iterator[str]:
        """What makes the comparison weaker than it looks."""
        for what, before, after in (
            ("targets", _target(self.old), _target(self.new)),
            ("profiles", brief.coverage(self.old).profile, brief.coverage(self.new).profile),
        ):
            if before != after:
                told = f"{line(before, 100)} and {line(after, 100)}"
                yield f"The runs are of different {what}: {told}."
        for which, record in (("earlier", self.old), ("later", self.new)):
            if record.run.selection.partial or record.run.interrupted:
                yield f"The {which} run was partial: what it did not judge says nothing."
        if self.old.verdict is not Verdict.READY:
            yield f"The earlier run was {self.old.verdict}: it is not a READY baseline."

    @property
    def groups(self) -> tuple[ChangeGroup, ...]:
        """The differences by kind, most urgent first."""
        kinds = {
            kind: tuple(item for item in self.changes.items if item.kind == kind)
            for kind in CHANGE_HEADINGS
        }
        return tuple(
            ChangeGroup(
                CHANGE_HEADINGS[kind],
                tuple(
                    ChangeLine(
                        line(f"{i.check}[{i.subject}]" if i.subject else i.check, 300),
                        "",
                        change_text(i),
                    )
                    for i in items
                ),
            )
            for kind, items in kinds.items()
            if items
        )


def text(found: Comparison, width: int) -> str:
    """For a terminal, in lines of at most `width` columns where words allow it."""
    rows = [
        *wrap(f"Since {_run(found.old)}", width, "  "),
        *wrap(f"Now   {_run(found.new)}", width, "  "),
    ]
    for note in found.notes:
        rows += wrap(note, width, "   ", "!! ")
    for group in found.groups:
        rows += ["", f"{group.heading} ({len(group.lines):,})"]
        for item in group.lines:
            told = f"{item.name}: {item.text}" if item.text else item.name
            rows += wrap(told, width, "    ", "  ")
    if not found.groups:
        rows += ["", "Nothing changed."]
    return "\n".join(map(no_command, rows)) + "\n"


def markdown(found: Comparison) -> str:
    """For a comment or a summary."""
    before, after = found.old.verdict, found.new.verdict
    return "".join(
        [
            f"## {VERDICT_SHAPES[before]} {before} → {VERDICT_SHAPES[after]} {after}\n\n",
            f"- Since {escape(_run(found.old))}\n- Now {escape(_run(found.new))}\n",
            *(f"\n> {escape(note)}\n" for note in found.notes),
            *map(_group, found.groups),
            *([] if found.groups else ["\nNothing changed.\n"]),
        ]
    )


def page(found: Comparison) -> str:
    """As a page of its own: one file, no script."""
    worse = sum(len(g.lines) for g in found.groups if g.heading == CHANGE_HEADINGS["newly-failing"])
    since = figures.when(found.old.run.started)
    return (
        environment()
        .get_template("diff.html")
        .render(
            verdict=found.new.verdict.value,
            shape=VERDICT_SHAPES[found.new.verdict],
            title=f"{brief.title(found.new)} · changes since {since}",
            said=f"{worse:,} newly failing; the run before was {found.old.verdict}.",
            notes=list(found.notes),
            runs=[RunLine.of(found.old), RunLine.of(found.new)],
            groups=found.groups,
        )
    )


def _group(group: ChangeGroup) -> str:
    rows = (f"{item.name}: {item.text}" if item.text else item.name for item in group.lines)
    items = "".join(f"- {escape(row)}\n" for row in rows)
    return f"\n{group.heading} ({len(group.lines):,})\n\n{items}"


def _run(record: RunRecord) -> str:
    began = figures.when(record.run.started)
    return f"{record.verdict}: {brief.title(record)}, run {line(record.run.id, 100)} of {began}"


def _target(record: RunRecord) -> str:
    return f"{record.target.name} ({record.target.environment})"
