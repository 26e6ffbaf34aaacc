"""Do the pods ask for what they need, and is there room for all that may come?"""

from collections.abc import Callable, Iterable

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.autoscaler import CPU, MEMORY
from readiness.areas.scaling.kubernetes.capacity import Room, largest_node, node_room, quota_room
from readiness.areas.scaling.kubernetes.pods import lacking
from readiness.areas.scaling.kubernetes.rollout import rollout_of
from readiness.areas.scaling.kubernetes.view import View
from readiness.areas.scaling.probes.connection_budget import budget
from readiness.areas.scaling.probes.sides import Sides
from readiness.areas.scaling.subjects import Pooled
from readiness.lib.text import listed
from readiness.model.errors import NoData, NotPermitted

SidesOf = Callable[[Scaling], Sides]


@check(
    "scaling.resource-requests",
    title="Every container asks for CPU and memory, and has a limit of memory",
    each="scaling",
    why="""The share of use is measured by the requests: one sidecar without any makes that of
    the whole pod unknown, and the autoscaler does nothing. The scheduler puts a pod that asks
    for nothing where there is no room; without a limit, one leak takes its neighbours with it.""",
    fix="""In the pod's template, for each container and each sidecar:
      resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 256Mi}}
    For sidecars that somebody injects: a LimitRange with defaults, or the injector's settings.""",
)
def test_resource_requests(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """With the limits and the LimitRange of the namespace, and with sidecars that are injected."""
    for view in sides_of(scaling).known:
        spec, ranges = view.pod, view.ranges
        if not spec.containers:
            raise NoData("the pod's template has no container", where=f"{view.name}, {view.side}")
        for name, found in (
            ("containers without a request of CPU", lacking(spec, ranges, CPU)),
            ("containers without a request of memory", lacking(spec, ranges, MEMORY)),
            ("containers without a limit of memory", lacking(spec, ranges, MEMORY, limit=True)),
        ):
            evidence.judge(
                "name",
                Measurement(name, len(found), "count", view.side, samples=len(spec.containers)),
                equal_to(0),
                listed(found),
            )


@check(
    "scaling.capacity-headroom",
    title="There is room for the most replicas, and for one rolling update among them",
    each="scaling",
    severity="blocker",
    why="""maxReplicas is a wish until somebody has the room: a quota of five pods, or nodes that
    are full, leave the sixth one pending at the hour when it was needed; and a rolling update at
    full load needs its surge beside all of them.""",
    fix="""Who takes the room:
      kubectl describe quota -n NAMESPACE;  kubectl describe nodes | grep -A8 'Allocated'
    Raise the quota, add nodes, or lower the requests to what is used. Where the cluster adds
    nodes by itself: `nodes_grow = true` in [scaling.NAME].""",
)
def test_capacity_headroom(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """Quotas and nodes, as far as they are known; with neither of them nothing is."""
    rooms = 0
    for view in sides_of(scaling).known:
        peak = _peak(view)
        for room in _rooms(view, grows=scaling.nodes_grow):
            rooms += 1
            _judge_room(evidence, view, room, peak)
        if view.nodes and scaling.nodes_grow:
            _judge_room(evidence, view, largest_node(view), 1)
        _tell_unseen(evidence, view)
    if not rooms:
        raise NoData(
            "neither a quota nor a node is known: how much room there is cannot be told",
            where=f"[scaling.{scaling.name}]",
            remedy="declare [scaling.NAME.cluster], or add the output of"
            " `kubectl get quota,nodes,pods -A -o json` to `manifests`",
        )


def _rooms(view: View, *, grows: bool) -> Iterable[Room]:
    yield from quota_room(view)
    if view.nodes and not grows:
        yield node_room(view)


def _tell_unseen(evidence: Evidence, view: View) -> None:
    """Whoever may not see the nodes has the quota as a limit; any other reason is an error."""
    for what, error in view.unseen.items():
        if not isinstance(error, NotPermitted):
            raise error
        evidence.record(Measurement(f"{what} not known", error.message, "text", view.side))


def _judge_room(evidence: Evidence, view: View, room: Room, wanted: int) -> None:
    evidence.judge(
        "pods-fit-into",
        Measurement(f"pods that fit into {room.where}", room.pods, "count", view.side),
        at_least(wanted),
        room.told,
    )


def _peak(view: View) -> int:
    """The most pods at once: a rolling update at the most replicas."""
    most = view.counts[-1]
    return most + rollout_of(view.workload).added(most)


@check(
    "scaling.connection-budget",
    title="The database has connections for the most replicas, beside everybody else's",
    each="pooled_scaling",
    severity="blocker",
    why="""Each replica brings a pool of its own. A service that grows from three to ten while it
    is busy asks for three times as many connections at the worst moment, and a rolling update
    then adds its surge: the server refuses, and the new pods take the old ones with them.""",
    fix="""The sum that counts is in the message. Less per replica:
      a smaller pool; or a pooler in front (PgBouncer in transaction mode), which shares them
    More at the server (each costs memory):
      alter system set max_connections = 300;  and restart
    Who has the others:
      select usename, count(*) from pg_stat_activity group by 1 order by 2 desc;""",
)
def test_connection_budget(pooled_scaling: Pooled, sides_of: SidesOf, evidence: Evidence) -> None:
    """The limits and the others' connections are read from the server, now."""
    pods = max(_peak(view) for view in sides_of(pooled_scaling.scaling).known)
    wanted = pods * pooled_scaling.each
    found = budget(pooled_scaling.database, pooled_scaling.role)
    evidence.record(
        Measurement("pods at the most, with a rolling update", pods, "count", "objects")
    )
    evidence.record(
        Measurement(
            "roles beside it", found.users or "none", "text", "pg_stat_activity", found.looked_at
        )
    )
    for limit in found.limits:
        evidence.judge(
            "connections-most-replicas",
            Measurement(
                "connections at the most replicas", wanted + limit.others, "count", limit.name
            ),
            at_most(limit.places),
            f"{pods} pods with {pooled_scaling.each} each, and {limit.others} of others"
            f" ({found.users or 'nobody'}); {limit.name}",
        )
