"""Whether the service scales up under load and down again, measured by a drill."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.scaling.config import Agreed, Live, Scaling, record_not_judged
from readiness.areas.scaling.probes.course import course, timeline
from readiness.areas.scaling.probes.drill import Pace, Phase, Scaled
from readiness.lib.prober.judging import figure, judge_served
from readiness.lib.text import listed
from readiness.model.errors import NoData
from readiness.model.measurement import Limit

ScaledOf = Callable[[Scaling], Scaled]


@check(
    "scaling.under-load",
    title="Scales up under load and down after it, without failing a request",
    failure_title="Does not scale with the load, or fails requests while scaling",
    each="scaling",
    needs="live",
    severity="blocker",
    effect="disrupt",
    why="""On paper every autoscaler works; under real load metrics are missing, the image takes
    four minutes to pull, or a new pod gets requests before it can answer: the service goes down
    while it should grow. One that never shrinks is paid for as if it were always noon.""",
    fix="""Make the load by hand and watch:
      kubectl describe hpa NAME
      kubectl get events --sort-by .lastTimestamp
    scaled-up: metrics that are <unknown> (metrics-server), quota, full nodes, slow image pulls;
    agreed: `loaded_replicas`, `up_within_s` in [scaling.NAME.live]
    added, removed, most, fewest: `behavior` and the bounds of the autoscaler as [scaling.NAME] says
    answering: the Service's selector and the readiness of the new pods
    failed-requests, longest-gap: while growing, a readiness probe that asks what users ask;
    while shrinking, preStop: {exec: {command: [sleep, "10"]}}, SIGTERM that is obeyed, and a
    terminationGracePeriodSeconds longer than the longest request
    scaled-down: of several metrics one may be high without load; an autoscaler waits 5 minutes;
    agreed: `down_within_s` in [scaling.NAME.live]""",
    judgements=(
        "failed-requests",
        "longest-gap",
        "scaled-up",
        "answering",
        "most",
        "added",
        "scaled-down",
        "fewest",
        "removed",
    ),
)
def test_under_load(scaling: Scaling, scaled_of: ScaledOf, evidence: Evidence) -> None:
    """Replicas that serve count, not those that are wanted; and so does every request."""
    live = scaling.live
    if live is None:
        raise NoData("no drill is declared", where=f"[scaling.{scaling.name}.live]")
    scaled = scaled_of(scaling)
    keys = ("min_replicas", "max_replicas", "up_pods", "down_pods")
    record_not_judged(scaling, evidence, *keys)
    evidence.record(_story(scaled, live))
    _record_load(scaled, evidence)
    with evidence.attempt():
        _judge_up(scaled, scaling, live, evidence)
    with evidence.attempt():
        _judge_down(scaled, scaling, live, evidence)
    with evidence.attempt():
        scaled.must_be_fair()


def _judge_up(scaled: Scaled, scaling: Scaling, live: Live, evidence: Evidence) -> None:
    up = scaled.up
    judge_served(up.name, up.seen, evidence)
    if scaled.starved:  # without the load, too few replicas are not a finding
        scaled.must_be_fair()
    _judge_count(
        evidence, live, up, "scaled-up", "under load",
        at_least(live.loaded_replicas, live.deciding("loaded_replicas")),
        at_most(live.up_within_s, live.deciding("up_within_s")),
    )  # fmt: skip
    if scaling.max_replicas is not None:
        evidence.judge(
            "most",
            figure("most replicas", up.most, "count", _counted(live), len(up.counts)),
            at_most(scaling.max_replicas, scaling.deciding("max_replicas")),
            says=f"Up to {up.most} replicas served under load",
        )
    _judge_answering(scaled, live, evidence)
    if pace := scaling.pace("up"):
        most = up.added(pace.seconds)
        _judge_pace(evidence, live, "added", most, pace, scaling.deciding("up_pods"))


def _judge_down(scaled: Scaled, scaling: Scaling, live: Live, evidence: Evidence) -> None:
    down = scaled.down
    if down is None:
        raise NoData(
            "it never reached the replica count that the load needs, so that scaling down could"
            f" not be seen{f': {scaled.up.problem}' if scaled.up.problem else ''}",
            where=scaled.up.name,
        )
    judge_served(down.name, down.seen, evidence)
    agreed, before = scaling.min_replicas, "the replica count before the load"
    _judge_count(
        evidence, live, down, "scaled-down", "after the load",
        at_most(scaled.fewest, before if agreed is None else scaling.deciding("min_replicas")),
        at_most(live.down_within_s, live.deciding("down_within_s")),
    )  # fmt: skip
    if agreed is not None:
        evidence.judge(
            "fewest",
            figure("fewest replicas", down.least, "count", _counted(live), len(down.counts)),
            at_least(agreed, scaling.deciding("min_replicas")),
            says=f"Only {down.least} replicas served after the load, for a while",
        )
    if pace := scaling.pace("down"):
        most = down.removed(pace.seconds)
        _judge_pace(evidence, live, "removed", most, pace, scaling.deciding("down_pods"))


def _judge_count(
    evidence: Evidence, live: Live, phase: Phase, key: str, when: str, count: Limit, within: Limit
) -> None:
    """Judge how many replicas there are in the end, and how soon."""
    source, samples = _counted(live), len(phase.counts)
    evidence.judge(
        key,
        figure(f"replicas {when}", phase.last, "count", source, samples),
        count,
        phase.problem,
        says=f"{phase.last} replicas served {when}, {phase.ended - phase.began:.0f} s on",
    )
    if phase.arrived_s is not None:
        evidence.judge(
            key,
            figure(f"time to that replica count {when}", phase.arrived_s, "s", source, samples),
            within,
        )


def _judge_answering(scaled: Scaled, live: Live, evidence: Evidence) -> None:
    """The command only counts replicas; their answers show whether they serve."""
    if not live.replica_header or scaled.up.arrived_s is None:
        return
    loading = scaled.loading.replicas if scaled.loading else ()
    names = sorted({*loading, *scaled.up.seen.replicas})
    evidence.judge(
        "answering",
        figure("answering replicas", len(names), "count", f"header {live.replica_header}"),
        at_least(live.loaded_replicas, live.deciding("loaded_replicas")),
        listed(names),
        says=f"{len(names)} replicas are named by the header {live.replica_header} of the answers",
    )


def _judge_pace(
    evidence: Evidence, live: Live, key: str, most: Pace, agreed: Agreed, setting: str
) -> None:
    """More replicas at once than allowed may have been missed: that is not a pass."""
    limit, seconds = agreed.most, agreed.seconds
    what = f"replicas {key} in {seconds:g} s"
    evidence.judge(
        key,
        figure(f"most {what}", most.certain, "count", _counted(live)),
        at_most(limit, setting),
        says=f"{most.certain} {what}",
    )
    if most.possible > limit:
        raise NoData(
            f"{what}: up to {most.possible}, as they were counted too seldom to be sure",
            where=_counted(live),
            remedy="make the command `replicas` answer faster",
        )


def _story(scaled: Scaled, live: Live) -> Measurement:
    whole = scaled.whole
    seconds = whole.samples[-1].due - whole.samples[0].due
    return Measurement(
        "drill: load comes and goes", seconds, "s", whole.plan.url, samples=len(whole.samples),
        timeline=timeline(scaled), course=course(scaled, live.loaded_replicas),
    )  # fmt: skip


def _record_load(scaled: Scaled, evidence: Evidence) -> None:
    """Whether the load itself was answered decides nothing, but explains much."""
    if seen := scaled.loading:
        evidence.record(figure("requests of the load", len(seen.samples), "count", scaled.load))
        evidence.record(figure("failed ones among them", len(seen.failed), "count", scaled.load))


def _counted(live: Live) -> str:
    return " ".join(live.replicas[:2])
