"""The view model: what every output shows, worked out once from the record.

All text in it is clean (see `clean`) and bounded; each output only has to escape it for its own
syntax. Nothing here decides anything: verdict, reasons, outcomes and counts are the record's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from readiness.model.clean import line
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
# Worst first: the order in which every output lists and counts.
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
    Outcome.WAIVED: "Failed, and accepted by a waiver",
    Outcome.WARN: "Warnings",
    Outcome.PASS: "Passed",
    Outcome.NOT_APPLICABLE: "Not applicable",
}
CHANGE_HEADINGS: Final[Mapping[str, str]] = {
    "newly-failing": "Newly failing",
    "still-failing": "Still failing",
    "fixed": "Fixed",
    "limit-changed": "Limits that changed",
    "new": "New checks",
    "removed": "Checks that are gone",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement as it is shown.

    Attributes:
        name: what was measured.
        observed: the value with its unit.
        limit: what it was held against, such as `≤ 100 ms`; empty where nothing was.
        holds: whether it held; None where nothing was judged.
        samples: how many observations, with separators.
        source: the query, address or command.
        at: when, without the date where it is the day of the run.
        measurement: the exact figures, for a picture of them.
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
        """Whether it is more than a line among those that passed."""
        return self.outcome not in {Outcome.PASS, Outcome.NOT_APPLICABLE}


@dataclass(frozen=True, slots=True)
class Group:
    """One check on all its subjects: what they have in common is said once."""

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
        """What is true of these rows: the requirement, or what is true where it is not met."""
        missed = self.outcome in {Outcome.FAIL, Outcome.WARN, Outcome.WAIVED}
        return self.failure_title if missed and self.failure_title else self.requirement

    @property
    def outcome(self) -> Outcome:
        """The worst of its rows."""
        return min((row.outcome for row in self.rows), key=ORDER.index)

    @property
    def was_measured(self) -> bool:
        """Whether its `fix` helps: it mends a failure, and not a question without an answer."""
        return self.outcome not in {Outcome.ERROR, Outcome.NOT_RUN}

    @property
    def common_source(self) -> str:
        """The source of all figures, where several subjects were asked the same."""
        sources = {figure.source for row in self.rows for figure in row.figures}
        return sources.pop() if len(sources) == 1 and len(self.rows) > 1 else ""

    @property
    def common_figure(self) -> Figure | None:
        """The one figure, where each subject passed by one of the same name and limit."""
        found = [figure for row in self.rows for figure in row.figures]
        if self.needs_reading or any(len(row.figures) != 1 for row in self.rows):
            return None
        return found[0] if len({(f.name, f.limit) for f in found}) == 1 else None

    @property
    def left_out(self) -> bool:
        """Whether the record holds more figures of it than are shown."""
        return any(row.left_out for row in self.rows)

    @property
    def has_figures(self) -> bool:
        """Whether anything was measured at all."""
        return any(row.figures for row in self.rows)

    @property
    def tally(self) -> str:
        """What its rows ended as, in words: `1 fail, 3 pass`."""
        return tally(count_rows(self.rows))

    @property
    def needs_reading(self) -> bool:
        """Whether any of its rows is more than a pass."""
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
        """How many checks the suite has in the record."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence that decided, and the anchor of the check it is about."""

    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver, what it did, and how long it holds."""

    name: str
    state: str
    owner: str
    approver: str
    reason: str
    expires: str
    note: str


@dataclass(frozen=True, slots=True)
class Signoff:
    """A sign-off, with what is odd about it."""

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
        folded: whether they are many, and none of them is bad news.
    """

    heading: str
    lines: tuple[ChangeLine, ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Since:
    """What the run is compared with, and how it differs."""

    text: str
    groups: tuple[ChangeGroup, ...]


@dataclass(frozen=True, slots=True)
class View:
    """All that an output shows, in the order in which it shows it."""

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
    waivers: tuple[Waiver, ...]
    signoffs: tuple[Signoff, ...]
    record_sha256: str

    def groups(self, outcome: Outcome) -> tuple[Group, ...]:
        """The checks with this outcome, those that decide first."""
        every = (group for suite in self.suites for group in suite.groups)
        kept = (group.only(outcome) for group in every)
        return tuple(sorted((g for g in kept if g.rows), key=lambda g: not g.decides))


def tally(counts: Mapping[Outcome, int]) -> str:
    """Counts in words, worst first, without those that are none: `1 fail, 3 pass`."""
    return ", ".join(f"{counts[o]:,} {o}" for o in ORDER if counts[o]) or "no checks"


def count_rows(rows: Iterable[Row]) -> dict[Outcome, int]:
    """How many rows ended in each outcome."""
    counts = dict.fromkeys(ORDER, 0)
    for row in rows:
        counts[row.outcome] += 1
    return counts


def change_text(change: Change) -> str:
    """What a change says behind the name of its check."""
    before, after = line(change.before, 300), line(change.after, 300)
    if change.kind == "still-failing":
        return f"{after or 'failing'} since {before}" if before else after
    return " → ".join(part for part in (before, after) if part)
