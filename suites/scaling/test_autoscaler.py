"""Whether the workload has one working autoscaler that scales as agreed."""

from collections.abc import Callable, Iterator

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.scaling.config import Agreed, Scaling, record_not_judged
from readiness.areas.scaling.kubernetes.autoscaler import Autoscaler
from readiness.areas.scaling.kubernetes.controllers import (
    Rate,
    downward,
    fixed_in_manifest,
    fixed_live,
    upward,
)
from readiness.areas.scaling.kubernetes.view import (
    ABLE,
    ACTIVE,
    AUTOSCALERS,
    LIMITED,
    View,
    conflicts,
    state,
)
from readiness.areas.scaling.probes.sides import Sides
from readiness.lib.kubernetes.resources import CPU, MEMORY
from readiness.lib.text import clean, listed, worst
from readiness.model.errors import NoData

SidesOf = Callable[[Scaling], Sides]


@check(
    "scaling.autoscaler",
    title="One autoscaler controls the replica count, between the agreed bounds",
    failure_title="The replica count is not controlled by one autoscaler between the agreed bounds",
    each="scaling",
    needs="on_paper",
    severity="blocker",
    why="""An autoscaler whose target has a typing error is accepted and never acts; two on one
    workload undo each other every 15 seconds. With `minReplicas` left out a quiet night leaves one
    pod, and `replicas: 3` in the manifest cuts ten pods to three at each deployment.""",
    fix="""What scales what:
      kubectl get hpa,scaledobject,vpa -A
    one-autoscaler: set scaleTargetRef to apiVersion apps/v1 and the workload's exact kind and name;
    of several autoscalers keep one: kubectl delete hpa NAME
    conflict: in the VerticalPodAutoscaler set updateMode "Off", or `controlledResources` without
    what the other autoscaler scales by
    paused: remove what pauses it:
      kubectl annotate scaledobject NAME autoscaling.keda.sh/paused- \\
        autoscaling.keda.sh/paused-replicas-
    min-replicas, max-replicas: set them in the manifest, and at once with
      kubectl patch hpa NAME --patch '{"spec": {"minReplicas": 3, "maxReplicas": 10}}'
    fixed-replicas: remove spec.replicas from what kubectl applied last, then from the manifest
      (helm: only where autoscaling is off); in the other order the next apply sets it to 1:
      kubectl apply edit-last-applied WORKLOAD
      https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
      #migrating-deployments-and-statefulsets-to-horizontal-autoscaling""",
    judgements=(
        "one-autoscaler",
        "conflict",
        "paused",
        "min-replicas",
        "max-replicas",
        "fixed-replicas",
    ),
)
def test_autoscaler(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """The manifests and the live objects, with the platform's defaults filled in."""
    sides = sides_of(scaling)
    _refuse_fixed(sides, scaling)
    record_not_judged(scaling, evidence, "min_replicas", "max_replicas")
    for view in sides.known:
        with evidence.attempt():
            view.require(*AUTOSCALERS)
            _judge_one(view, evidence)
        for found in view.autoscalers if len(view.autoscalers) == 1 else ():
            _judge_bounds(view.side, found, scaling, evidence)
    with evidence.attempt():
        _judge_fixed(sides, scaling, evidence)


def _refuse_fixed(sides: Sides, scaling: Scaling) -> None:
    """A workload that nobody wants to scale is no failure, and no pass either.

    Raises:
        NoData: nothing scales it, and nothing was agreed that needs an autoscaler.
    """
    if scaling.scales or any(view.fixed is None for view in sides.known):
        return
    counts = sorted({str(view.fixed) for view in sides.known})
    raise NoData(
        f"nothing scales {scaling.workload}: it always has {' or '.join(counts)} replicas",
        where=f"[scaling.{scaling.name}]",
        remedy="if that is meant, mark scaling.autoscaler, scaling.autoscaler-policy and"
        f" scaling.autoscaler-live not applicable for {scaling.name}; else add an autoscaler",
    )


def _judge_one(view: View, evidence: Evidence) -> None:
    names = [one.name for one in view.autoscalers]
    against = conflicts(view)
    paused = [f"{one.name} {one.paused}" for one in view.autoscalers if one.paused]
    evidence.judge(
        "one-autoscaler",
        Measurement(f"autoscalers of {view.name}", len(names), "count", view.side),
        equal_to(1),
        worst([*names, *view.dangling]),
        says=f"{view.side}: {len(names) or 'no'} autoscalers target {view.name}, 1 required",
    )
    evidence.judge(
        "conflict",
        Measurement("conflicts with a vertical autoscaler", len(against), "count", view.side),
        equal_to(0),
        worst(against),
        says=f"{view.side}: two autoscalers act on the same resource",
    )
    evidence.judge(
        "paused",
        Measurement("paused autoscalers", len(paused), "count", view.side),
        equal_to(0),
        says=f"{view.side}: {worst(paused)}",
    )


def _judge_bounds(side: str, found: Autoscaler, scaling: Scaling, evidence: Evidence) -> None:
    least, most = scaling.min_replicas, scaling.max_replicas
    if least is not None:
        evidence.judge(
            "min-replicas",
            Measurement("minimum replica count", found.least, "count", side),
            at_least(least, scaling.deciding("min_replicas")),
            says=f"{side}: the minimum replica count of {found.name} is {found.least}",
        )
    evidence.judge(
        "max-replicas",
        Measurement("maximum replica count", found.most, "count", side),
        # A maximum that is no more than the minimum never scales.
        at_least(most, scaling.deciding("max_replicas"))
        if most is not None and most > found.least
        else at_least(found.least + 1),
        says=f"{side}: the maximum replica count of {found.name} is {found.most}",
    )


def _judge_fixed(sides: Sides, scaling: Scaling, evidence: Evidence) -> None:
    """A live object always has a replica count: what matters is what set it."""
    declared = fixed_in_manifest(sides.declared.workload) if sides.declared else None
    live = fixed_live(sides.live.workload) if sides.live else None
    for view, found in ((sides.declared, declared), (sides.live, live)):
        if view is not None and found is not None:
            evidence.judge(
                "fixed-replicas",
                Measurement("fixed replica counts", int(bool(found)), "count", view.side),
                equal_to(0),
                found,
                says=f"{view.side}: applying {view.name} resets its replica count",
            )
    if declared is None and live is None:
        raise NoData(
            "the live object does not show what was applied",
            where=scaling.workload,
            remedy="add its manifest to `manifests`",
        )


@check(
    "scaling.autoscaler-policy",
    title="The autoscaler scales at the agreed utilization and speed",
    failure_title="The autoscaler scales at another utilization or speed than agreed",
    each="scaling",
    needs="on_paper",
    why="""At 95 % utilization nothing is left while new pods start, and an autoscaler that knows
    only CPU watches while memory runs out. A second policy of 100 % beside two pods overrides it,
    and a herd of new pods hits the database; too slow is an outage until the last pod is there.""",
    fix="""metric, utilization: in the autoscaler, one metric of type Resource for each:
      - type: Resource
        resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
      or change what was agreed: `cpu_percent`, `memory_percent` in [scaling.NAME]; 0: not by it
    delay: stabilizationWindowSeconds: 0 in `behavior.scaleUp`
    added-at-least, added-at-most, removed-at-least, removed-at-most: in `behavior`, one policy in
    each direction:
      scaleUp:   {policies: [{type: Pods, value: 2, periodSeconds: 15}]}
      scaleDown: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}
      Without `behavior` it adds 4 pods or 100 % in 15 s, whichever is more, and after 300 s removes
      all above the minimum at once.
      Agreed: `up_pods`, `up_s`, `down_pods`, `down_s` in [scaling.NAME]; a policy of percent adds
      more pods the more there are: agree a range, up_pods = [2, 10]""",
    judgements=(
        "metric",
        "utilization",
        "delay",
        "added-at-most",
        "added-at-least",
        "removed-at-most",
        "removed-at-least",
    ),
)
def test_autoscaler_policy(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """The controller's algorithm is simulated from every replica count between the bounds."""
    _refuse_fixed(sides_of(scaling), scaling)
    agreed = ("cpu_percent", "memory_percent", "up_pods", "down_pods")
    record_not_judged(scaling, evidence, *agreed)
    for view in sides_of(scaling).known:
        with evidence.attempt():
            found = view.autoscaler
            _judge_metrics(view.side, found, scaling, evidence)
            _judge_containers(view, found, evidence)
            _judge_speed(view.side, found, scaling, evidence)


def _judge_metrics(side: str, found: Autoscaler, scaling: Scaling, evidence: Evidence) -> None:
    """The metric that demands most replicas decides, so each has to be right."""
    all_of = worst(metric.description for metric in found.metrics) or "no metric"
    evidence.record(Measurement("metrics", all_of, "text", side))
    evidence.judge(
        "metric",
        Measurement("metrics", len(found.metrics), "count", side),
        at_least(1),
        says=f"{side}: {found.name} has no metric",
    )
    for resource, wanted, key in (
        (CPU, scaling.cpu_percent, "cpu_percent"),
        (MEMORY, scaling.memory_percent, "memory_percent"),
    ):
        if wanted is None:
            continue
        metrics, setting = found.of_resource(resource), scaling.deciding(key)
        evidence.judge(
            "metric",
            Measurement(f"metrics of {resource}", len(metrics), "count", side),
            at_least(1, setting) if wanted else equal_to(0, setting),
            f"it scales by {all_of}",
            says=f"{side}: {found.name} has {len(metrics) or 'no'} metric of {resource}",
        )
        for metric in metrics if wanted else ():
            how = clean(metric.description)
            evidence.judge(
                "utilization",
                # 0 stands for a target that is not a utilization.
                Measurement(f"target utilization of {resource}", metric.percent or 0, "%", side),
                equal_to(wanted, setting),
                says=f"{side}: {found.name} scales at {how}, {wanted} % required",
            )


def _judge_containers(view: View, found: Autoscaler, evidence: Evidence) -> None:
    """One metric without a value is enough, and it never scales down, or at all."""
    spec = view.pod
    names = {one.name for one in (*spec.containers, *spec.init_containers)}
    strange = {metric.container for metric in found.metrics} - names - {""}
    evidence.judge(
        "metric",
        Measurement("metrics of containers that no pod has", len(strange), "count", view.side),
        equal_to(0),
        f"the containers are {listed(sorted(names))}",
        says=f"{view.side}: {found.name} scales by the container {listed(sorted(strange))}, which"
        f" {view.name} does not have",
    )


def _judge_speed(side: str, found: Autoscaler, scaling: Scaling, evidence: Evidence) -> None:
    for verb, speed in (("added", found.up), ("removed", found.down)):
        if speed.select == "Disabled":  # whatever pace was agreed
            evidence.judge(
                f"{verb}-at-least",
                Measurement(f"pods ever {verb}", 0, "count", side),
                at_least(1),
                says=f"{side}: {found.name} has selectPolicy Disabled: no pod is ever {verb}",
            )
    if found.up.select != "Disabled" and (up := scaling.pace("up")):
        setting = scaling.deciding("up_pods")
        _judge_rate(evidence, side, "added", up, setting, upward(found, up.least, up.seconds))
        evidence.judge(
            "delay",
            Measurement("time until the first pod is added", found.up.hold_s, "s", side),
            at_most(up.seconds, scaling.deciding("up_s")),
            says=f"{side}: stabilizationWindowSeconds of scaleUp is {found.up.hold_s} s",
        )
    if found.down.select != "Disabled" and (down := scaling.pace("down")):
        setting = scaling.deciding("down_pods")
        _judge_rate(
            evidence, side, "removed", down, setting, downward(found, down.least, down.seconds)
        )
    evidence.record(
        Measurement("time until the first pod is removed", found.down.hold_s, "s", side)
    )


def _judge_rate(
    evidence: Evidence,
    side: str,
    verb: str,
    agreed: Agreed,
    setting: str,
    found: Rate | None,
) -> None:
    if found is None:
        raise NoData(
            f"the bounds of the autoscaler leave no room for {agreed.least} pods more or fewer",
            where=side,
            remedy="see scaling.autoscaler",
        )
    source, what = f"{side}, the controller simulated", f"pods {verb} in {agreed.seconds:g} s"
    evidence.judge(
        f"{verb}-at-most",
        Measurement(f"most {what}", found.most, "count", source, found.counts),
        at_most(agreed.most, setting),
        says=f"{side}: from {found.most_from} replicas, up to {found.most} {what}",
    )
    evidence.judge(
        f"{verb}-at-least",
        Measurement(f"fewest {what}", found.least, "count", source, found.counts),
        at_least(agreed.least, setting),
        says=f"{side}: from {found.least_from} replicas, only {found.least} {what} under full"
        " pressure",
    )


@check(
    "scaling.autoscaler-live",
    title="The live autoscaler reads its metrics and can scale",
    failure_title="The live autoscaler cannot read its metrics or cannot scale",
    each="scaling",
    needs="on_paper",
    severity="blocker",
    why="""Without the metrics server an autoscaler shows <unknown>/70 % and does nothing, for as
    long as nobody looks: every manifest is right, and the service does not grow. One that stands at
    `maxReplicas` and wants more has already run out.""",
    fix="""What it reports itself:
      kubectl describe hpa NAME
    able-to-scale: the events name the reason, such as a scale subresource that cannot be read
    scaling-active, metric-values: kubectl get apiservice v1beta1.metrics.k8s.io
    and set requests on every container
    at-maximum: if the load is real, raise maxReplicas""",
    judgements=("able-to-scale", "scaling-active", "metric-values", "at-maximum"),
)
def test_autoscaler_live(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """By the conditions and metrics that the controller reports in the status."""
    live = sides_of(scaling).live
    if live is None:
        raise NoData(
            f"no live object of {scaling.workload} is known",
            where=f"[scaling.{scaling.name}]",
            remedy=f"declare [scaling.{scaling.name}.cluster], or add the output of"
            " `kubectl get -o json` to `manifests`",
        )
    found = state(live)

    def reasons(*conditions: str) -> Iterator[str]:
        for name in conditions:
            yield clean(found.reasons.get(name, "the controller has not reported it"))

    for key, name, value in (
        ("able-to-scale", ABLE, found.able),
        ("scaling-active", ACTIVE, found.active),
    ):
        evidence.judge(
            key,
            Measurement(name, value, "text", live.side),
            equal_to("True"),
            worst(reasons(name)),
            says=f"{name} of {found.name} is {clean(value)}",
        )
    evidence.judge(
        "metric-values",
        Measurement("metrics without a value", found.metrics - found.seen, "count", live.side),
        at_most(0),
        says=f"{found.name} has values for {found.seen} of {found.metrics} metrics",
    )
    evidence.judge(
        "at-maximum",
        Measurement("wants more replicas than allowed", found.stuck_at_most, "text", live.side),
        equal_to(False),
        worst(reasons(LIMITED)),
        says=f"{found.name} is at its maximum and wants more replicas",
    )
