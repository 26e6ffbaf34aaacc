"""The models of [scaling.NAME]: how a workload is to scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Count, File, Name, Named, Positive, Text, tables
from readiness.lib.kubernetes.kubectl import Cluster
from readiness.lib.prober.watched import Watched
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement

Percent = Annotated[int, Field(ge=0, le=1000)]
_WORKLOAD = r"^(deployment|statefulset|rollout)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"


_Pods = Count | Annotated[list[Count], Field(min_length=2, max_length=2)]


class Live(Watched):
    """The drill: the workload is made to scale up and down while a prober sends requests."""

    replicas: Command = Field(..., description="command that prints how many replicas serve now")
    loaded_replicas: Count = Field(..., description="replicas that must serve under the load")
    load_rate_per_s: Annotated[float, Field(gt=0, le=2000)] | None = Field(
        None,
        description="requests a second to `url` that make it scale up, in addition to `rate_per_s`",
    )
    load: Command | None = Field(
        None, description="command that makes the load instead, until the drill stops it"
    )
    up: Command | None = Field(
        None, description="command that scales it up without load, where nothing scales by itself"
    )
    down: Command | None = Field(
        None, description="command that scales it down again; goes with `up`"
    )
    up_within_s: Positive = Field(
        180, description="seconds from the start of the load until `loaded_replicas` serve"
    )
    down_within_s: Positive = Field(
        900, description="seconds from the end of the load until `min_replicas` are left"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [way for way in (self.load_rate_per_s, self.load, self.up) if way is not None]
        if len(ways) != 1 or (self.up is None) is not (self.down is None):
            raise PydanticCustomError(
                "scaling_ways", "set exactly one of `load_rate_per_s`, `load`, or `up` with `down`"
            )
        return self


@dataclass(frozen=True, slots=True)
class Agreed:
    """At least so many pods, and at most so many, added or removed in so many seconds."""

    least: int
    most: int
    seconds: float


class Scaling(Named):
    """A workload that scales, or runs at a fixed replica count."""

    conditions: ClassVar[Mapping[str, str]] = {"on_paper": "`manifests` or `cluster`"}

    workload: Annotated[str, Field(pattern=_WORKLOAD)] = Field(
        "",
        description="deployment/NAME, statefulset/NAME or rollout/NAME (Argo Rollouts); required"
        " with `manifests` or `cluster`",
    )
    namespace: Text | None = Field(
        None, description="its namespace, where `manifests` have several workloads of that name"
    )
    manifests: Annotated[list[File], Field(min_length=1)] = Field(
        default=[],
        description="patterns of files: rendered manifests, or live objects as"
        " printed by `kubectl get -o json`",
    )
    live_max_age_h: Positive = Field(
        24, description="hours; the oldest that a file of live objects may be"
    )
    cluster: Cluster | None = Field(None, description="the cluster that live objects are read from")
    live: Live | None = Field(None, description="the drill that makes it scale up and down")
    min_replicas: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="the fewest replicas, at any load; 0: scales to zero; default: not judged",
    )
    max_replicas: Count | None = Field(
        None, description="the most replicas, which it must be allowed; default: not judged"
    )
    cpu_percent: Percent | None = Field(
        None,
        description="percent of the CPU request at which it scales up; 0: not by CPU; default: not"
        " judged",
    )
    memory_percent: Percent | None = Field(
        None,
        description="percent of the memory request at which it scales up; 0: not by memory;"
        " default: not judged",
    )
    up_pods: _Pods | None = Field(
        None,
        description="pods that it adds in `up_s`, no more and no fewer; [2, 10]: at least 2 and at"
        " most 10; default: not judged",
    )
    # The period of Kubernetes' own policies: kubernetes.io, horizontal-pod-autoscale,
    # "Default behavior".
    up_s: Positive = Field(
        15, description="seconds; the period of `up_pods`, by default that of Kubernetes' policies"
    )
    down_pods: _Pods | None = Field(
        None,
        description="pods that it removes in `down_s`, as `up_pods`; default: not judged",
    )
    down_s: Positive = Field(
        15,
        description="seconds; the period of `down_pods`, by default that of Kubernetes' policies",
    )
    max_unavailable: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="pods that a rolling update may make unavailable at once, at any replica count;"
        " default: 25 % of them, rounded down, and one of a StatefulSet",
    )
    nodes_grow: bool = Field(
        False,
        description="whether a cluster autoscaler adds nodes, so that today's nodes are no limit",
    )
    database: Name | None = Field(
        None, description="the [databases.NAME] that the replicas connect to"
    )
    database_role: Text | None = Field(
        None,
        description="the role that the replicas connect as; those of other roles are added",
    )
    connections_per_replica: Count | None = Field(
        None, description="the most connections to the server that one replica opens: its pool size"
    )

    @property
    def on_paper(self) -> bool:
        """Whether Kubernetes objects describe how it scales."""
        return bool(self.manifests or self.cluster)

    @property
    def scales(self) -> bool:
        """Whether something was agreed that only an autoscaler can do."""
        keys = (self.max_replicas, self.cpu_percent, self.memory_percent)
        return any(key is not None for key in (*keys, self.up_pods, self.down_pods))

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The workload and its namespace."""
        namespace = self.cluster.namespace if self.cluster else self.namespace
        words = {"WORKLOAD": self.workload, "NAMESPACE": namespace}
        return {word: found for word, found in words.items() if found}

    def pace(self, direction: Literal["up", "down"]) -> Agreed | None:
        """How fast pods must be added (or removed); None if not configured."""
        up = direction == "up"
        pods, seconds = (self.up_pods, self.up_s) if up else (self.down_pods, self.down_s)
        if pods is None:
            return None
        least, most = pods if isinstance(pods, list) else (pods, pods)
        return Agreed(least, most, seconds)


class Config(tables.Config):
    """The tables of the area."""

    scaling: Annotated[dict[Name, Scaling], Field(min_length=1)] = Field(
        default={}, description="the workloads that an autoscaler scales, as [scaling.NAME]"
    )


_SUBJECTS: Final[Mapping[str, str]] = {
    "min_replicas": "minimum replica count",
    "max_replicas": "maximum replica count",
    "cpu_percent": "target utilization of CPU",
    "memory_percent": "target utilization of memory",
    "up_pods": "how fast pods are added",
    "down_pods": "how fast pods are removed",
}


def record_not_judged(scaling: Scaling, evidence: Evidence, *keys: str) -> None:
    """Record each of these keys that is not set, and what is not judged without it."""
    table = f"[scaling.{scaling.name}]"
    for key in keys:
        if getattr(scaling, key) is None:
            how = f"set `{key}` in {table}"
            evidence.record(Measurement(f"not judged: {_SUBJECTS[key]}", how, "text", table))
