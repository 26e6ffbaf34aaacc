"""The models of [scaling.NAME]: how a workload is to grow and shrink."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Count, Model, Name, Named, Positive, Text, tables
from readiness.lib.prober.settings import Watched

Percent = Annotated[int, Field(ge=0, le=1000)]
_WORKLOAD = r"^(deployment|statefulset)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"


class Cluster(Model):
    """The cluster whose live objects are read, with kubectl; nothing is changed."""

    context: Text = Field(..., description="the context of kubectl; the current one is never taken")
    namespace: Text = Field(..., description="where the workload is")
    timeout_s: Positive = Field(30, description="seconds that one command may take")


class Live(Watched):
    """The drill: it is made to grow and to shrink, while a prober asks it."""

    replicas: Command = Field(..., description="prints how many replicas serve now")
    loaded_replicas: Count = Field(
        ..., description="how many have to serve under that load: what it needs"
    )
    load_rate_per_s: Annotated[float, Field(gt=0, le=2000)] | None = Field(
        None, description="requests a second to `url` that make it grow, beside `rate_per_s`"
    )
    load: Command | None = Field(
        None, description="makes the load instead, until it is ended; as long as it may take"
    )
    up: Command | None = Field(
        None, description="makes it grow without any load, where nothing scales by itself"
    )
    down: Command | None = Field(None, description="and makes it shrink again")
    up_within_s: Positive = Field(
        180, description="seconds from the begin of the load until so many serve"
    )
    down_within_s: Positive = Field(
        900, description="seconds from its end until there are the fewest again"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """There is one thing that makes it grow; what makes it shrink belongs to one of them."""
        ways = [way for way in (self.load_rate_per_s, self.load, self.up) if way is not None]
        if len(ways) != 1 or (self.up is None) is not (self.down is None):
            raise PydanticCustomError(
                "scaling_ways", "give one of `load_rate_per_s`, `load`, and `up` with `down`"
            )
        return self


class Scaling(Named):
    """A workload that scales itself."""

    conditions: ClassVar[Mapping[str, str]] = {"on_paper": "`manifests` or `cluster`"}

    workload: Annotated[str, Field(pattern=_WORKLOAD)] = Field(
        "", description="deployment/NAME or statefulset/NAME; for `manifests` and `cluster`"
    )
    manifests: Annotated[list[Text], Field(min_length=1)] = Field(
        default=[],
        description="patterns of files: rendered manifests, or live objects as"
        " `kubectl get -o json` prints them",
    )
    live_max_age_h: Positive = Field(
        24, description="hours; a file with live objects may not be older"
    )
    cluster: Cluster | None = Field(None, description="where live objects are read from")
    live: Live | None = Field(None, description="the drill that makes it grow and shrink")
    min_replicas: Count = Field(3, description="replicas that are always there")
    max_replicas: Count = Field(10, description="replicas that there must be room for")
    cpu_percent: Percent = Field(
        70, description="percent of the request at which it grows; 0: not by CPU"
    )
    memory_percent: Percent = Field(80, description="the same of memory; 0: not by memory")
    up_pods: Count = Field(2, description="pods that it adds in `up_s`, not more and not fewer")
    up_s: Positive = Field(15, description="seconds; the controller looks every 15")
    down_pods: Count = Field(1, description="pods that it takes away in `down_s`")
    down_s: Positive = Field(60, description="seconds")
    max_unavailable: Annotated[int, Field(ge=0)] = Field(
        0, description="pods that a rolling update may take away at once, at any count"
    )
    nodes_grow: bool = Field(
        False, description="the cluster adds nodes by itself: those that are there are no limit"
    )
    database: Name | None = Field(
        None, description="the [databases.NAME] that the replicas connect to"
    )
    database_role: Text | None = Field(
        None, description="the role that they connect as; those of all others are counted beside"
    )
    connections_per_replica: Count | None = Field(
        None, description="connections to the server that one replica opens at most: its pool"
    )

    @property
    def on_paper(self) -> bool:
        """Whether there are objects of Kubernetes that tell how it scales."""
        return bool(self.manifests or self.cluster)


class Config(tables.Config):
    """The tables of scaling."""

    scaling: Annotated[dict[Name, Scaling], Field(min_length=1)] = Field(
        default={}, description="the workloads that scale themselves, as [scaling.NAME]"
    )
