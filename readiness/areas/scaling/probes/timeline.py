"""The story of a drill of scaling, for the report: the load, the replicas, who was not served."""

from readiness.areas.scaling.probes.drill import Scaled
from readiness.areas.scaling.probes.phase import Phase
from readiness.lib.prober.moments import failures, since
from readiness.model.measurement import Moment


def timeline(scaled: Scaled) -> tuple[Moment, ...]:
    """The moments of a drill, in order; seconds count from its first request."""
    began, up, down = scaled.whole.samples[0].due, scaled.up, scaled.down
    moments = [
        Moment(began, f"steady: {scaled.fewest} replicas serve", good=True),
        Moment(up.began, f"the load begins: {scaled.load}"),
        *_arrived(up, "as many replicas serve as it needs"),
        Moment(scaled.load_ended, "the load ends"),
        *(_arrived(down, "there are the fewest again") if down else ()),
        *failures(scaled.whole),
    ]
    return tuple(sorted(since(began, moments), key=lambda moment: moment.at_s))


def _arrived(phase: Phase, what: str) -> list[Moment]:
    found = []
    if phase.arrived_s is not None:
        told = f"{what}, after {phase.arrived_s:.2f} s; {phase.last} in the end"
        found.append(Moment(phase.began + phase.arrived_s, told))
    if phase.problem:
        found.append(Moment(phase.ended, f"ended for the sake of users: {phase.problem}"))
    return found
