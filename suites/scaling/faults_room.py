"""What proves the checks of room, of connections, and of changes to the count of replicas."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_DEPLOYMENT: Final = "deployment.yaml"
_AROUND: Final = "around.yaml"
_LIVE: Final = "live.json"


@fault(
    turns_red={"scaling.resource-requests[shop]"},
    story="A sidecar asks for no CPU, and the share of use of the whole pod is unknown.",
)
@contextmanager
def sidecar_asks_for_nothing(system: ReferenceSystem) -> Iterator[None]:
    """The container of the application says everything."""
    with system.levers.edit_manifest(_DEPLOYMENT, "{cpu: 50m, memory: 64Mi}", "{memory: 64Mi}"):
        yield


@fault(
    turns_red={"scaling.no-static-replicas[shop]"},
    story="The manifest sets three replicas, and each apply takes ten back to them.",
)
@contextmanager
def replicas_in_the_manifest(system: ReferenceSystem) -> Iterator[None]:
    """As in most examples."""
    with system.levers.edit_manifest(
        _DEPLOYMENT, "spec:\n  selector:", "spec:\n  replicas: 3\n  selector:"
    ):
        yield


@fault(
    turns_red={"scaling.no-static-replicas[shop]"},
    story="The manifest is mended, and kubectl remembers the count that it applied before.",
)
@contextmanager
def replicas_remembered(system: ReferenceSystem) -> Iterator[None]:
    """The next apply takes the field away, and there is one replica."""
    with system.levers.edit_manifest(
        _LIVE, r"\"spec\":{\"selector\"", r"\"spec\":{\"replicas\":3,\"selector\""
    ):
        yield


@fault(
    turns_red={"scaling.capacity-headroom[shop]"},
    story="The namespace may have five pods, and the autoscaler may make ten.",
)
@contextmanager
def quota_too_small(system: ReferenceSystem) -> Iterator[None]:
    """With the three of a quiet day, all is well."""
    with system.levers.edit_manifest(_AROUND, 'pods: "20"', 'pods: "5"'):
        yield


@fault(
    turns_red={"scaling.capacity-headroom[shop]"},
    story="A neighbour asks for nearly all memory of the quota.",
)
@contextmanager
def quota_used_by_others(system: ReferenceSystem) -> Iterator[None]:
    """The quota itself is large enough."""
    with system.levers.edit_manifest(
        _LIVE, '"requests.memory": "1088Mi"', '"requests.memory": "5Gi"'
    ):
        yield


@fault(
    turns_red={"scaling.connection-budget[shop]"},
    story="The application's role may have thirty connections, and ten replicas want more.",
)
@contextmanager
def role_has_few_connections(system: ReferenceSystem) -> Iterator[None]:
    """Three replicas fit, and nobody has seen ten."""
    with system.levers.sql(
        "alter role shop_app connection limit 30", "alter role shop_app connection limit -1"
    ):
        yield


@fault(
    turns_red={"scaling.connection-budget[shop]"},
    story="Each replica opens a pool of fifty connections.",
)
@contextmanager
def pools_too_large(system: ReferenceSystem) -> Iterator[None]:
    """One is far from the limit."""
    with system.levers.replace_in_config(
        "connections_per_replica = 5", "connections_per_replica = 50"
    ):
        yield


@fault(
    turns_red={"scaling.disruption-budget[shop]"},
    story="Three of three replicas have to stay: at night no node can be emptied.",
)
@contextmanager
def budget_lets_none_go(system: ReferenceSystem) -> Iterator[None]:
    """At four replicas one may go."""
    with system.levers.edit_manifest(_AROUND, "maxUnavailable: 1", "minAvailable: 3"):
        yield


@fault(
    turns_red={"scaling.disruption-budget[shop]"},
    story="The label of the budget's selector was renamed: it guards nothing.",
)
@contextmanager
def budget_selects_nothing(system: ReferenceSystem) -> Iterator[None]:
    """It is there, and kubectl shows it."""
    with system.levers.edit_manifest(
        _AROUND, "matchLabels: {app: shop}", "matchLabels: {app: api}"
    ):
        yield


@fault(
    turns_red={"scaling.disruption-budget[shop]"},
    story="All three replicas run on one node.",
)
@contextmanager
def all_on_one_node(system: ReferenceSystem) -> Iterator[None]:
    """The budget is right; a node that dies asks nobody."""
    onto = '"nodeName": "node-a"'
    with (
        system.levers.edit_manifest(_LIVE, '"nodeName": "node-b"', onto),
        system.levers.edit_manifest(_LIVE, '"nodeName": "node-c"', onto),
    ):
        yield


@fault(
    turns_red={"scaling.rollout-strategy[shop]"},
    story="maxUnavailable is left out: of ten replicas, an update takes two away.",
)
@contextmanager
def strategy_left_out(system: ReferenceSystem) -> Iterator[None]:
    """Of three it takes none: 25 % is rounded down."""
    with system.levers.edit_manifest(
        _DEPLOYMENT, "    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}\n", ""
    ):
        yield


@fault(
    turns_red={"scaling.rollout-strategy[shop]"},
    story="No container has a readiness probe: a pod counts before it can serve.",
)
@contextmanager
def nobody_asks_whether_ready(system: ReferenceSystem) -> Iterator[None]:
    """The strategy is right, and means nothing."""
    with system.levers.edit_manifest(
        _DEPLOYMENT,
        "readinessProbe: {httpGet: {path: /health/ready, port: 8000}, periodSeconds: 2}",
        "stdin: false",
    ):
        yield
