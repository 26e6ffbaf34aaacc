"""The short account of a run that the terminal and a pull request share.

It is made from the record alone, also from records of earlier versions, which have no coverage and
no causes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.model import verdict
from readiness.model.clean import clean, line
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, Coverage, RunRecord, SuiteState, Verdict
from readiness.model.verdict import exit_code
from readiness.report.richtext import rich
from readiness.report.steps import Step
from readiness.report.view import ORDER

UNJUDGED: Final = frozenset({Outcome.ERROR, Outcome.NOT_RUN})
_ABOUT_A_CHECK: Final = re.compile(r" (?:failed|could not be judged|did not run)\b")
_ABOUT_A_SUITE: Final = re.compile(r"Suite (\S+) is not verified\b")
# A command begins with a program or a statement in lower case...
_PROGRAM: Final = re.compile(r"(?:\$ )?(?:[\w./-]+/)?[a-z][a-z0-9._-]*(?= )")
# ... and has something that prose has not: an option, a pipe, a path, quotes, a placeholder.
_SYNTAX: Final = re.compile(r"\s--?\w|[|;$'\"=(]|\S/\S|\b[A-Z_]{3,}\b")
_QUERY: Final = re.compile(r"(?:select|grant|alter) ")
_LONGEST_COMMAND: Final = 6
# Braces, quotes, signs and options, which a sentence has not; an apostrophe is none of them.
_CODE: Final = re.compile(r"""[{}=<>|$"\\]|;(?=$|  )|(?<!\w)'|'(?!\w)|(?<!\w)--?\w""")
_SENTENCE: Final = re.compile(
    r"\s*(?:(?:[A-Z][a-z]+|A)[ :,][^{]|[a-z][a-z0-9-]*(?:, [a-z][a-z0-9-]*)*: [a-z])"
)
_OPTION: Final = re.compile(r"\s--?[a-zA-Z]")
_TOOLS: Final = re.compile(
    r"(?:apt-get|apt|pip|dnf|brew|kubectl|psql|readiness|systemctl|docker|curl|amtool|promtool"
    r"|grant|alter|create|sudo)\s\S"
)


@dataclass(frozen=True, slots=True)
class Area:
    """One area of a run: `12 of 13 judged, 1 fail`.

    Attributes:
        name: of its suite.
        counts: its checks by outcome.
        judged: how many were measured.
        total: how many apply, or are excused by a decision.
        excused: how many a decision declares not applicable.
        note: why none of them was judged; empty if some were.
        applies: whether any of them applies to the target.
    """

    name: str
    counts: dict[Outcome, int]
    judged: int
    total: int
    excused: int
    note: str
    applies: bool

    @property
    def worst(self) -> Outcome | None:
        """Its worst outcome; None if it has no checks."""
        return next((outcome for outcome in ORDER if self.counts[outcome]), None)

    @property
    def is_well(self) -> bool:
        """Whether all its checks that apply passed."""
        passed = self.counts[Outcome.PASS]
        return self.applies and self.judged == self.total == passed and passed > 0

    def __str__(self) -> str:
        if not self.total:
            return self.note or "not applicable"
        shown = (o for o in ORDER if o not in {Outcome.PASS, Outcome.NOT_APPLICABLE})
        parts = [f"{self.judged:,} of {self.total:,} judged"]
        parts += [f"{self.counts[o]:,} {o}" for o in shown if self.counts[o]]
        if self.excused:
            parts.append(f"{self.excused:,} excused")
        return ", ".join(parts)


def areas(record: RunRecord) -> tuple[Area, ...]:
    """The areas of a run, by name."""
    declared = {suite.name: suite for suite in record.suites}
    names = sorted({check.suite for check in record.checks} | set(declared))
    return tuple(_area(name, record, declared[name].state if name in declared else None,
                       declared[name].reason if name in declared else "")
                 for name in names)  # fmt: skip


def _area(name: str, record: RunRecord, state: SuiteState | None, reason: str) -> Area:
    mine = [check for check in record.checks if check.suite == name]
    counts = dict.fromkeys(ORDER, 0)
    for check in mine:
        counts[check.outcome] += 1
    excused = sum(c.outcome is Outcome.NOT_APPLICABLE and c.decision is not None for c in mine)
    apart = {SuiteState.NOT_APPLICABLE, SuiteState.NOT_ASKED}
    return Area(
        name=line(name, 60),
        counts=counts,
        judged=sum(check.is_judged for check in mine),
        total=len(mine) - counts[Outcome.NOT_APPLICABLE] + excused,
        excused=excused,
        note=": ".join(filter(None, [(state or "").replace("-", " "), line(reason, 300)])),
        applies=state not in apart
        and (not mine or any(c.outcome is not Outcome.NOT_APPLICABLE for c in mine)),
    )


def coverage(record: RunRecord) -> Coverage:
    """How much was judged; computed for a record that does not say it."""
    return record.coverage if record.coverage.profile else verdict.coverage(record)


def covered(record: RunRecord) -> str:
    """`Judged 36 of 45 required (profile core); 5 declared not applicable by 2 decisions`."""
    known = coverage(record)
    first, *others = str(known).split("; ")
    share = f"{first[:1].upper()}{first[1:]} (profile {line(known.profile, 40)})"
    waived = record.counts[Outcome.WAIVED]
    if waived:
        others.append(f"{waived} accepted by a waiver")
    if known.not_asked:
        others.append(f"{known.not_asked} not asked for")
    return "; ".join([share, *others])


def title(record: RunRecord) -> str:
    """`shop 2.4.0 · staging`."""
    target = record.target
    named = " ".join(filter(None, [line(target.name, 60), line(target.release, 40)]))
    return f"{named} · {line(target.environment, 40)}"


def answer(record: RunRecord) -> str:
    """May we ship? One sentence."""
    deciding = [check for check in record.checks if check.decides]
    failed = sum(check.outcome is Outcome.FAIL for check in deciding)
    unjudged = sum(check.outcome in UNJUDGED for check in deciding)
    parts = []
    if failed:
        parts.append(f"{_count(failed, 'required check')} failed")
    if unjudged:
        parts.append(
            f"{unjudged:,} could not be judged"
            if failed
            else f"{_count(unjudged, 'required check')} could not be judged"
        )
    match record.verdict:
        case Verdict.READY:
            return line(" ".join(record.reasons), 400)
        case Verdict.NOT_READY:
            return f"Do not ship: {'; '.join(parts) or 'a required check failed'}."
        case _:
            return f"Do not ship yet: {'; '.join(parts) or 'the run is incomplete'}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def ends(record: RunRecord) -> str:
    """The exit code, and why it is not that of the verdict."""
    why = " (--report-only)" if record.run.report_only else ""
    return f"exit {int(exit_code(record))}{why}"


def warnings(record: RunRecord, todo: Sequence[Step]) -> Iterator[str]:
    """What the reader must know and that no step says: incidents, a partial selection."""
    if record.run.report_only:
        yield "--report-only: this run stops no pipeline, whatever the verdict."
    for note in record.run.notes:
        yield line(note, 600)
    if record.verdict is Verdict.READY:
        return
    released = {line(c.name, 2000) for step in todo for c in (*step.checks, *step.explained)}
    suites = {line(c.suite, 2000) for step in todo for c in step.checks}
    for reason in record.reasons:
        text = line(reason, 2000)
        suite = _ABOUT_A_SUITE.match(text)
        if suite and suite[1] in suites:
            continue
        named = _ABOUT_A_CHECK.split(text, maxsplit=1)[0]
        if named == text or named not in released:
            yield text


def said(step: Step, longest: int = 600) -> str:
    """What happened, on one line: of a failure the check and its message, else the cause."""
    if step.kind == "cause":
        return line(step.text, longest) or "unknown cause"
    check = step.checks[0]
    return f"{line(check.name, 200)}: {line(step.text or check.headline, longest)}"


def command(step: Step) -> str:
    """One command to paste: that of the judgement that missed, if it or its fix has one.

    Where neither the fix nor the remedy has one: the command that shows the whole check.
    """
    if step.commands:
        return line(step.commands[0])
    return _command(step.about) or show_command(step.checks[0])


def show_command(check: CheckResult) -> str:
    """The command that shows a check; its name is quoted for a shell."""
    import shlex

    return f"readiness show --check {shlex.quote(line(check.name, 300))}"


def advice(step: Step) -> str:
    """The remedy of a cause in words, for where it is not a command; empty for a failure."""
    if step.kind == "failure" or _command(step.remedy):
        return ""
    words = (span.text for block in rich(step.remedy) for span in (*block.spans,))
    return line(" ".join(words), 400)


def _command(text: str) -> str:
    rows = [row for row in text.expandtabs(4).splitlines() if row.strip()]
    if len(rows) == 1:
        return _after_words(line(rows[0], 1000))
    for at in range(1, len(rows)):
        if _indent(rows[at]) > _indent(rows[at - 1]):
            return _whole(rows[at:]) if _is_command(rows[at].strip()) else ""
    return ""


def _whole(rows: Sequence[str]) -> str:
    """The command that begins in the first row, with the rows that it goes on in."""
    parts = [clean(rows[0], 1000).strip()]
    statement = bool(_QUERY.match(parts[0]))
    for row in rows[1:_LONGEST_COMMAND]:
        goes_on = parts[-1].endswith(("\\", "|", "&&")) or (
            statement and ";" not in " ".join(parts)
        )
        if not goes_on or _indent(row) < _indent(rows[0]):
            break
        parts.append(clean(row, 1000).strip())
    return " ".join(part.removesuffix("\\").rstrip() for part in parts)


def _after_words(row: str) -> str:
    """The command at the end of a sentence such as `install it: apt-get install pgbackrest`."""
    tail = row.rsplit(": ", 1)[-1].strip().strip("`")
    has_option = tail != row and _PROGRAM.match(tail) and _OPTION.search(tail)
    known = _TOOLS.match(tail) or has_option
    return tail if known and "; or " not in tail else ""


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip())


def is_pasted(row: str) -> bool:
    """Whether a row of a fix is a command or a piece of a file, rather than a sentence."""
    if _SENTENCE.match(row):
        return False
    return _is_command(row.strip()) or bool(_CODE.search(row))


def _is_command(row: str) -> bool:
    unquoted = re.split("['\"]", row, maxsplit=1)[0]
    known = _SYNTAX.search(row) or _QUERY.match(row)
    return bool(_PROGRAM.match(row) and ": " not in unquoted and known)
