"""The view model of a record, which every output renders.

All text in it is clean (see `clean`) and bounded; outputs only escape it for their syntax. Verdict,
reasons, outcomes and counts are those of the record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, Literal

from readiness.model.clean import line
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import Change, Verdict
from readiness.report.groups import Cause, Decided, Reasoned
from readiness.report.overview import Overview
from readiness.report.richtext import RichText, Span
from readiness.report.trends import Past, Point, Trends

Shown = Literal["full", "findings"]
"""Whether the figures of what passed are shown, too."""

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
    "not-applicable": "Became not applicable",
    "still-failing": "Still failing",
    "fixed": "Fixed",
    "figure-moved": "Figures that moved towards their limit",
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
        setting: the key that decided the limit.
        measurement: the exact figures, for charts.
        past: the figures of earlier runs, oldest first.
    """

    name: str
    observed: str
    limit: str
    holds: bool | None
    samples: str
    source: str
    at: str
    setting: tuple[Span, ...]
    measurement: Measurement
    past: tuple[Point, ...] = ()

    def __str__(self) -> str:
        limit = f", limit {self.limit}" if self.limit else ""
        return f"{self.name}: observed {self.observed}{limit}"


@dataclass(frozen=True, slots=True)
class Row:
    """One check on one subject.

    Attributes:
        message: what happened, as plain text; `text` has its code apart.
        left_out: figures that only the record has.
        waiver: who accepted its failure, and until when.
        observed_only: whether a decision says that it does not decide yet.
        follows: the names of failures that explain it.
        past: the same check in earlier runs, oldest first.
    """

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
    text: tuple[Span, ...] = ()
    observed_only: bool = False
    follows: tuple[str, ...] = ()
    past: tuple[Past, ...] = ()

    @property
    def streaks(self) -> tuple[tuple[Outcome, bool, tuple[Past, ...]], ...]:
        """The earlier runs, neighbors of one outcome together; and whether they were whole."""
        streaks = groupby(self.past, lambda past: (past.outcome, past.whole))
        return tuple((outcome, whole, tuple(found)) for (outcome, whole), found in streaks)

    @property
    def urgent_first(self) -> tuple[Figure, ...]:
        """Its figures: those that missed their limit, other judged ones, the rest."""
        rank = {False: 0, True: 1, None: 2}
        return tuple(sorted(self.figures, key=lambda figure: rank[figure.holds]))

    @property
    def needs_reading(self) -> bool:
        """Whether it deserves attention: anything but a plain pass."""
        return self.outcome not in {Outcome.PASS, Outcome.NOT_APPLICABLE}


@dataclass(frozen=True, slots=True)
class Fix:
    """How to fix a failure; `names` are the subjects that it is for, empty for all of the check."""

    names: str
    text: RichText


@dataclass(frozen=True, slots=True)
class Group:
    """One check on all its subjects.

    Attributes:
        fixes: how to fix its failures; empty where none failed.
    """

    id: str
    anchor: str
    suite: str
    requirement: str
    failure_title: str
    severity: str
    effect: str
    decides: bool
    why: RichText
    fixes: tuple[Fix, ...]
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
    def common_figure(self) -> Figure | None:
        """The figure, if each subject passed with a single one of the same name and limit."""
        found = [figure for row in self.rows for figure in row.figures]
        if self.needs_reading or any(len(row.figures) != 1 for row in self.rows):
            return None
        return found[0] if len({(f.name, f.limit) for f in found}) == 1 else None

    @property
    def left_out(self) -> int:
        """How many more figures only the record has."""
        return sum(row.left_out for row in self.rows)

    @property
    def tally(self) -> str:
        """The outcomes of its rows: `1 fail, 3 pass`."""
        return tally(count_rows(self.rows))

    @property
    def needs_reading(self) -> bool:
        """Whether any of its rows deserves attention."""
        return any(row.needs_reading for row in self.rows)

    def only(self, outcome: Outcome, *, observed_only: bool | None = None) -> "Group":
        """The same check, with the rows of one outcome.

        Args:
            outcome: the outcome.
            observed_only: take only rows that decide (False) or do not decide yet (True).
        """
        return self.part(
            row
            for row in self.rows
            if row.outcome == outcome and observed_only in {None, row.observed_only}
        )

    def part(self, rows: Iterable[Row]) -> "Group":
        """The same check, with some of its rows; only the first part has its anchor."""
        kept = tuple(rows)
        first = min(self.rows, key=_place)
        return replace(self, rows=kept, anchor=self.anchor if first in kept else "")


def _place(row: Row) -> tuple[bool, int]:
    """Where a row stands on the page."""
    return row.observed_only, ORDER.index(row.outcome)


@dataclass(frozen=True, slots=True)
class Suite:
    """One area, its counts and its checks.

    Attributes:
        mark: the class of its parts of the page.
        judged: how many checks were judged, in words: `59 of 70 judged`.
    """

    name: str
    anchor: str
    mark: str
    state: str
    reason: str
    judged: str
    counts: Mapping[Outcome, int]
    groups: tuple[Group, ...]

    @property
    def total(self) -> int:
        """The number of checks in the record."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason of the verdict, and the anchor of its check if it is about one."""

    text: str
    anchor: str
    of_check: bool = False


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
    by_key: bool = False


@dataclass(frozen=True, slots=True)
class Checklist:
    """What to do before an item is signed, and whether it is."""

    item: str
    signed: bool
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DriftLine:
    """A figure that passed and moves towards its limit; `used` is its share of the limit."""

    name: str
    check: str
    anchor: str
    observed: str
    limit: str
    used: str
    left: str
    measurement: Measurement
    past: tuple[Point, ...]


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
    """Everything that an output shows.

    Attributes:
        overview: the first screen.
        causes: why checks could not be judged, each with the checks that it blocks.
        decisions: what people decided, each with the checks that it covers.
        found_not_applicable: what does not apply by itself, by reason.
        not_asked: what neither the profile nor the file asks for, by reason.
        trends: the earlier runs of the target with this profile.
        drifts: the figures that moved towards their limits over them.
        settings: the number of keys that the file or the environment sets.
        configuration: their tables and themselves, as lines.
    """

    verdict: Verdict
    shape: str
    title: str
    overview: Overview
    reasons: tuple[Reason, ...]
    banners: tuple[str, ...]
    note: str
    facts: tuple[tuple[str, str], ...]
    counts: Mapping[Outcome, int]
    total: int
    suites: tuple[Suite, ...]
    since: Since | None
    incidents: tuple[tuple[str, str], ...]
    causes: tuple[Cause, ...]
    decisions: tuple[Decided, ...]
    found_not_applicable: tuple[Reasoned, ...]
    not_asked: tuple[Reasoned, ...]
    signoffs: tuple[Signoff, ...]
    checklists: tuple[Checklist, ...]
    trends: Trends
    record_sha256: str
    links: tuple[tuple[str, str], ...] = ()
    settings: int = 0
    drifts: tuple[DriftLine, ...] = ()
    configuration: tuple[str, ...] = ()

    def groups(self, outcome: Outcome, *, observed_only: bool | None = None) -> tuple[Group, ...]:
        """The checks with this outcome, those that decide first.

        Args:
            outcome: the outcome.
            observed_only: see `Group.only`.
        """
        kept = (group.only(outcome, observed_only=observed_only) for group in self._groups())
        return tuple(sorted((g for g in kept if g.rows), key=lambda g: not g.decides))

    def observed(self) -> tuple[Group, ...]:
        """The checks that do not decide yet, unless they do not apply."""
        kept = (
            group.part(
                row
                for row in group.rows
                if row.observed_only and row.outcome is not Outcome.NOT_APPLICABLE
            )
            for group in self._groups()
        )
        return tuple(group for group in kept if group.rows)

    def passed(self, suite: Suite) -> tuple[Group, ...]:
        """The checks of an area that passed."""
        kept = (group.only(Outcome.PASS, observed_only=False) for group in suite.groups)
        return tuple(group for group in kept if group.rows)

    def mark(self, suite: str) -> str:
        """The class of the parts of an area."""
        return next((one.mark for one in self.suites if one.name == suite), "")

    @property
    def not_asked_total(self) -> int:
        """The number of checks that are not asked for."""
        return sum(len(group.members) for group in self.not_asked)

    @property
    def rows(self) -> Mapping[str, Row]:
        """The rows by their anchors."""
        return {row.anchor: row for group in self._groups() for row in group.rows}

    def _groups(self) -> Iterable[Group]:
        return (group for suite in self.suites for group in suite.groups)


def by_source(given: Iterable[Figure]) -> tuple[tuple[str, tuple[Figure, ...]], ...]:
    """The figures in their order, neighbors of one source together."""
    return tuple((source, tuple(found)) for source, found in groupby(given, lambda f: f.source))


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
    text = " → ".join(part for part in (before, after) if part)
    return f"{text}; no longer judged: {line(change.lost, 300)}" if change.lost else text
