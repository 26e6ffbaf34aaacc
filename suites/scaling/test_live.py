"""Does it grow when load comes, and shrink when it has gone? Tried, not believed."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.scaling.config import Live, Scaling
from readiness.areas.scaling.probes.course import course
from readiness.areas.scaling.probes.drill import Scaled
from readiness.areas.scaling.probes.phase import Pace, Phase
from readiness.areas.scaling.probes.timeline import timeline
from readiness.lib.prober.judging import figure, judge_served
from readiness.lib.text import listed
from readiness.model.errors import NoData

ScaledOf = Callable[[Scaling], Scaled]


@check(
    "scaling.scale-up-live",
    title="Under load there are soon as many replicas as it needs, and nobody is turned away",
    each="live_scaling",
    severity="blocker",
    effect="disrupt",
    why="""On paper every autoscaler grows. On the day, metrics are missing, the image takes four
    minutes to be pulled, the quota is used up, or a new pod is led to before it can answer. All of
    that looks the same from outside: the service goes down while it was to grow.""",
    fix="""Make the load by hand, and see where it stays:
      kubectl describe hpa NAME      what it sees (unknown: metrics-server), and what it wants
      kubectl get events --sort-by .lastTimestamp    quota, nodes, images
      requests that failed: readiness of the new pods that asks what users ask
      too many at once: behavior.scaleUp in the autoscaler, as [scaling.NAME] says it
    What the load needs, and how soon: `loaded_replicas`, `up_within_s` in [scaling.NAME.live].""",
)
def test_scale_up_live(live_scaling: Scaling, scaled_of: ScaledOf, evidence: Evidence) -> None:
    """What serves counts, not what is wanted; every request of the watching prober counts."""
    scaling, live = live_scaling, _live(live_scaling)
    scaled = scaled_of(scaling)
    evidence.record(_story(scaled, live))
    _record_load(scaled, evidence)
    up, source = scaled.up, _counted(live)
    count = len(up.counts)
    judge_served(up.name, up.seen, evidence)
    if scaled.starved:  # what did not grow without a load is no finding
        scaled.must_be_fair()
    evidence.judge(
        "replicas-under-load",
        figure("replicas under load", up.last, "count", source, count),
        at_least(live.loaded_replicas),
        up.problem or f"{scaled.load}, for {up.ended - up.began:.0f} s",
    )
    if up.arrived_s is not None:
        evidence.judge(
            "time-until-so-many",
            figure("time until so many served", up.arrived_s, "s", source, count),
            at_most(live.up_within_s),
        )
    evidence.judge(
        "most-replicas",
        figure("most replicas", up.most, "count", source, count),
        at_most(scaling.max_replicas),
    )
    _judge_answering(scaled, live, evidence)
    _judge_pace(
        f"most added in {scaling.up_s:g} s", up.added(scaling.up_s), scaling.up_pods, live, evidence
    )
    scaled.must_be_fair()


@check(
    "scaling.scale-down-live",
    title="When load has gone, there are again the fewest replicas, and nobody is cut off",
    each="live_scaling",
    severity="major",
    effect="disrupt",
    why="""A service that never shrinks is paid for as if it were always noon, and one that shrinks
    all at once has nothing left when the next wave comes a minute later. Each replica that is
    stopped while it answers is an error that somebody sees, day after day, and that no deployment
    explains.""",
    fix="""Requests that failed: preStop: sleep 10, SIGTERM that is obeyed, and
      terminationGracePeriodSeconds longer than the longest request (see deployment.graceful-stop)
    Too fast: behavior.scaleDown, e.g. {type: Pods, value: 1, periodSeconds: 60}
    Not at all: kubectl describe hpa NAME; of several metrics, one may be high without any load;
      a request of memory that is too small is never given back
    How soon: `down_within_s` in [scaling.NAME.live]; an autoscaler waits 5 minutes first.""",
)
def test_scale_down_live(live_scaling: Scaling, scaled_of: ScaledOf, evidence: Evidence) -> None:
    """What never grew cannot be seen to shrink."""
    scaling, live = live_scaling, _live(live_scaling)
    scaled = scaled_of(scaling)
    down, source = _shrunk(scaled), _counted(live)
    evidence.record(_story(scaled, live))
    count = len(down.counts)
    judge_served(down.name, down.seen, evidence)
    evidence.judge(
        "replicas-after-load",
        figure("replicas after the load", down.last, "count", source, count),
        at_most(scaling.min_replicas),
        down.problem or f"{down.ended - down.began:.0f} s after it",
    )
    if down.arrived_s is not None:
        evidence.judge(
            "time-until-there-so",
            figure("time until there were so few", down.arrived_s, "s", source, count),
            at_most(live.down_within_s),
        )
    evidence.judge(
        "fewest-replicas",
        figure("fewest replicas", down.least, "count", source, count),
        at_least(scaling.min_replicas),
        "so many have to be there always",
    )
    _judge_pace(
        f"most taken away in {scaling.down_s:g} s",
        down.removed(scaling.down_s),
        scaling.down_pods,
        live,
        evidence,
    )
    scaled.must_be_fair()


def _live(scaling: Scaling) -> Live:
    if scaling.live is None:
        raise NoData("no drill is declared", where=f"[scaling.{scaling.name}.live]")
    return scaling.live


def _shrunk(scaled: Scaled) -> Phase:
    if scaled.down is None:
        raise NoData(
            f"it never had as many replicas as it needs, so that it could not be seen to shrink"
            f"{f': {scaled.up.problem}' if scaled.up.problem else ''}",
            where=scaled.up.name,
            remedy="see scaling.scale-up-live",
        )
    return scaled.down


def _story(scaled: Scaled, live: Live) -> Measurement:
    """How long the drill took, with the story of it."""
    whole = scaled.whole
    seconds = whole.samples[-1].due - whole.samples[0].due
    return Measurement(
        "drill: load comes and goes", seconds, "s", whole.plan.url, samples=len(whole.samples),
        timeline=timeline(scaled), course=course(scaled, live.loaded_replicas),
    )  # fmt: skip


def _record_load(scaled: Scaled, evidence: Evidence) -> None:
    """Whether the load was answered is not what is judged here, and explains much."""
    seen = scaled.loading
    if seen is None:
        return
    evidence.record(figure("requests of the load", len(seen.samples), "count", scaled.load))
    evidence.record(figure("of these failed", len(seen.failed), "count", scaled.load))


def _judge_answering(scaled: Scaled, live: Live, evidence: Evidence) -> None:
    """The tool counts; whether those that it counted answer, only their answers tell."""
    if not live.replica_header or scaled.up.arrived_s is None:
        return
    loading = scaled.loading.replicas if scaled.loading else ()
    names = sorted({*loading, *scaled.up.seen.replicas})
    evidence.judge(
        "replicas-answer",
        figure("replicas that answer", len(names), "count", f"header {live.replica_header}"),
        at_least(live.loaded_replicas),
        listed(names),
    )


def _judge_pace(name: str, pace: Pace, limit: int, live: Live, evidence: Evidence) -> None:
    """What may have been too many at once, and was not seen, is no pass."""
    evidence.judge(
        "name",
        figure(name, pace.certain, "count", _counted(live)),
        at_most(limit),
        "that is no pace but a jump",
    )
    if pace.possible > limit:
        raise NoData(
            f"{name}: may be {pace.possible}, as they were counted too seldom to tell",
            where=_counted(live),
            remedy="let the command `replicas` answer faster",
        )


def _counted(live: Live) -> str:
    return " ".join(live.replicas[:2])
