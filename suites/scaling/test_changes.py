"""Does the count of replicas survive an apply, a rolling update, and a node that is emptied?"""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.capacity import nodes_in_use
from readiness.areas.scaling.kubernetes.disruption import allowed
from readiness.areas.scaling.kubernetes.replicas import fixed_in_manifest, fixed_live
from readiness.areas.scaling.kubernetes.rollout import ROLLING, rollout_of
from readiness.areas.scaling.probes.sides import Sides
from readiness.lib.text import listed
from readiness.model.errors import NoData

SidesOf = Callable[[Scaling], Sides]


@check(
    "scaling.no-static-replicas",
    title="Nothing sets the count of replicas back when the manifests are applied",
    each="scaling",
    why="""With `replicas: 3` in the manifest, each apply takes a workload that has grown to ten
    back to three, in the middle of the load that made it grow. The autoscaler needs minutes to
    come back, and the next deployment does it again.""",
    fix="""Leave spec.replicas out of the manifest (helm: only where autoscaling is off). First take
    it out of what kubectl remembers, or the next apply makes it 1:
      kubectl apply edit-last-applied deployment/NAME
    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
    #migrating-deployments-and-statefulsets-to-horizontal-autoscaling""",
)
def test_no_static_replicas(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """A live object always has a count: who set it is what counts there."""
    sides = sides_of(scaling)
    declared = fixed_in_manifest(sides.declared.workload) if sides.declared else None
    live = fixed_live(sides.live.workload) if sides.live else None
    for view, found in ((sides.declared, declared), (sides.live, live)):
        if view is not None and found is not None:
            evidence.judge(
                "counts-replicas-fixed",
                Measurement(
                    "counts of replicas that are fixed", int(bool(found)), "count", view.side
                ),
                equal_to(0),
                f"{view.name}: {found}",
            )
    if declared is None and live is None:
        raise NoData(
            "the live object does not tell what was applied",
            where=scaling.workload,
            remedy="name the manifests, too",
        )


@check(
    "scaling.disruption-budget",
    title="A node can be emptied at any count of replicas, and never takes all of them",
    each="scaling",
    why="""Without a budget, an upgrade of the nodes may take every replica at once. With one that
    allows nothing at the least count (minAvailable 3 of 3), no node can be emptied at night, and
    the upgrade stops, or is forced. Two budgets on one pod refuse every eviction.""",
    fix="""One budget, that leaves one to go at every count:
      apiVersion: policy/v1
      kind: PodDisruptionBudget
      spec: {maxUnavailable: 1, selector: {matchLabels: {app: NAME}}}
    What it allows now:  kubectl get pdb
    All pods on one node: topologySpreadConstraints over kubernetes.io/hostname.""",
)
def test_disruption_budget(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """Computed for each count from the least to the most, as its controller rounds."""
    for view in sides_of(scaling).known:
        used = nodes_in_use(view)
        if len(used) > 1:
            evidence.judge(
                "nodes-pods-run",
                Measurement("nodes that its pods run on", len(set(used)), "count", view.side),
                at_least(2),
                f"{len(used)} pods, and all of them on {listed(set(used))}",
            )
        names = [one.metadata.name for one in view.budgets]
        one_budget = evidence.judge(
            "disruption-budgets-pods",
            Measurement("disruption budgets of its pods", len(names), "count", view.side),
            equal_to(1),
            listed(names) or "none selects the labels of its pods",
        )
        if not one_budget:
            continue
        budget = view.budgets[0]
        may_go = {count: allowed(budget, count) for count in view.counts}
        fewest = min(may_go, key=lambda count: (may_go[count], count))
        barest = min(may_go, key=lambda count: (count - may_go[count], count))
        evidence.judge(
            "fewest-pods-may-go",
            Measurement("fewest pods that may go", may_go[fewest], "count", view.side, len(may_go)),
            at_least(1),
            f"{names[0]} at {fewest} replicas: no node with such a pod can be emptied",
        )
        evidence.judge(
            "fewest-pods-stay",
            Measurement(
                "fewest pods that stay", barest - may_go[barest], "count", view.side, len(may_go)
            ),
            at_least(1),
            f"{names[0]} at {barest} replicas lets all of them go at once",
        )


@check(
    "scaling.rollout-strategy",
    title="A rolling update takes no capacity away, at any count of replicas",
    each="scaling",
    why="""Left out, maxUnavailable is 25 %: nothing of three pods, and two of ten. The update
    that was harmless on a quiet day takes a fifth of the capacity away under load. Recreate
    takes all of it. Without a readiness probe a pod counts as soon as it has started, and
    requests go to one that is not ready.""",
    fix="""In the Deployment:
      strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
      readinessProbe: {httpGet: {path: /health/ready, port: 8000}}
    A StatefulSet cannot add pods: accept one with `max_unavailable = 1` in [scaling.NAME].""",
)
def test_rollout_strategy(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """Percentages are rounded for each count from the least to the most."""
    for view in sides_of(scaling).known:
        rollout = rollout_of(view.workload)
        evidence.judge(
            "strategy",
            Measurement("strategy", rollout.type, "text", view.side),
            equal_to(ROLLING),
            f"{view.name} is not updated pod by pod",
        )
        missing = {count: rollout.missing(count) for count in view.counts}
        worst_at = max(missing, key=lambda count: (missing[count], count))
        evidence.judge(
            "most-pods-an-update",
            Measurement(
                "most pods that an update takes away",
                missing[worst_at],
                "count",
                view.side,
                len(missing),
            ),
            at_most(scaling.max_unavailable),
            f"of {worst_at}: maxUnavailable is {rollout.unavailable}, maxSurge {rollout.surge}",
        )
        probed = [c.name for c in view.workload.spec.template.spec.containers if c.readiness_probe]
        evidence.judge(
            "containers-readiness-probe",
            Measurement("containers with a readiness probe", len(probed), "count", view.side),
            at_least(1),
            "a pod counts as available as soon as it has started",
        )
