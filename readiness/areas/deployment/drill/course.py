"""The picture of a drill: what was changed, who answered, how many served, who was not served."""

from collections.abc import Iterator

from readiness.areas.deployment.drill.automation import TakenBack
from readiness.areas.deployment.drill.better import better, better_automation
from readiness.areas.deployment.drill.drill import Drilled
from readiness.lib.prober.tracks import Slots, answers, failed, replicas
from readiness.model.course import Band, Course


def course(drilled: Drilled, needed: int) -> Course:
    """The course of a drill; seconds count from its first request.

    Args:
        drilled: the drill.
        needed: how many replicas have to serve.
    """
    whole = drilled.whole
    slots = Slots.of(whole)
    tracks = (
        answers(whole, slots),
        failed(whole, slots),
        *replicas(drilled.counts, slots, needed, f"{needed} needed"),
    )
    return Course(slots.step_s, tuple(_bands(drilled)), tracks, better(drilled, needed))


def course_of_bad(done: TakenBack) -> Course | None:
    """The course of a bad release, from the command that deployed it; None if nothing was asked."""
    if not done.seen.samples:
        return None
    slots = Slots.of(done.seen)
    end_s = slots.step_s * slots.count
    over_s = end_s if done.over_s is None else done.over_s
    bands = [Band(0.0, over_s, f"deploy {done.bad}")]
    if over_s < end_s:
        bands.append(Band(over_s, end_s, "as before"))
    tracks = (answers(done.seen, slots), failed(done.seen, slots))
    return Course(slots.step_s, tuple(bands), tracks, better_automation(done))


def _bands(drilled: Drilled) -> Iterator[Band]:
    """A change lasts until the next one begins, or until it was broken off."""
    samples, changes, restored = drilled.whole.samples, drilled.changes, drilled.restored
    began, end_s = samples[0].due, samples[-1].due - samples[0].due
    begins = [change.began - began for change in changes]
    yield Band(0.0, begins[0], "steady")
    for change, begin_s, next_s in zip(changes, begins, [*begins[1:], end_s], strict=True):
        yield Band(begin_s, change.ended - began if change.problem else next_s, change.name)
    if not restored.already:
        yield Band(restored.began - began, end_s, f"put back {drilled.origin}")
