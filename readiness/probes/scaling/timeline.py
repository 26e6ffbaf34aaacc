"""The story of a drill of scaling, for the report: the load, the replicas, who was not served."""

from readiness.measurement import Moment
from readiness.probes.prober.moments import counts, failures, since
from readiness.probes.scaling.drill import Scaled
from readiness.probes.scaling.phase import Phase


def timeline(scaled: Scaled) -> tuple[Moment, ...]:
    """The moments of a drill, in order; seconds count from its first request."""
    began = scaled.whole.samples[0].due
    moments = [
        Moment(began, f"steady: {scaled.fewest} replicas serve", good=True),
        Moment(scaled.up.began, f"the load begins: {scaled.load}"),
        Moment(scaled.load_ended, "the load ends"),
        *(_ended(phase) for phase in _phases(scaled) if phase.problem),
        *counts(_counted(scaled)),
        *failures(scaled.whole),
    ]
    return tuple(sorted(since(began, moments), key=lambda moment: moment.at_s))


def _phases(scaled: Scaled) -> list[Phase]:
    return [scaled.up, *([scaled.down] if scaled.down else [])]


def _ended(phase: Phase) -> Moment:
    return Moment(phase.ended, f"ended for the sake of users: {phase.problem}")


def _counted(scaled: Scaled) -> list[tuple[float, int]]:
    return [(said.asked, said.what) for phase in _phases(scaled) for said in phase.counts]
