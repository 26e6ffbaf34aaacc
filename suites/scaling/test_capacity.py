"""Whether the replicas have room and connections, and stay available during planned changes."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.capacity import (
    Room,
    largest_node,
    node_room,
    nodes_in_use,
    outside_ranges,
    quota_room,
)
from readiness.areas.scaling.kubernetes.controllers import (
    ROLLING,
    Rollout,
    protection,
    rollout_of,
    usual_away,
)
from readiness.areas.scaling.kubernetes.view import View
from readiness.areas.scaling.probes.connection_budget import budget
from readiness.areas.scaling.probes.sides import Sides
from readiness.config.base.tables import Config
from readiness.lib.kubernetes.pods import unanswered, unprobed
from readiness.lib.kubernetes.resources import CPU, MEMORY, lacking
from readiness.lib.text import listed, worst
from readiness.model.errors import NoData, NotPermitted

SidesOf = Callable[[Scaling], Sides]


@check(
    "scaling.capacity",
    title="Quotas and nodes have room for the maximum replica count and a rolling update",
    failure_title="The maximum replica count does not fit, or containers request no resources",
    each="scaling",
    needs="on_paper",
    severity="blocker",
    why="""A quota of five pods, or full nodes, leave the sixth pod pending at the hour when it is
    needed. A sidecar without a request makes the utilization of the whole pod unknown, so that the
    autoscaler does nothing; without a memory limit, one leak takes the neighbors down.""",
    fix="""cpu-request, memory-request, memory-limit: in the pod template, for each container:
      resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 256Mi}}
      For injected sidecars: a LimitRange with defaults, or the injector's settings
    quota: see what uses it; then raise it, or lower the requests to what is used:
      kubectl describe quota -n NAMESPACE
      A quota of limits.cpu refuses each container, also those that end, that names no such limit
    limit-range: see what it allows; then correct the container's requests and limits:
      kubectl describe limitrange -n NAMESPACE
    nodes: see what uses them; then add nodes:
      kubectl describe nodes | grep -A8 'Allocated'
      Where a cluster autoscaler adds nodes: `nodes_grow = true` in [scaling.NAME]""",
    judgements=("cpu-request", "memory-request", "memory-limit", "limit-range", "quota", "nodes"),
)
def test_capacity(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """With the LimitRange of the namespace, and with injected sidecars."""
    rooms = 0
    for view in sides_of(scaling).known:
        with evidence.attempt():
            _judge_requests(view, evidence)
        with evidence.attempt():
            rooms += _judge_rooms(view, evidence, nodes_grow=scaling.nodes_grow)
    if not rooms and not evidence.lost:
        raise NoData(
            "neither a quota nor a node is known, so that room cannot be computed",
            where=f"[scaling.{scaling.name}]",
            remedy=f"declare [scaling.{scaling.name}.cluster], or add the output of"
            " `kubectl get quota,nodes,pods -A -o json` to `manifests`",
        )


def _judge_requests(view: View, evidence: Evidence) -> None:
    view.require("LimitRange")
    spec, ranges = view.pod, view.ranges
    if not spec.containers:
        raise NoData("the pod template has no container", where=f"{view.name}, {view.side}")
    for key, name, found in (
        ("cpu-request", "CPU request", lacking(spec, ranges, CPU)),
        ("memory-request", "memory request", lacking(spec, ranges, MEMORY)),
        ("memory-limit", "memory limit", lacking(spec, ranges, MEMORY, limit=True)),
    ):
        what = f"containers without a {name}"
        evidence.judge(
            key,
            Measurement(what, len(found), "count", view.side, samples=len(spec.containers)),
            equal_to(0),
            listed(found),
            says=f"{view.side}: {len(found)} of {len(spec.containers)} {what}",
        )
    if ranges:
        outside = outside_ranges(view)
        evidence.judge(
            "limit-range",
            Measurement("values that a LimitRange refuses", len(outside), "count", view.side),
            equal_to(0),
            worst(outside),
            says=f"{view.side}: a LimitRange refuses the pods of {view.name}",
        )


def _judge_rooms(view: View, evidence: Evidence, *, nodes_grow: bool) -> int:
    """How many quotas and sets of nodes were judged."""
    peak, quotas = _peak(view), quota_room(view)
    for room in quotas:
        wanted = peak if room.wanted is None else room.wanted
        _judge_room("quota", view.side, room, wanted, evidence)
    if view.nodes and nodes_grow:
        _judge_room("nodes", view.side, largest_node(view), 1, evidence)
    elif view.nodes:
        _judge_room("nodes", view.side, node_room(view), peak, evidence)
    for what, error in view.unseen.items():
        # If the role may not read nodes, the quota is the limit; any other reason is an error.
        if not isinstance(error, NotPermitted):
            raise error
        evidence.record(Measurement(f"{what} not known", error.message, "text", view.side))
    return len(quotas) + bool(view.nodes and not nodes_grow)


def _judge_room(key: str, side: str, room: Room, wanted: int, evidence: Evidence) -> None:
    evidence.judge(
        key,
        Measurement(f"pods that fit into {room.where}", room.pods, "count", side),
        at_least(wanted),
        room.why,
        says=f"{side}: {room.pods} {'pods' if room.wanted is None else 'objects'} fit into"
        f" {room.where}",
    )


def _peak(view: View) -> int:
    """The most pods at once: a rolling update at the maximum replica count."""
    most = view.counts[-1]
    return most + rollout_of(view.workload).added(most)


@check(
    "scaling.disruption",
    title="Node drains and rolling updates keep enough replicas at every replica count",
    failure_title="A node drain or a rolling update is blocked, or takes too many replicas",
    each="scaling",
    needs="on_paper",
    why="""Without a budget a node upgrade may evict every replica at once; with `minAvailable: 3`
    of 3 no node can be drained, and the upgrade is stuck. An update with the default
    `maxUnavailable` of 25 % is harmless at three pods, and takes a fifth of ten.""",
    fix="""budget, evictable, remaining: one budget that lets one pod go at every replica count;
    what it allows now: kubectl get pdb
      apiVersion: policy/v1
      kind: PodDisruptionBudget
      spec: {maxUnavailable: 1, selector: {matchLabels: {app: NAME}}}
    nodes: in the pod template
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname,
        whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: NAME}}}]
    strategy, unavailable: in the Deployment
      strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
      In a StatefulSet: updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}
      kubectl rollout resume WORKLOAD
    readiness-probe: in the container
      readinessProbe: {httpGet: {path: /health/ready, port: 8000}}""",
    judgements=(
        "nodes",
        "budget",
        "evictable",
        "remaining",
        "strategy",
        "unavailable",
        "readiness-probe",
    ),
)
def test_disruption(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """Percentages are rounded as the controllers do, for every count between the bounds."""
    for view in sides_of(scaling).known:
        _judge_nodes(view, evidence)
        with evidence.attempt():
            _judge_budget(view, evidence)
        with evidence.attempt():
            _judge_rollout(view, scaling, evidence)


def _judge_nodes(view: View, evidence: Evidence) -> None:
    used = nodes_in_use(view)
    if len(used) > 1:
        evidence.judge(
            "nodes",
            Measurement("nodes that run its pods", len(set(used)), "count", view.side),
            at_least(2),
            says=f"{view.side}: all {len(used)} pods run on {listed(set(used))}",
        )


def _judge_budget(view: View, evidence: Evidence) -> None:
    view.require("PodDisruptionBudget")
    names = [one.metadata.name for one in view.budgets]
    one_budget = evidence.judge(
        "budget",
        Measurement("disruption budgets of its pods", len(names), "count", view.side),
        equal_to(1),
        listed(names),
        says=f"{view.side}: {len(names) or 'no'} disruption budgets select the pods of {view.name},"
        " 1 required",
    )
    if not one_budget:
        return
    budget, counts = view.budgets[0], view.counts
    # What may scale to zero is not protected there: one pod may go.
    scales_to_zero = view.fixed is None and not view.autoscaler.least
    found = protection(view, budget, counts)
    beside = listed(one.name for one in found.beside)
    also = f"it also selects the pods of {beside}" if beside else ""
    evidence.judge(
        "evictable",
        Measurement("fewest evictable pods", found.evictable, "count", view.side, len(counts)),
        at_least(1),
        also or "no node that runs one can be drained",
        says=f"{view.side}: budget {names[0]} allows {found.evictable} evictions of"
        f" {found.evictable_of} pods",
    )
    protected = [count for count in counts if count > 1] if scales_to_zero else list(counts)
    if not protected:
        return
    found = protection(view, budget, protected)
    evidence.judge(
        "remaining",
        Measurement("fewest remaining pods", found.left, "count", view.side, len(protected)),
        at_least(1),
        also,
        says=f"{view.side}: budget {names[0]} may leave {found.left} of {found.left_of} pods",
    )


def _judge_rollout(view: View, scaling: Scaling, evidence: Evidence) -> None:
    rollout = rollout_of(view.workload)
    evidence.judge(
        "strategy",
        Measurement("update strategy", rollout.kept or rollout.type, "text", view.side),
        equal_to(ROLLING),
        says=f"{view.side}: {view.name} has {rollout.kept}, so that pods keep the old release"
        if rollout.kept
        else f"{view.side}: {view.name} is updated by {rollout.type}, {ROLLING} required",
    )
    missing = unprobed(view.workload, view.services)
    evidence.judge(
        "readiness-probe",
        Measurement("serving containers without a probe", len(missing), "count", view.side),
        equal_to(0),
        "a pod counts as available as soon as it has started",
        says=f"{view.side}: container {listed(missing)} of {view.name} has no readiness probe that"
        " can fail",
    )
    lost = list(unanswered(view.workload))
    evidence.judge(
        "readiness-probe",
        Measurement("readiness probes of a port without a name", len(lost), "count", view.side),
        equal_to(0),
        "no pod ever becomes ready",
        says=f"{view.side}: a readiness probe of {view.name} asks a port that its container does"
        f" not name: {listed(lost)}",
    )
    _judge_away(view, rollout, scaling, evidence)


def _judge_away(view: View, rollout: Rollout, scaling: Scaling, evidence: Evidence) -> None:
    """Without an agreed number, the default strategies of Kubernetes are the limit."""
    agreed = scaling.max_unavailable
    away = {count: rollout.missing(count) for count in view.counts}
    limits = {n: usual_away(view.workload, n) if agreed is None else agreed for n in away}
    worst_at = max(away, key=lambda count: (away[count] - limits[count], away[count], count))
    evidence.judge(
        "unavailable",
        Measurement(
            "most pods unavailable in an update", away[worst_at], "count", view.side, len(away)
        ),
        at_most(limits[worst_at], scaling.deciding("max_unavailable")),
        f"maxUnavailable {rollout.unavailable}, maxSurge {rollout.surge}",
        says=f"{view.side}: an update takes {away[worst_at]} of {worst_at} pods away,"
        f" {limits[worst_at]} allowed",
    )


@check(
    "scaling.connection-budget",
    title="The database has enough connections for the maximum replica count",
    failure_title="The maximum replica count needs more connections than the database allows",
    each="scaling",
    needs=("on_paper", "database", "database_role", "connections_per_replica"),
    severity="blocker",
    why="""Each replica opens a pool of its own: a service that grows from three to ten replicas
    asks for three times as many connections at its busiest moment, and a rolling update adds its
    surge. The server refuses them, and the new pods take the old ones down with them.""",
    fix="""Fewer for each replica: a smaller pool, or PgBouncer in transaction mode
    server: see which roles have the others; then allow more (costs memory, needs a restart):
      select usename, count(*) from pg_stat_activity group by 1 order by 2 desc;
      alter system set max_connections = 300;
    database: alter database NAME connection limit 300;
    role: alter role NAME connection limit 300;""",
    judgements=("server", "database", "role"),
)
def test_connection_budget(
    scaling: Scaling, sides_of: SidesOf, target: Config, evidence: Evidence
) -> None:
    """The limits, and the connections of other roles, are read from the server now."""
    database, role, each = scaling.database, scaling.database_role, scaling.connections_per_replica
    if not (database and role and each):
        raise NoData("no database is declared", where=f"[scaling.{scaling.name}]")
    pods = max(_peak(view) for view in sides_of(scaling).known)
    found = budget(target.databases[database], role)
    evidence.record(Measurement("pods at the maximum, in a rolling update", pods, "count", "pods"))
    evidence.record(
        Measurement("other roles", found.users or "none", "text", "sessions", found.looked_at)
    )
    for limit in found.limits:
        wanted = pods * each + limit.others
        evidence.judge(
            limit.of,
            Measurement("connections at the maximum replica count", wanted, "count", limit.name),
            at_most(limit.places),
            limit.name if limit.of == "role" else f"{limit.name}; {found.users or 'no other role'}",
            says=f"{pods} pods with {each} connections each and {limit.others} of other roles"
            f" need {wanted}",
        )
