"""Is there an autoscaler, does it do what was declared, and does it work?"""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes import rate
from readiness.areas.scaling.kubernetes.autoscaler import CPU, MEMORY
from readiness.areas.scaling.kubernetes.rate import Rate
from readiness.areas.scaling.kubernetes.state import state
from readiness.areas.scaling.kubernetes.vertical import conflicts
from readiness.areas.scaling.probes.sides import Sides
from readiness.lib.text import clean, listed, worst
from readiness.model.errors import NoData

SidesOf = Callable[[Scaling], Sides]


@check(
    "scaling.autoscaler-target",
    title="Exactly one autoscaler scales the workload, and nothing works against it",
    each="scaling",
    severity="blocker",
    why="""An autoscaler with a typing error in its target is accepted, and never does anything.
    Two of them on one workload undo each other every 15 seconds; one that changes the requests
    of the pods (VPA) moves the very figure that the other one goes by.""",
    fix="""What scales what:
      kubectl get hpa,scaledobject,vpa -A
    scaleTargetRef needs apiVersion apps/v1, kind and name exactly as the workload has them.
    Of two autoscalers, delete one. A VPA beside it: updateMode "Off", or `controlledResources`
    without what the autoscaler holds.""",
)
def test_autoscaler_target(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """On both sides: what KEDA makes of its own object counts once."""
    for view in sides_of(scaling).known:
        names = [one.name for one in view.autoscalers]
        against = conflicts(view)
        paused = [f"{one.name}: {one.paused}" for one in view.autoscalers if one.paused]
        evidence.judge(
            "autoscalers",
            Measurement(f"autoscalers of {view.name}", len(names), "count", view.side),
            equal_to(1),
            worst([*names, *view.astray]) or "there is no autoscaler at all",
        )
        evidence.judge(
            "autoscalers-work-against",
            Measurement("autoscalers that work against it", len(against), "count", view.side),
            equal_to(0),
            worst(against),
        )
        evidence.judge(
            "autoscalers-paused",
            Measurement("autoscalers that are paused", len(paused), "count", view.side),
            equal_to(0),
            worst(paused),
        )


@check(
    "scaling.autoscaler-bounds",
    title="The autoscaler keeps enough replicas, and may make as many as are needed",
    each="scaling",
    severity="blocker",
    why="""minReplicas that is left out is 1: on a quiet night the service runs on one pod, and
    goes away with its node. maxReplicas decides where growth ends, however many ask.""",
    fix="""In the autoscaler, minReplicas and maxReplicas as `min_replicas` and `max_replicas` of
    [scaling.NAME] say:
      kubectl patch hpa NAME --patch '{"spec": {"minReplicas": 3, "maxReplicas": 10}}'
    and in the manifest, or the next apply takes it back.""",
)
def test_autoscaler_bounds(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """The defaults count: 1 of an autoscaler, 0 of a ScaledObject."""
    for view in sides_of(scaling).known:
        found = view.autoscaler
        evidence.judge(
            "replicas-least",
            Measurement("replicas at least", found.least, "count", view.side),
            at_least(scaling.min_replicas),
            f"{found.name} leaves fewer",
        )
        evidence.judge(
            "replicas-most",
            Measurement("replicas at most", found.most, "count", view.side),
            at_least(max(scaling.max_replicas, found.least + 1)),
            f"{found.name} may not make more",
        )


@check(
    "scaling.autoscaler-metrics",
    title="The autoscaler grows at the declared use of CPU and memory",
    each="scaling",
    why="""Where it begins to grow decides how much is left while new pods start: at 95 % nothing
    is. An autoscaler that says nothing of metrics goes by CPU at 80 %, and one that knows only
    CPU watches while memory runs out.""",
    fix="""In the autoscaler, one metric for each, of type Resource:
      - type: Resource
        resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
    or say in [scaling.NAME] what is meant: `cpu_percent`, `memory_percent`, 0 for neither.""",
)
def test_autoscaler_metrics(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """Of several metrics, the one that wants most replicas counts; each has to be right."""
    for view in sides_of(scaling).known:
        found = view.autoscaler
        told = worst(metric.told for metric in found.metrics) or "no metric"
        evidence.record(Measurement("metrics", told, "text", view.side))
        evidence.judge(
            "metrics-goes",
            Measurement("metrics that it goes by", len(found.metrics), "count", view.side),
            at_least(1),
            f"{found.name} goes by nothing",
        )
        for resource, wanted in ((CPU, scaling.cpu_percent), (MEMORY, scaling.memory_percent)):
            metrics = found.of_resource(resource)
            evidence.judge(
                "metrics",
                Measurement(f"metrics of {resource}", len(metrics), "count", view.side),
                at_least(1) if wanted else equal_to(0),
                f"{found.name} goes by {told}",
            )
            for metric in metrics if wanted else ():
                evidence.judge(
                    # 0 stands for one that is held at something else than a share.
                    "grows",
                    Measurement(f"it grows at {resource}", metric.percent or 0, "%", view.side),
                    equal_to(wanted),
                    f"{found.name} holds {clean(metric.told)}",
                )


@check(
    "scaling.autoscaler-rate",
    title="Under full pressure, the autoscaler adds and takes away pods as fast as declared",
    each="scaling",
    why="""Of several policies the one that moves most counts, unless it says otherwise: a second
    one of 100 % beside two pods makes it ten times faster, and nobody sees it. Too fast is a
    thundering herd at the database; too slow is an outage until the last pod is there.""",
    fix="""In `behavior` of the autoscaler, one policy each way:
      scaleUp:   {policies: [{type: Pods, value: 2, periodSeconds: 15}]}
      scaleDown: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}
    Without it: up by 4 pods or 100 % in 15 s, whichever is more; down to the least at once, after
    300 s. What is wanted: `up_pods`, `up_s`, `down_pods` and `down_s` in [scaling.NAME].""",
)
def test_autoscaler_rate(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """The algorithm of the controller is run, from every count that there may be."""
    for view in sides_of(scaling).known:
        found = view.autoscaler
        up = rate.upward(found, scaling.up_pods, scaling.up_s)
        _judge_rate(evidence, view.side, "added", up, scaling.up_pods, scaling.up_s)
        evidence.judge(
            "time-until-first-pod",
            Measurement("time until the first pod is added", found.up.hold_s, "s", view.side),
            at_most(scaling.up_s),
            "the stabilization window of scaleUp",
        )
        down = rate.downward(found, scaling.down_pods, scaling.down_s)
        _judge_rate(evidence, view.side, "taken away", down, scaling.down_pods, scaling.down_s)
        evidence.record(
            Measurement("time until the first is taken away", found.down.hold_s, "s", view.side)
        )


def _judge_rate(
    evidence: Evidence, side: str, verb: str, found: Rate | None, pods: int, seconds: float
) -> None:
    if found is None:
        raise NoData(
            f"between the bounds of the autoscaler there is no room for {pods} pods",
            where=side,
            remedy="see scaling.autoscaler-bounds",
        )
    source = f"{side}, the controller simulated"
    evidence.judge(
        "most-pods-s",
        Measurement(
            f"most pods {verb} in {seconds:g} s", found.most, "count", source, found.counts
        ),
        at_most(pods),
        f"from {found.most_from} replicas",
    )
    evidence.judge(
        "fewest-pods-s",
        Measurement(
            f"fewest pods {verb} in {seconds:g} s", found.least, "count", source, found.counts
        ),
        at_least(pods),
        f"from {found.least_from} replicas, though more were wanted",
    )


@check(
    "scaling.autoscaler-live",
    title="The live autoscaler sees its metrics, and is able to scale",
    each="scaling",
    severity="blocker",
    why="""Without the metrics server an autoscaler shows <unknown>/70 % and does nothing, for as
    long as nobody looks: every manifest is right, and the service does not grow. One that
    stands at its most, and wants more, has run out already.""",
    fix="""What it says of itself:
      kubectl describe hpa NAME
    <unknown>: kubectl get apiservice v1beta1.metrics.k8s.io, and requests on every container.
    TooManyReplicas: it wants more than maxReplicas; if the load is real, raise it.""",
)
def test_autoscaler_live(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """The conditions and figures that the controller left in the status."""
    live = sides_of(scaling).live
    if live is None:
        raise NoData(
            f"no live object of {scaling.workload} is known",
            where=f"[scaling.{scaling.name}]",
            remedy="declare [scaling.NAME.cluster], or add the output of `kubectl get -o json`"
            " to `manifests`",
        )
    found = state(live)
    for name, value in (("AbleToScale", found.able), ("ScalingActive", found.active)):
        because = clean(found.reasons.get(name, "the controller has not said anything of it"))
        evidence.judge(
            "name", Measurement(name, value, "text", live.side), equal_to("True"), because
        )
    evidence.judge(
        "metrics-without-value",
        Measurement("metrics without a value", found.metrics - found.seen, "count", live.side),
        at_most(0),
        f"{found.name} is to hold {found.metrics}, and sees {found.seen}",
    )
    evidence.judge(
        "wants-more-replicas-may",
        Measurement("wants more replicas than it may make", found.stuck_at_most, "text", live.side),
        equal_to(False),
        listed([found.reasons.get("ScalingLimited", "")]),
    )
