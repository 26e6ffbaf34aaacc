"""The story of a drill, for the report: what was changed, who answered, who was not served."""

from collections.abc import Iterator

from readiness.measurement import Moment
from readiness.probes.deployment.change import Change
from readiness.probes.deployment.drill import Drilled
from readiness.probes.prober.moments import counts, failures, since


def timeline(drilled: Drilled) -> tuple[Moment, ...]:
    """The moments of a drill, in order; seconds count from its first request."""
    began = drilled.whole.samples[0].due
    moments = [Moment(0.0, f"steady: release {drilled.origin} answers", good=True)]
    for change in drilled.changes:
        moments += since(began, _of_change(change))
    moments += since(began, failures(drilled.whole))
    if not drilled.restored.already:
        moments.append(Moment(drilled.restored.began - began, "put back: the command starts"))
        moments.append(
            Moment(drilled.restored.arrived - began, f"put back: {drilled.origin} answers")
        )
    return tuple(sorted(moments, key=lambda moment: moment.at_s))


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
    yield from counts(change.counts)
    if change.problem:
        yield Moment(change.ended, f"{change.name}: broken off, {change.problem}")
