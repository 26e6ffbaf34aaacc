"""The view model of a record, which every output renders.

All text in it is clean (see `clean`) and bounded; outputs only escape it for their syntax. Verdict,
reasons, outcomes and counts are those of the record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.model.clean import line
from readiness.model.decision import Kind
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import Change, Verdict
from readiness.report.richtext import RichText

SHAPES: Final[Mapping[Outcome, str]] = {
    Outcome.PASS: "✓",
    Outcome.NOT_APPLICABLE: "–",
    Outcome.WARN: "▲",
    Outcome.WAIVED: "◐",
    Outcome.NOT_RUN: "○",
    Outcome.ERROR: "◆",
    Outcome.FAIL: "✗",
}
VERDICT_SHAPES: Final[Mapping[Verdict, str]] = {
    Verdict.READY: "✓",
    Verdict.NOT_READY: "✗",
    Verdict.INCOMPLETE: "◆",
}
# Worst first; every output uses this order.
ORDER: Final = (
    Outcome.FAIL,
    Outcome.ERROR,
    Outcome.NOT_RUN,
    Outcome.WAIVED,
    Outcome.WARN,
    Outcome.PASS,
    Outcome.NOT_APPLICABLE,
)
HEADINGS: Final[Mapping[Outcome, str]] = {
    Outcome.FAIL: "Failed",
    Outcome.ERROR: "Could not be measured",
    Outcome.NOT_RUN: "Did not run",
    Outcome.WAIVED: "Failed, accepted by a waiver",
    Outcome.WARN: "Warnings",
    Outcome.PASS: "Passed",
    Outcome.NOT_APPLICABLE: "Not applicable",
}
CHANGE_HEADINGS: Final[Mapping[str, str]] = {
    "newly-failing": "Newly failing",
    "still-failing": "Still failing",
    "fixed": "Fixed",
    "limit-changed": "Changed limits",
    "new": "New checks",
    "removed": "Removed checks",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement, formatted.

    Attributes:
        name: what was measured.
        observed: the value with its unit.
        limit: its limit, such as `≤ 100 ms`; empty if there is none.
        holds: whether it was met; None if there is no limit.
        samples: the number of observations, with separators.
        source: the query, address or command.
        at: the time; without the date if that is the day of the run.
        measurement: the exact figures, for charts.
    """

    name: str
    observed: str
    limit: str
    holds: bool | None
    samples: str
    source: str
    at: str
    measurement: Measurement

    def __str__(self) -> str:
        limit = f", limit {self.limit}" if self.limit else ""
        return f"{self.name}: observed {self.observed}{limit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One check on one subject."""

    name: str
    subject: str
    anchor: str
    outcome: Outcome
    message: str
    took: str
    started: str
    figures: tuple[Figure, ...]
    left_out: int
    waiver: str

    @property
    def needs_reading(self) -> bool:
        """Whether it deserves attention: anything but a plain pass."""
        return self.outcome not in {Outcome.PASS, Outcome.NOT_APPLICABLE}


@dataclass(frozen=True, slots=True)
class Group:
    """One check on all its subjects."""

    id: str
    anchor: str
    suite: str
    requirement: str
    failure_title: str
    severity: str
    effect: str
    decides: bool
    why: RichText
    fix: RichText
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The title, or the failure title if the check failed."""
        missed = self.outcome in {Outcome.FAIL, Outcome.WARN, Outcome.WAIVED}
        return self.failure_title if missed and self.failure_title else self.requirement

    @property
    def outcome(self) -> Outcome:
        """The worst of its rows."""
        return min((row.outcome for row in self.rows), key=ORDER.index)

    @property
    def was_measured(self) -> bool:
        """Whether to show `fix`: it fixes a failure, not a check without an answer."""
        return self.outcome not in {Outcome.ERROR, Outcome.NOT_RUN}

    @property
    def common_source(self) -> str:
        """The source of all figures, if they share one."""
        sources = {figure.source for row in self.rows for figure in row.figures}
        return sources.pop() if len(sources) == 1 and len(self.rows) > 1 else ""

    @property
    def common_figure(self) -> Figure | None:
        """The figure, if each subject passed with a single one of the same name and limit."""
        found = [figure for row in self.rows for figure in row.figures]
        if self.needs_reading or any(len(row.figures) != 1 for row in self.rows):
            return None
        return found[0] if len({(f.name, f.limit) for f in found}) == 1 else None

    @property
    def left_out(self) -> bool:
        """Whether the record holds more figures than are shown."""
        return any(row.left_out for row in self.rows)

    @property
    def has_figures(self) -> bool:
        """Whether anything was measured."""
        return any(row.figures for row in self.rows)

    @property
    def tally(self) -> str:
        """The outcomes of its rows: `1 fail, 3 pass`."""
        return tally(count_rows(self.rows))

    @property
    def needs_reading(self) -> bool:
        """Whether any of its rows deserves attention."""
        return any(row.needs_reading for row in self.rows)

    def only(self, outcome: Outcome) -> "Group":
        """The same check, with the rows of one outcome."""
        rows = tuple(row for row in self.rows if row.outcome == outcome)
        return Group(
            self.id, self.anchor, self.suite, self.requirement, self.failure_title,
            self.severity, self.effect, self.decides, self.why, self.fix, rows,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite, its counts and its checks."""

    name: str
    anchor: str
    state: str
    reason: str
    counts: Mapping[Outcome, int]
    groups: tuple[Group, ...]

    @property
    def total(self) -> int:
        """The number of checks in the record."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason of the verdict, and the anchor of its check."""

    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A waiver or another decision, its effect and its expiry."""

    kind: Kind
    name: str
    state: str
    owner: str
    approver: str
    reason: str
    expires: str
    note: str


@dataclass(frozen=True, slots=True)
class Signoff:
    """A sign-off; `note` says why it does not count."""

    item: str
    person: str
    evidence: str
    link: bool
    release: str
    expires: str
    note: str


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One difference to the earlier record."""

    name: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Differences of one kind.

    Attributes:
        folded: whether to collapse them: many, and none of them a failure.
    """

    heading: str
    lines: tuple[ChangeLine, ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Since:
    """The earlier run and the differences."""

    text: str
    groups: tuple[ChangeGroup, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that an output shows, in its order."""

    verdict: Verdict
    shape: str
    title: str
    reasons: tuple[Reason, ...]
    banners: tuple[str, ...]
    note: str
    facts: tuple[tuple[str, str], ...]
    counts: Mapping[Outcome, int]
    total: int
    suites: tuple[Suite, ...]
    since: Since | None
    incidents: tuple[tuple[str, str], ...]
    decisions: tuple[Decision, ...]
    signoffs: tuple[Signoff, ...]
    record_sha256: str

    def groups(self, outcome: Outcome) -> tuple[Group, ...]:
        """The checks with this outcome, those that decide first."""
        every = (group for suite in self.suites for group in suite.groups)
        kept = (group.only(outcome) for group in every)
        return tuple(sorted((g for g in kept if g.rows), key=lambda g: not g.decides))


def tally(counts: Mapping[Outcome, int]) -> str:
    """Nonzero counts, worst first: `1 fail, 3 pass`."""
    return ", ".join(f"{counts[o]:,} {o}" for o in ORDER if counts[o]) or "no checks"


def count_rows(rows: Iterable[Row]) -> dict[Outcome, int]:
    """How many rows ended in each outcome."""
    counts = dict.fromkeys(ORDER, 0)
    for row in rows:
        counts[row.outcome] += 1
    return counts


def change_text(change: Change) -> str:
    """The text of a change, after the name of its check."""
    before, after = line(change.before, 300), line(change.after, 300)
    if change.kind == "still-failing":
        return f"{after or 'failing'} since {before}" if before else after
    return " → ".join(part for part in (before, after) if part)
