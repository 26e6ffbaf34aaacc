"""What changed between two runs: checks, outcomes and limits."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from readiness.model import figures
from readiness.model.clean import line, no_command
from readiness.model.evidence import Outcome
from readiness.model.record import Change, Changes, CheckResult, Facts, RunRecord
from readiness.report.view import CHANGE_HEADINGS, change_text

_Key = tuple[str, str]
# A waived failure still counts as failing: a waiver must not look like a fix.
_BAD: Final = frozenset({Outcome.FAIL, Outcome.WAIVED, Outcome.ERROR, Outcome.NOT_RUN})
_ABSENT: Final = frozenset({Outcome.NOT_APPLICABLE})
_RANK: Final = {kind: rank for rank, kind in enumerate(CHANGE_HEADINGS)}


def changes(old: RunRecord, new: Facts) -> Changes:
    """The differences between two runs, most urgent first.

    A check that failed, is waived, could not be judged or did not run counts as failing; one that
    is not applicable counts as absent. `before` of one that still fails is the first day on which
    records show it failing.
    """
    before, after = _by_key(old), _by_key(new)
    since = _failing_since(old)
    found = [
        change
        for key in sorted(before.keys() | after.keys())
        for change in _compare(key, before.get(key), after.get(key), since)
    ]
    return Changes(
        since_run=old.run.id,
        since=old.run.started,
        since_verdict=old.verdict,
        items=tuple(sorted(found, key=lambda c: _RANK[c.kind])),
    )


def render_diff(found: Changes) -> str:
    """The differences as text for a terminal."""
    since = f"run {line(found.since_run, 100)} of {figures.when(found.since)}"
    rows = [f"Since {since} ({found.since_verdict}):"]
    for kind, heading in CHANGE_HEADINGS.items():
        items = [item for item in found.items if item.kind == kind]
        if items:
            rows += ["", f"{heading} ({len(items)})", *map(_row, items)]
    if not found.items:
        rows.append("  nothing changed")
    return "\n".join(map(no_command, rows)) + "\n"


def _row(item: Change) -> str:
    name = f"{item.check}[{item.subject}]" if item.subject else item.check
    text = change_text(item)
    return f"  {line(name, 300)}: {text}" if text else f"  {line(name, 300)}"


def _by_key(facts: Facts) -> dict[_Key, CheckResult]:
    return {(c.id, c.subject): c for c in facts.checks}


def _failing_since(old: RunRecord) -> Mapping[_Key, str]:
    day = f"{figures.in_utc(old.run.started):%Y-%m-%d}"
    since = {(c.id, c.subject): day for c in old.checks if c.outcome in _BAD}
    for item in old.changes.items if old.changes else ():
        if item.kind == "still-failing" and item.before:
            since[item.check, item.subject] = item.before
    return since


def _compare(
    key: _Key, old: CheckResult | None, new: CheckResult | None, since: Mapping[_Key, str]
) -> Iterator[Change]:
    kind = _kind(old, new)
    before = old.outcome.value if old else ""
    if kind == "still-failing":
        before = since[key]
    if kind:
        yield Change(
            check=key[0],
            subject=key[1],
            kind=kind,
            before=before,
            after=new.outcome.value if new else "",
        )
    if old and new:
        yield from _limits(key, old, new)


def _kind(
    old: CheckResult | None, new: CheckResult | None
) -> Literal["newly-failing", "fixed", "still-failing", "new", "removed"] | None:
    was_there = old is not None and old.outcome not in _ABSENT
    is_there = new is not None and new.outcome not in _ABSENT
    was_bad = old is not None and old.outcome in _BAD
    if not is_there:
        return "removed" if was_there else None
    if new is not None and new.outcome in _BAD:
        return "still-failing" if was_bad else "newly-failing"
    if was_bad:
        return "fixed"
    return None if was_there else "new"


def _limits(key: _Key, old: CheckResult, new: CheckResult) -> Iterator[Change]:
    before, after = _limits_by_name(old), _limits_by_name(new)
    # Only if measured both times: a check without an answer has not changed its limit.
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield Change(
                check=key[0],
                subject=key[1],
                kind="limit-changed",
                before=f"{name} {' and '.join(before[name])}",
                after=" and ".join(after[name]),
            )


def _limits_by_name(check: CheckResult) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for measurement in check.measurements:
        if measurement.limit is None or isinstance(measurement.limit.value, str):
            continue  # a checksum, for example: its expected value is not a chosen limit
        limit = figures.limit_alone(measurement.limit, measurement.unit)
        found.setdefault(measurement.name, set()).add(limit)
    return {name: sorted(limits) for name, limits in found.items()}
