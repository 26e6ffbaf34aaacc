"""The story of a drill, for the report: what was changed, who answered, who was not served."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from readiness.measurement import Moment
from readiness.probes.deployment.change import Change
from readiness.probes.deployment.drill import Drilled
from readiness.probes.prober.observation import Observation
from readiness.probes.prober.plan import Sample
from readiness.probes.text import listed

# Failures closer to each other than this are told as one stretch.
_APART_S: Final = 0.5


def timeline(drilled: Drilled) -> tuple[Moment, ...]:
    """The moments of a drill, in order; seconds count from its first request."""
    began = drilled.whole.samples[0].due
    moments = [Moment(0.0, f"steady: release {drilled.origin} answers", good=True)]
    for change in drilled.changes:
        moments += [_at(moment, began) for moment in _of_change(change)]
    moments += [_at(moment, began) for moment in _failures(drilled.whole)]
    if not drilled.restored.already:
        moments.append(Moment(drilled.restored.began - began, "put back: the command starts"))
        moments.append(
            Moment(drilled.restored.arrived - began, f"put back: {drilled.origin} answers")
        )
    return tuple(sorted(moments, key=lambda moment: moment.at_s))


def _at(moment: Moment, began: float) -> Moment:
    return Moment(moment.at_s - began, moment.label, moment.good)


def _of_change(change: Change) -> Iterator[Moment]:
    """On the clock of the record."""
    yield Moment(change.began, f"{change.name}: the command starts")
    if change.first_seen_s is not None:
        yield Moment(
            change.began + change.first_seen_s, f"{change.goal} answers for the first time"
        )
    last = [s.ended for s in change.seen.samples if s.version == change.before]
    if last and not change.problem:
        yield Moment(max(last), f"{change.before} answers for the last time")
    if change.told_s is not None:
        yield Moment(change.began + change.told_s, f"{change.name}: the tool says it is done")
    for (_, before), (at, count) in zip(change.counts, change.counts[1:], strict=False):
        if count != before:
            yield Moment(at, f"{count} replicas serve, after {before}")
    if change.problem:
        yield Moment(change.ended, f"{change.name}: broken off, {change.problem}")


def _failures(seen: Observation) -> Iterator[Moment]:
    for stretch in _stretches(seen.failed):
        kinds = Counter(sample.problem for sample in stretch)
        told = listed(f"{count} x {problem}" for problem, count in kinds.most_common())
        yield Moment(stretch[0].due, f"requests fail: {told}", good=False)
        yield Moment(max(s.due for s in stretch) + seen.plan.period_s, "all answered", good=True)


def _stretches(failed: tuple[Sample, ...]) -> list[list[Sample]]:
    """Failures one after the other."""
    found: list[list[Sample]] = []
    for sample in failed:
        if not found or sample.due - found[-1][-1].due > _APART_S:
            found.append([])
        found[-1].append(sample)
    return found
