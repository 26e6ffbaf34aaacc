"""Workloads and what is around them; fields that do not matter here are not read."""

from typing import Annotated, Any

from pydantic import Field

from readiness.areas.scaling.kubernetes.parts import (
    ABSENT,
    ABSENT_LIST,
    Condition,
    IntOrPercent,
    Metadata,
    Object,
    Part,
    Quantities,
    Quantity,
    Requirement,
    Selector,
    Texts,
)


class Resources(Part):
    """What a container asks for, and what it may use."""

    requests: Quantities = Field(default={})
    limits: Quantities = Field(default={})


class Container(Part):
    """One container of a pod."""

    name: str = "?"
    resources: Annotated[Resources, ABSENT] = Resources()
    restart_policy: str | None = None
    readiness_probe: dict[str, Any] | None = None


class Toleration(Part):
    """A taint that a pod bears."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class NodeTerm(Part):
    """Nodes that a pod may run on."""

    match_expressions: Annotated[list[Requirement], ABSENT_LIST] = Field(default=[])
    match_fields: Annotated[list[Requirement], ABSENT_LIST] = Field(default=[])


class NodeTerms(Part):
    """One of them has to hold."""

    node_selector_terms: Annotated[list[NodeTerm], ABSENT_LIST] = Field(default=[])


class NodeAffinity(Part):
    """What a pod demands of its node; what it prefers does not decide."""

    required: NodeTerms | None = Field(None, alias="requiredDuringSchedulingIgnoredDuringExecution")


class Affinity(Part):
    """Where a pod wants to run."""

    node_affinity: NodeAffinity | None = None


class PodSpec(Part):
    """What a pod consists of."""

    containers: Annotated[list[Container], ABSENT_LIST] = Field(default=[])
    init_containers: Annotated[list[Container], ABSENT_LIST] = Field(default=[])
    resources: Resources | None = None
    overhead: Quantities = Field(default={})
    node_name: str = ""
    node_selector: Texts = Field(default={})
    tolerations: Annotated[list[Toleration], ABSENT_LIST] = Field(default=[])
    affinity: Affinity | None = None


class Template(Part):
    """What the pods of a workload are made of."""

    metadata: Annotated[Metadata, ABSENT] = Metadata()
    spec: PodSpec = PodSpec()


class RollingUpdate(Part):
    """How many pods more and fewer there may be; None: not given."""

    max_surge: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None


class Strategy(Part):
    """How pods are replaced."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(Part):
    """Of a Deployment or a StatefulSet."""

    replicas: int | None = None
    strategy: Strategy | None = None
    update_strategy: Strategy | None = None
    template: Template


class WorkloadStatus(Part):
    """What there is of it."""

    replicas: int = 0
    ready_replicas: int = 0


class Workload(Object):
    """A Deployment or a StatefulSet."""

    spec: WorkloadSpec
    status: WorkloadStatus = WorkloadStatus()


class BudgetSpec(Part):
    """Of policy/v1."""

    selector: Selector | None = None
    min_available: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None


class DisruptionBudget(Object):
    """How many pods may be taken away on purpose."""

    spec: BudgetSpec = BudgetSpec()


class QuotaSpec(Part):
    """What a namespace may have."""

    hard: Quantities = Field(default={})
    scopes: Annotated[list[str], ABSENT_LIST] = Field(default=[])
    scope_selector: dict[str, Any] | None = None


class QuotaStatus(Part):
    """What it has; None: nobody has counted."""

    used: dict[str, Quantity] | None = None


class ResourceQuota(Object):
    """A limit on all of a namespace."""

    spec: QuotaSpec = QuotaSpec()
    status: Annotated[QuotaStatus, ABSENT] = QuotaStatus()


class LimitItem(Part):
    """What containers get that say nothing."""

    type: str
    default: Quantities = Field(default={})
    default_request: Quantities = Field(default={})
    max: Quantities = Field(default={})
    min: Quantities = Field(default={})


class LimitRangeSpec(Part):
    """For each kind of thing."""

    limits: Annotated[list[LimitItem], ABSENT_LIST] = Field(default=[])


class LimitRange(Object):
    """Defaults of a namespace."""

    spec: LimitRangeSpec = LimitRangeSpec()


class Taint(Part):
    """What keeps pods away from a node."""

    key: str
    value: str = ""
    effect: str


class NodeSpec(Part):
    """What is wanted of a node."""

    unschedulable: bool = False
    taints: Annotated[list[Taint], ABSENT_LIST] = Field(default=[])


class NodeStatus(Part):
    """What a node has."""

    allocatable: Quantities = Field(default={})
    conditions: Annotated[list[Condition], ABSENT_LIST] = Field(default=[])


class Node(Object):
    """A machine of the cluster."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class PodStatus(Part):
    """Where a pod is in its life."""

    phase: str = ""


class Pod(Object):
    """A pod that exists."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
