"""What would be needed to do better: only what has a measured reason."""

from collections.abc import Iterator
from itertools import pairwise

from readiness.areas.deployment.drill.automation import TakenBack
from readiness.areas.deployment.drill.change import Change
from readiness.areas.deployment.drill.drill import Drilled
from readiness.lib.prober.behaviour import lost
from readiness.lib.prober.observation import Observation

_FIRST_A_NEW_ONE = "start a new replica before an old one is stopped (maxUnavailable 0, maxSurge 1)"


def better(drilled: Drilled, needed: int) -> tuple[str, ...]:
    """For a drill; nothing where the prober was starved, for then nobody knows.

    Args:
        drilled: the drill.
        needed: how many replicas have to serve.
    """
    found = (*_broken(drilled), *lost(_stretches(drilled)), *_few(drilled, needed))
    if found or drilled.whole.starved or drilled.whole.failed:
        return found
    return ("nothing: no request was lost", *_slowest(drilled))


def better_automation(done: TakenBack) -> tuple[str, ...]:
    """For a release that is known to be bad."""
    shown = sum(sample.version == done.bad for sample in done.seen.samples)
    errors = sum(sample.failed and sample.status > 0 for sample in done.seen.samples)
    found = []
    if done.problem:
        found.append(f"the target did not take {done.bad} back: let it go back by itself when the"
                     " new release does not get well")  # fmt: skip
    if shown or errors:
        found.append(f"{errors} requests were answered with errors, and {shown} by {done.bad}: lead"
                     " users to a new replica only once it answers well what they ask")  # fmt: skip
    if found or done.seen.failed or done.seen.starved:
        return tuple(found)
    return (f"nothing: no user met {done.bad}, and it was over after {done.over_s:.1f} s",)


def _stretches(drilled: Drilled) -> dict[str, Observation]:
    found = {change.name: change.seen for change in drilled.changes}
    if not drilled.restored.already:
        found["put back"] = drilled.whole.between(drilled.changes[-1].ended, float("inf"))
    return found


def _broken(drilled: Drilled) -> Iterator[str]:
    for change in drilled.changes:
        if change.problem:
            yield f"{change.name} did not come to its end: {change.problem}"


def _few(drilled: Drilled, needed: int) -> Iterator[str]:
    least = {c.name: min((n for _, n in c.counts), default=needed) for c in drilled.changes}
    short = [f"{name} ({count} of {needed})" for name, count in least.items() if count < needed]
    if short:
        yield f"{', '.join(short)}: fewer replicas than are needed: {_FIRST_A_NEW_ONE}"


def _slowest(drilled: Drilled) -> Iterator[str]:
    """Which change took longest, and which part of it."""
    known = [(marks[-1][0], change.name, marks) for change in drilled.changes
             if (marks := _marks(change))]  # fmt: skip
    if known:
        took_s, name, marks = max(known)
        part_s, (_, begin), (_, end) = max(
            ((b[0] - a[0], a, b) for a, b in pairwise(marks)), key=lambda part: part[0]
        )
        yield (
            f"the slowest change was {name}, {took_s:.1f} s: {part_s:.1f} s of them lay between"
            f" {begin} and {end}"
        )


def _marks(change: Change) -> list[tuple[float, str]]:
    """What a change is made of, in order; empty if it did not come to its end."""
    ends = (
        (change.first_seen_s, f"the first answer of {change.goal}"),
        (change.last_before_s, f"the last one of {change.before}"),
        (change.told_s, "the word of the tool that it was done"),
    )
    known = sorted((at_s, what) for at_s, what in ends if at_s is not None)
    return [(0.0, "the command"), *known] if len(known) == len(ends) else []
