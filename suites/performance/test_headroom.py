"""Whether the service can take more than its declared peak, and how much more."""

from readiness import Evidence, Measurement, at_least, check
from readiness.areas.performance import capacity as steps_of
from readiness.areas.performance import load as probe
from readiness.areas.performance import objectives
from readiness.areas.performance.capacity import Step
from readiness.areas.performance.config import Capacity, Load
from readiness.config.base.tables import Service
from readiness.config.models import Config
from readiness.lib.noise import Noise
from readiness.lib.retry import indistinct, undisturbed


@check(
    "performance.capacity",
    title="The service keeps its objectives well above the declared peak",
    failure_title="The service has less headroom above the declared peak than agreed",
    each="load",
    needs="capacity",
    severity="major",
    effect="load",
    why="""The peak is a forecast. A campaign, a retry storm or the loss of a replica brings more,
    and just below the knee a few percent more turn milliseconds into seconds.""",
    fix="""See what runs out first while the last step runs: processor, pool, locks
      select wait_event_type, wait_event, count(*) from pg_stat_activity
      where state = 'active' group by 1, 2;
      kubectl top pods
    High contention in the scalability law: something is done by one at a time (a lock, one writer,
    a pool that is too small). High coherency: more replicas make it slower; let them share less.
    Otherwise add replicas, or raise the limit that refuses requests.
    Agreed: `min_headroom` of the capacity; `rate` and the objectives of the load""",
    judgements=("headroom",),
)
def test_capacity(load: Load, target: Config, evidence: Evidence) -> None:
    """The rate rises step by step until an objective is missed; a starved generator is an error."""
    wanted = load.capacity
    assert wanted, "`needs` of the check"
    service = target.services[load.service]
    steps: list[Step] = []
    noise = None
    for rate in steps_of.rates(load, wanted):
        step, noise = _step(load.model_copy(update={"rate": rate}), service, evidence)
        steps.append(step)
        if not step.kept:
            break
    assert noise, "there are at least two steps"
    _record(load, steps, evidence)
    _judge(load, wanted, steps, noise, evidence)


def _step(load: Load, service: Service, evidence: Evidence) -> tuple[Step, Noise]:
    loaded, noise = undisturbed(
        lambda times: probe.load(load, service, seconds=load.duration_s * times),
        lambda found, noise: objectives.kept(load, found, noise),
        evidence,
    )
    kept = objectives.kept(load, loaded, noise)
    if kept is None and (problem := probe.starved(load, loaded)):
        raise probe.bottleneck(load, problem)
    return Step(load.rate or 0.0, loaded, kept), noise


def _judge(
    load: Load, wanted: Capacity, steps: list[Step], noise: Noise, evidence: Evidence
) -> None:
    peak = load.rate or 0.0
    most = max((step.rate for step in steps if step.kept), default=0.0)
    last = steps[-1]
    if last.kept is None and most < wanted.min_headroom * peak:
        raise indistinct(str(last), noise, objectives.CLEARER)
    headroom = Measurement(
        "rate up to which the objectives are kept, over the declared peak",
        most / peak,
        "ratio",
        last.loaded.source,
        samples=len(steps),
    )
    limit = at_least(wanted.min_headroom, wanted.deciding("min_headroom"))
    says = f"The objectives are kept up to {most:.4g} requests/s, {most / peak:.3g} times the peak"
    evidence.judge("headroom", headroom, limit, "" if last.kept else str(last), says=says)


def _record(load: Load, steps: list[Step], evidence: Evidence) -> None:
    source = f"{len(steps)} steps of the load {load.name}"
    course = steps_of.course(steps, load)
    seconds = len(steps) * load.duration_s
    for step in steps:
        seen = step.loaded.source
        evidence.record(Measurement(f"step of {step.rate:.4g}/s", str(step), "text", seen))
    evidence.record(
        Measurement("load: rising", seconds, "s", source, samples=len(steps), course=course)
    )
    points = [(step.under_way, step.loaded.good_per_s) for step in steps]
    law = steps_of.fitted(points)
    for figure in law.figures(source, len(points)) if law else ():
        evidence.record(figure)
