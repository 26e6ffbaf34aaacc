"""The story of a drill, for the report: what was changed, who answered, who was not served."""

from collections.abc import Iterator

from readiness.areas.deployment.drill.automation import TakenBack
from readiness.areas.deployment.drill.change import Change
from readiness.areas.deployment.drill.drill import Drilled
from readiness.lib.prober.moments import dips, failures, since
from readiness.model.measurement import Moment


def timeline(drilled: Drilled, needed: int) -> tuple[Moment, ...]:
    """The moments of a drill, in order; seconds count from its first request.

    Args:
        drilled: the drill.
        needed: how many replicas have to serve.
    """
    began = drilled.whole.samples[0].due
    moments = [Moment(began, f"steady: release {drilled.origin} answers", good=True)]
    for change in drilled.changes:
        moments += _of_change(change)
    moments += dips(drilled.counts, needed)
    moments += failures(drilled.whole)
    restored = drilled.restored
    if not restored.already:
        took_s = restored.arrived - restored.began
        told = f"put back: {drilled.origin} answers for good after {took_s:.2f} s"
        moments.append(Moment(restored.began, told))
    return tuple(sorted(since(began, moments), key=lambda moment: moment.at_s))


def timeline_of_bad(done: TakenBack) -> tuple[Moment, ...]:
    """The moments of a bad release; seconds count from the command that deployed it."""
    moments = [Moment(0.0, f"deploy {done.bad}: the command starts", good=True)]
    if done.noticed_s is not None:
        moments.append(Moment(done.noticed_s, "users notice it", good=False))
    if done.told_s is not None:
        moments.append(Moment(done.told_s, f"the tool ends with exit status {done.status}"))
    if done.over_s is not None:
        moments.append(Moment(done.over_s, "all is as before", good=True))
    return tuple(sorted(moments, key=lambda moment: moment.at_s))


def _of_change(change: Change) -> Iterator[Moment]:
    """On the clock of the record; in one sentence, as the picture shows the order of it."""
    yield Moment(change.began, f"{change.name}: {', '.join(_steps(change))}")
    if change.problem:
        yield Moment(change.ended, f"{change.name}: broken off, {change.problem}")


def _steps(change: Change) -> Iterator[str]:
    """What users and the tool saw of it, in the order in which it came."""
    last = None if change.problem else change.last_before_s
    if change.first_seen_s is None:
        yield f"{change.goal} never answers"
    ends = (
        (change.first_seen_s, f"{change.goal} answers"),
        (last, f"{change.before} for the last time"),
        (change.told_s, "the tool says it is done"),
    )
    for at_s, what in sorted((at_s, what) for at_s, what in ends if at_s is not None):
        yield f"{what} after {at_s:.2f} s"
