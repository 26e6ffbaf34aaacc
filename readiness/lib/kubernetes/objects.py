"""The Kubernetes objects that the areas judge; other fields are not read, Secrets are not kept."""

from typing import Annotated, Any, Literal

from pydantic import Field

from readiness.lib.kubernetes.parts import (
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
    """What a container requests, and what it may use."""

    requests: Quantities = Field(default={})
    limits: Quantities = Field(default={})


class Port(Part):
    """A port that a container declares."""

    name: str = ""
    container_port: int
    host_port: int = 0


class Key(Part):
    """A Secret or a ConfigMap, or one key of it."""

    name: str = ""
    key: str = ""
    optional: bool = False


class ValueSource(Part):
    """Where the value of a variable comes from; other sources are fields of the pod."""

    secret_key_ref: Key | None = None
    config_map_key_ref: Key | None = None


class Variable(Part):
    """An environment variable; None: its value comes from elsewhere."""

    name: str
    value: str | None = None
    value_from: ValueSource | None = None


class Variables(Part):
    """Environment variables from all keys of an object."""

    prefix: str = ""
    secret_ref: Key | None = None
    config_map_ref: Key | None = None


class Capabilities(Part):
    """Rights of root that a container gets beside the usual ones, and those that it loses."""

    add: list[str] = Field(default=[])
    drop: list[str] = Field(default=[])


class Seccomp(Part):
    """The filter of system calls."""

    type: str = ""


class Security(Part):
    """What a container may do on its node; None: not given."""

    capabilities: Capabilities = Capabilities()
    privileged: bool | None = None
    run_as_user: int | None = None
    run_as_non_root: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    seccomp_profile: Seccomp | None = None


class Sleep(Part):
    """A hook that waits."""

    seconds: int = 0


class Hook(Part):
    """What runs before a container is stopped."""

    exec: dict[str, Any] | None = None
    http_get: dict[str, Any] | None = None
    sleep: Sleep | None = None


class Lifecycle(Part):
    """The hooks of a container."""

    pre_stop: Hook | None = None


class Mount(Part):
    """A volume in a container."""

    name: str
    read_only: bool = False


class Container(Part):
    """One container of a pod."""

    name: str = "?"
    image: str = ""
    resources: Resources = Resources()
    restart_policy: str | None = None
    command: list[str] = Field(default=[])
    args: list[str] = Field(default=[])
    readiness_probe: dict[str, Any] | None = None
    liveness_probe: dict[str, Any] | None = None
    startup_probe: dict[str, Any] | None = None
    lifecycle: Lifecycle | None = None
    volume_mounts: list[Mount] = Field(default=[])
    ports: list[Port] = Field(default=[])
    env: list[Variable] = Field(default=[])
    env_from: list[Variables] = Field(default=[])
    security_context: Security = Security()


class Toleration(Part):
    """A taint that a pod tolerates."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class NodeTerm(Part):
    """Nodes that a pod may run on."""

    match_expressions: list[Requirement] = Field(default=[])
    match_fields: list[Requirement] = Field(default=[])


class NodeTerms(Part):
    """Alternatives: one of them must match."""

    node_selector_terms: list[NodeTerm] = Field(default=[])


class NodeAffinity(Part):
    """What a pod requires of its node; its preferences are not read."""

    required: NodeTerms | None = Field(None, alias="requiredDuringSchedulingIgnoredDuringExecution")


class AwayFrom(Part):
    """Pods that another one keeps away from, on the same node, zone or other topology."""

    topology_key: str = ""
    label_selector: Selector | None = None


class PreferablyAwayFrom(Part):
    """The same as a preference."""

    pod_affinity_term: AwayFrom = AwayFrom()


class PodAntiAffinity(Part):
    """Which pods it keeps away from."""

    required: list[AwayFrom] = Field(
        default=[], alias="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: list[PreferablyAwayFrom] = Field(
        default=[], alias="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Part):
    """Where a pod may run."""

    node_affinity: NodeAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class Spread(AwayFrom):
    """A constraint on how pods are spread over a topology."""

    max_skew: int = 1
    when_unsatisfiable: str = ""


class ClaimSpec(Part):
    """The specification of a claim of storage."""

    storage_class_name: str | None = None
    resources: Resources = Resources()


class Claim(Part):
    """A claim of storage that is made for each pod."""

    metadata: Metadata = Metadata()
    spec: ClaimSpec = ClaimSpec()


class Ephemeral(Part):
    """A volume whose claim lives as long as its pod."""

    volume_claim_template: Claim | None = None


class HostPath(Part):
    """A folder or a socket of the node."""

    path: str


class SecretVolume(Part):
    """A volume with the keys of a Secret."""

    secret_name: str = ""
    optional: bool = False


class Projection(Part):
    """One source of a projected volume."""

    secret: Key | None = None
    config_map: Key | None = None


class Projected(Part):
    """A volume of several sources."""

    sources: list[Projection] = Field(default=[])


class Volume(Part):
    """A volume of a pod."""

    name: str = ""
    secret: SecretVolume | None = None
    config_map: Key | None = None
    projected: Projected | None = None
    ephemeral: Ephemeral | None = None
    host_path: HostPath | None = None


class PodSpec(Part):
    """The specification of a pod."""

    containers: list[Container] = Field(default=[])
    init_containers: list[Container] = Field(default=[])
    resources: Resources | None = None
    overhead: Quantities = Field(default={})
    volumes: list[Volume] = Field(default=[])
    image_pull_secrets: list[Key] = Field(default=[])
    security_context: Security = Security()
    host_pid: bool = Field(False, alias="hostPID")
    host_ipc: bool = Field(False, alias="hostIPC")
    host_network: bool = False
    host_users: bool | None = None
    termination_grace_period_seconds: int | None = None
    topology_spread_constraints: list[Spread] = Field(default=[])
    priority_class_name: str = ""
    active_deadline_seconds: int | None = None
    node_name: str = ""
    node_selector: Texts = Field(default={})
    tolerations: list[Toleration] = Field(default=[])
    affinity: Affinity | None = None


class Template(Part):
    """The template of a workload's pods."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


class RollingUpdate(Part):
    """How many more and fewer pods there may be; None: not given.

    Attributes:
        partition: of a StatefulSet; the pods below this ordinal keep the old release.
    """

    max_surge: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None
    partition: int | None = None


class Canary(RollingUpdate):
    """Argo Rollouts: new pods step by step."""

    traffic_routing: dict[str, Any] | None = None


class BlueGreen(Part):
    """Argo Rollouts: as many new pods as old ones, and then a switch."""

    preview_replica_count: int | None = None


class Strategy(Part):
    """How pods are replaced."""

    type: str = ""
    rolling_update: RollingUpdate | None = None
    canary: Canary | None = None
    blue_green: BlueGreen | None = None


class WorkloadRef(Part):
    """The Deployment whose template a Rollout takes."""

    kind: str = ""
    name: str = ""


class WorkloadSpec(Part):
    """The specification of a Deployment, a StatefulSet or a Rollout."""

    replicas: int | None = Field(None, ge=0)
    paused: bool = False
    strategy: Strategy | None = None
    update_strategy: Strategy | None = None
    revision_history_limit: int | None = None
    selector: Selector = Selector()
    volume_claim_templates: list[Claim] = Field(default=[])
    template: Template = Template()
    workload_ref: WorkloadRef | None = None


class WorkloadStatus(Part):
    """The replicas of a workload."""

    replicas: int = 0
    ready_replicas: int = 0


class Workload(Object):
    """A Deployment, a StatefulSet or a Rollout of Argo Rollouts."""

    spec: WorkloadSpec
    status: WorkloadStatus = WorkloadStatus()


class JobSpec(Part):
    """The specification of a Job."""

    template: Template = Template()


class Job(Object):
    """Pods that end."""

    spec: JobSpec


class JobTemplate(Part):
    """The Job that a CronJob makes."""

    spec: JobSpec


class CronJobSpec(Part):
    """The specification of a CronJob."""

    schedule: str = ""
    suspend: bool = False
    job_template: JobTemplate


class CronJob(Object):
    """Jobs by the clock."""

    spec: CronJobSpec


class BudgetSpec(Part):
    """The specification of a PodDisruptionBudget of policy/v1."""

    selector: Selector | None = None
    min_available: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None


class DisruptionBudget(Object):
    """How many pods may be evicted."""

    spec: BudgetSpec = BudgetSpec()


class ServicePort(Part):
    """A port of a Service; None: the same number at the pod."""

    name: str = ""
    port: int
    target_port: IntOrPercent | None = None


class ServiceSpec(Part):
    """Which pods a Service sends requests to."""

    type: str = "ClusterIP"

    selector: Texts = Field(default={})
    ports: list[ServicePort] = Field(default=[])


class Service(Object):
    """Sends requests to the pods that are ready."""

    spec: ServiceSpec = ServiceSpec()


class BackendPort(Part):
    """A port of a Service, by its name or number."""

    name: str = ""
    number: int | None = None


class BackendService(Part):
    """A Service that an Ingress sends requests to."""

    name: str = ""
    port: BackendPort = BackendPort()


class Backend(Part):
    """Where an Ingress sends requests; None: to a resource that is not a Service."""

    service: BackendService | None = None


class IngressPath(Part):
    """A path of a host."""

    path: str = "/"
    backend: Backend


class Paths(Part):
    """The paths of a host."""

    paths: list[IngressPath] = Field(default=[])


class IngressRule(Part):
    """The rule of one host; empty: of all hosts."""

    host: str = ""
    http: Paths = Paths()


class IngressTls(Part):
    """A certificate, and the hosts that it is for."""

    hosts: list[str] = Field(default=[])
    secret_name: str = ""


class IngressSpec(Part):
    """Which hosts and paths an Ingress serves, and with which certificates."""

    ingress_class_name: str | None = None
    default_backend: Backend | None = None
    rules: list[IngressRule] = Field(default=[])
    tls: list[IngressTls] = Field(default=[])


class Ingress(Object):
    """Lets requests in from outside."""

    spec: IngressSpec = IngressSpec()


class PolicyRule(Part):
    """Traffic that is let through; without peers and ports, all of it."""

    from_: list[dict[str, Any]] = Field(default=[], alias="from")
    ports: list[dict[str, Any]] = Field(default=[])


class PolicySpec(Part):
    """Which pods a policy isolates, and what it lets through to them."""

    pod_selector: Selector = Selector()
    policy_types: list[str] = Field(default=[])
    ingress: list[PolicyRule] = Field(default=[])


class NetworkPolicy(Object):
    """Isolates pods."""

    spec: PolicySpec = PolicySpec()


class ConfigMap(Object):
    """Settings that anyone may read who may read the namespace."""

    data: Texts = Field(default={})
    binary_data: dict[str, Any] = Field(default={})


class Scope(Part):
    """A requirement of a quota's scope selector."""

    scope_name: str
    operator: str
    values: list[str] = Field(default=[])


class ScopeSelector(Part):
    """All of its requirements must hold."""

    match_expressions: list[Scope] = Field(default=[])


class QuotaSpec(Part):
    """The limits of a namespace."""

    hard: Quantities = Field(default={})
    scopes: list[str] = Field(default=[])
    scope_selector: ScopeSelector | None = None


class QuotaStatus(Part):
    """What the namespace uses; None: not counted yet."""

    used: dict[str, Quantity] | None = None


class ResourceQuota(Object):
    """A limit on the sum of all pods of a namespace."""

    spec: QuotaSpec = QuotaSpec()
    status: QuotaStatus = QuotaStatus()


class LimitItem(Part):
    """Defaults for containers that declare no resources."""

    type: str
    default: Quantities = Field(default={})
    default_request: Quantities = Field(default={})
    max: Quantities = Field(default={})
    min: Quantities = Field(default={})
    max_limit_request_ratio: Quantities = Field(default={})


class LimitRangeSpec(Part):
    """The items of a LimitRange, for containers, pods and others."""

    limits: list[LimitItem] = Field(default=[])


class LimitRange(Object):
    """Defaults of a namespace."""

    spec: LimitRangeSpec = LimitRangeSpec()


class Taint(Part):
    """Keeps pods that do not tolerate it away from a node."""

    key: str
    value: str = ""
    effect: str


class NodeSpec(Part):
    """The specification of a node."""

    unschedulable: bool = False
    taints: list[Taint] = Field(default=[])


class NodeStatus(Part):
    """The allocatable resources and the conditions of a node."""

    allocatable: Quantities = Field(default={})
    conditions: list[Condition] = Field(default=[])


class Node(Object):
    """A machine of the cluster."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ContainerStatus(Part):
    """What runs in a container of a pod."""

    name: str = ""
    image_id: str = Field("", alias="imageID")


class PodStatus(Part):
    """The phase of a pod, and what its containers run."""

    phase: str = ""
    container_statuses: list[ContainerStatus] = Field(default=[])


class Pod(Object):
    """An existing pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class TargetRef(Part):
    """What an autoscaler scales; `autoscaling/v2 CrossVersionObjectReference`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class Policy(Part):
    """A scaling policy: at most `value` pods, or percent, in a period.

    The API server accepts only values above zero, and periods up to 1800 s.
    """

    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class Rules(Part):
    """How fast it scales in one direction; None: not given."""

    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    policies: Annotated[list[Policy], Field(min_length=1)] | None = None
    stabilization_window_seconds: int | None = Field(None, ge=0, le=3600)


class Behavior(Part):
    """How fast it scales."""

    scale_up: Rules | None = None
    scale_down: Rules | None = None


class MetricTarget(Part):
    """The target of a metric."""

    type: str = ""
    average_utilization: int | None = Field(None, gt=0)
    average_value: Quantity | None = None
    value: Quantity | None = None


class MetricSource(Part):
    """A resource of the pods, or of one container of each."""

    name: str
    container: str = ""
    target: MetricTarget = MetricTarget()


class Metric(Part):
    """One metric of an autoscaler."""

    type: str
    resource: MetricSource | None = None
    container_resource: MetricSource | None = None


class MetricStatus(Part):
    """The last value that the controller read."""

    type: str


class AutoscalerSpec(Part):
    """The specification of autoscaling/v1 and v2."""

    scale_target_ref: TargetRef
    min_replicas: int | None = Field(None, ge=0)
    max_replicas: int = Field(gt=0)
    metrics: list[Metric] = Field(default=[])
    behavior: Behavior | None = None
    target_cpu: int | None = Field(None, gt=0, alias="targetCPUUtilizationPercentage")


class AutoscalerStatus(Part):
    """The metrics and conditions that the controller reported last."""

    current_metrics: list[MetricStatus | None] = Field(default=[])
    conditions: list[Condition] = Field(default=[])


class HorizontalPodAutoscaler(Object):
    """An autoscaler."""

    spec: AutoscalerSpec
    status: AutoscalerStatus = AutoscalerStatus()


class Trigger(Part):
    """A metric of a ScaledObject."""

    type: str
    metric_type: str = "AverageValue"
    metadata: Texts = Field(default={})


class HpaConfig(Part):
    """Settings that KEDA passes to the autoscaler that it makes."""

    behavior: Behavior | None = None


class Advanced(Part):
    """The rarer settings of a ScaledObject."""

    hpa: HpaConfig | None = Field(None, alias="horizontalPodAutoscalerConfig")


class ScaledObjectSpec(Part):
    """The specification of keda.sh/v1alpha1."""

    scale_target_ref: TargetRef
    min_replica_count: int = Field(0, ge=0)
    max_replica_count: int = Field(100, gt=0)
    idle_replica_count: int | None = Field(None, ge=0)
    triggers: list[Trigger] = Field(default=[])
    advanced: Advanced | None = None


class ScaledObject(Object):
    """KEDA's object: KEDA makes an autoscaler for it, and scales to zero itself."""

    spec: ScaledObjectSpec


class UpdatePolicy(Part):
    """Whether a vertical autoscaler applies its recommendations."""

    update_mode: str = "Auto"


class ContainerPolicy(Part):
    """The policy of one container, or of all (`*`)."""

    container_name: str = "*"
    mode: str = "Auto"
    controlled_resources: list[str] | None = None


class ResourcePolicy(Part):
    """The policies of containers."""

    container_policies: list[ContainerPolicy] = Field(default=[])


class VerticalSpec(Part):
    """The specification of autoscaling.k8s.io."""

    target_ref: TargetRef
    update_policy: UpdatePolicy | None = None
    resource_policy: ResourcePolicy | None = None


class VerticalPodAutoscaler(Object):
    """Changes the requests that utilization is a share of."""

    spec: VerticalSpec
