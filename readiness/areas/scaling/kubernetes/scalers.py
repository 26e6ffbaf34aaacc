"""The objects that scale a workload; fields that do not matter here are not read."""

from typing import Annotated, Literal

from pydantic import Field

from readiness.areas.scaling.kubernetes.parts import (
    ABSENT,
    ABSENT_LIST,
    Condition,
    Object,
    Part,
    Quantity,
    Texts,
)


class TargetRef(Part):
    """What an autoscaler scales; `autoscaling/v2 CrossVersionObjectReference`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class Policy(Part):
    """One line of a behaviour: at most that many pods, or percent, in that time.

    The API server takes neither zero nor less, and no period above 1800 s.
    """

    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class Rules(Part):
    """How fast it goes in one direction; None: not given."""

    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    policies: Annotated[list[Policy], Field(min_length=1)] | None = None
    stabilization_window_seconds: int | None = Field(None, ge=0, le=3600)


class Behavior(Part):
    """How fast it goes."""

    scale_up: Rules | None = None
    scale_down: Rules | None = None


class MetricTarget(Part):
    """What a metric is held at."""

    type: str = ""
    average_utilization: int | None = Field(None, gt=0)
    average_value: Quantity | None = None
    value: Quantity | None = None


class MetricSource(Part):
    """The metric of a resource of the pods, or of one container of each."""

    name: str
    container: str = ""
    target: MetricTarget = MetricTarget()


class Metric(Part):
    """One metric of an autoscaler."""

    type: str
    resource: MetricSource | None = None
    container_resource: MetricSource | None = None


class MetricStatus(Part):
    """What the controller saw of it last."""

    type: str


class AutoscalerSpec(Part):
    """Of autoscaling/v1 and v2."""

    scale_target_ref: TargetRef
    min_replicas: int | None = Field(None, ge=0)
    max_replicas: int = Field(gt=0)
    metrics: Annotated[list[Metric], ABSENT_LIST] = Field(default=[])
    behavior: Behavior | None = None
    target_cpu: int | None = Field(None, gt=0, alias="targetCPUUtilizationPercentage")


class AutoscalerStatus(Part):
    """What the controller did last."""

    current_replicas: int | None = None
    desired_replicas: int | None = None
    current_metrics: Annotated[list[MetricStatus | None], ABSENT_LIST] = Field(default=[])
    conditions: Annotated[list[Condition], ABSENT_LIST] = Field(default=[])


class HorizontalPodAutoscaler(Object):
    """An autoscaler."""

    spec: AutoscalerSpec
    status: Annotated[AutoscalerStatus, ABSENT] = AutoscalerStatus()


class Trigger(Part):
    """What a ScaledObject looks at."""

    type: str
    metric_type: str = "AverageValue"
    metadata: Texts = Field(default={})


class HpaConfig(Part):
    """What KEDA hands on to the autoscaler that it makes."""

    behavior: Behavior | None = None


class Advanced(Part):
    """The rarer settings of a ScaledObject."""

    hpa: HpaConfig | None = Field(None, alias="horizontalPodAutoscalerConfig")


class ScaledObjectSpec(Part):
    """Of keda.sh/v1alpha1."""

    scale_target_ref: TargetRef
    min_replica_count: int = Field(0, ge=0)
    max_replica_count: int = Field(100, gt=0)
    idle_replica_count: int | None = Field(None, ge=0)
    triggers: Annotated[list[Trigger], ABSENT_LIST] = Field(default=[])
    advanced: Advanced | None = None


class ScaledObject(Object):
    """KEDA's: it makes an autoscaler, and scales to zero itself."""

    spec: ScaledObjectSpec


class UpdatePolicy(Part):
    """What a vertical autoscaler does with what it recommends."""

    update_mode: str = "Auto"


class ContainerPolicy(Part):
    """The same for one container, or `*`."""

    container_name: str = "*"
    mode: str = "Auto"
    controlled_resources: list[str] | None = None


class ResourcePolicy(Part):
    """The same for all of them."""

    container_policies: Annotated[list[ContainerPolicy], ABSENT_LIST] = Field(default=[])


class VerticalSpec(Part):
    """Of autoscaling.k8s.io."""

    target_ref: TargetRef
    update_policy: UpdatePolicy | None = None
    resource_policy: ResourcePolicy | None = None


class VerticalPodAutoscaler(Object):
    """It changes the requests that a share of use is measured by."""

    spec: VerticalSpec
