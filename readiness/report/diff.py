"""What changed between two runs: checks, outcomes, limits, and figures near their limits."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from readiness.model import figures
from readiness.model.evidence import Outcome
from readiness.model.record import Change, Changes, CheckResult, Facts, RunRecord
from readiness.report.trends import used_share
from readiness.report.view import CHANGE_HEADINGS

_Key = tuple[str, str]
# A waived failure still counts as failing: a waiver must not look like a fix.
_BAD: Final = frozenset({Outcome.FAIL, Outcome.WAIVED, Outcome.ERROR, Outcome.NOT_RUN})
_ABSENT: Final = frozenset({Outcome.NOT_APPLICABLE})
# A figure has moved if it uses this share of its limit, and so many times as much as before.
_USED: Final = 0.5
_TIMES: Final = 1.5
_RANK: Final = {kind: rank for rank, kind in enumerate(CHANGE_HEADINGS)}


def changes(old: RunRecord, new: Facts) -> Changes:
    """The differences between two runs, most urgent first.

    A check that failed, is waived, could not be judged or did not run counts as failing; one that
    is not applicable counts as absent. `before` of one that still fails is the first day on which
    records show it failing. `lost` says what was judged before and is not any more.
    """
    before, after = _by_key(old), _by_key(new)
    since = _failing_since(old)
    found = [
        change
        for key in sorted(before.keys() | after.keys())
        for change in _compare(key, before.get(key), after.get(key), since)
    ]
    not_asked = {(one.id, one.subject): one.reason for one in new.not_asked}
    found = [
        change.model_copy(update={"after": f"not asked for: {reason}"})
        if change.kind == "removed" and (reason := not_asked.get((change.check, change.subject)))
        else change
        for change in found
    ]
    return Changes(
        since_run=old.run.id,
        since_release=old.target.release,
        since=old.run.started,
        since_verdict=old.verdict,
        items=tuple(sorted(found, key=lambda c: _RANK[c.kind])),
    )


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
            after=_after(new),
            lost=_lost(old) if kind in {"not-applicable", "removed"} else "",
        )
    if old and new:
        yield from _limits(key, old, new)
        yield from _moved(key, old, new)


def _after(new: CheckResult | None) -> str:
    if new is None:
        return ""
    decision = new.decision
    if new.outcome in _ABSENT and decision:
        return f"{new.outcome} until {decision.expires} ({decision.owner}): {decision.reason}"
    return new.outcome.value


def _lost(old: CheckResult | None) -> str:
    """What was judged then; empty if nothing was."""
    return f'{old.severity} "{old.title}"' if old and old.is_judged else ""


def _kind(
    old: CheckResult | None, new: CheckResult | None
) -> Literal["newly-failing", "not-applicable", "fixed", "still-failing", "new", "removed"] | None:
    was_there = old is not None and old.outcome not in _ABSENT
    is_there = new is not None and new.outcome not in _ABSENT
    was_bad = old is not None and old.outcome in _BAD
    if not is_there:
        if not was_there:
            return None
        return "not-applicable" if new is not None else "removed"
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


def _moved(key: _Key, old: CheckResult, new: CheckResult) -> Iterator[Change]:
    """The figures that came much nearer to their limits, or went past them."""
    before, after = _used(old), _used(new)
    for name in sorted(before.keys() & after.keys()):
        (was, shown_before), (used, shown) = before[name], after[name]
        if used >= _USED and used >= _TIMES * was:
            yield Change(
                check=key[0],
                subject=key[1],
                kind="figure-moved",
                before=f"{name} {shown_before}",
                after=shown,
            )


def _used(check: CheckResult) -> dict[str, tuple[float, str]]:
    """How much of its limit each figure uses, and the figure; those of a name of its own alone."""
    found: dict[str, tuple[float, str]] = {}
    several: set[str] = set()
    for measurement in check.measurements:
        value, limit = measurement.value, measurement.limit
        used = used_share(value, limit) if limit else None
        if limit is None or used is None:
            continue
        if measurement.name in found:
            several.add(measurement.name)
        shown = figures.observed_and_limit(value, limit, measurement.unit)[0]
        found[measurement.name] = (used, shown)
    return {name: figure for name, figure in found.items() if name not in several}
