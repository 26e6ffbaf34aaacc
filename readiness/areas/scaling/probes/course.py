"""The chart and the timeline of a scaling drill, for the report."""

from collections.abc import Iterator

from readiness.areas.scaling.probes.drill import Phase, Scaled
from readiness.lib.prober.judging import lost
from readiness.lib.prober.observation import Slots, failed, failures, replicas, since
from readiness.model.course import Band, Course
from readiness.model.measurement import Moment


def timeline(scaled: Scaled) -> tuple[Moment, ...]:
    """The moments of a drill, in order, in seconds since its first request."""
    began, up, down = scaled.whole.samples[0].due, scaled.up, scaled.down
    moments = [
        Moment(began, f"steady: {scaled.fewest} replicas serve", good=True),
        Moment(up.began, f"the load starts: {scaled.load}"),
        *_arrived(up, "the replicas that the load needs serve"),
        Moment(scaled.load_ended, "the load ends"),
        *(_arrived(down, "the minimum is left") if down else ()),
        *failures(scaled.whole),
    ]
    return tuple(sorted(since(began, moments), key=lambda moment: moment.at_s))


def _arrived(phase: Phase, what: str) -> list[Moment]:
    found = []
    if phase.arrived_s is not None:
        label = f"{what}, after {phase.arrived_s:.2f} s; {phase.last} in the end"
        found.append(Moment(phase.began + phase.arrived_s, label))
    if phase.problem:
        found.append(Moment(phase.ended, f"aborted to protect users: {phase.problem}"))
    return found


def course(scaled: Scaled, needed: int) -> Course:
    """The chart of a drill, in seconds since its first request."""
    whole = scaled.whole
    slots = Slots.of(whole)
    tracks = (
        *replicas(_counts(scaled), slots, needed, f"{needed} needed under load"),
        failed(whole, slots),
    )
    return Course(slots.step_s, tuple(_bands(scaled)), tracks, _better(scaled, needed))


def _phases(scaled: Scaled) -> list[Phase]:
    return [scaled.up, *([scaled.down] if scaled.down else [])]


def _counts(scaled: Scaled) -> list[tuple[float, int]]:
    """The counts of both phases, after the steady count before them."""
    first = (scaled.whole.samples[0].due, scaled.fewest)
    return [first, *((said.asked, said.what) for p in _phases(scaled) for said in p.counts)]


def _bands(scaled: Scaled) -> Iterator[Band]:
    samples = scaled.whole.samples
    began = samples[0].due
    up_s, ended_s = scaled.up.began - began, scaled.load_ended - began
    yield Band(0.0, up_s, "steady")
    yield Band(up_s, ended_s, "under load")
    yield Band(ended_s, samples[-1].due - began, "after the load")


def _better(scaled: Scaled, needed: int) -> tuple[str, ...]:
    found = [*lost({phase.name: phase.seen for phase in _phases(scaled)}), *_short(scaled, needed)]
    if found or scaled.whole.starved or scaled.starved or scaled.whole.failed:
        return tuple(found)
    return ("nothing: no request was lost", *_waited(scaled))


def _short(scaled: Scaled, needed: int) -> Iterator[str]:
    if scaled.up.arrived_s is None:
        yield f"the load needs {needed} replicas, and at most {scaled.up.most} served"
    if scaled.down and scaled.down.arrived_s is None:
        yield f"it did not scale down to {scaled.fewest} replicas: {scaled.down.last} were left"


def _waited(scaled: Scaled) -> Iterator[str]:
    """How long nothing happened before it scaled up, and before it scaled down."""
    for phase, name, what in (
        (scaled.up, "scaling up", "served"),
        (scaled.down, "scaling down", "was removed"),
    ):
        if phase is None or phase.arrived_s is None:
            continue
        first = phase.counts[0].what
        moved = next((s.came - phase.began for s in phase.counts if s.what != first), None)
        if moved is not None:
            yield (
                f"{name} took {phase.arrived_s:.1f} s, of which {moved:.1f} s passed before the"
                f" first replica {what}"
            )
