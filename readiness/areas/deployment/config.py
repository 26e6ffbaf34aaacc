"""The model of [deployment]: how the target changes its release, and what that may cost."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.areas.deployment.config_adapters import (
    Adapter,
    ByArgoRollouts,
    ByCommand,
    ByCompose,
    ByHelm,
    ByKubectl,
)
from readiness.areas.deployment.config_before import (
    Artifact,
    Compatibility,
    Files,
    Host,
    Order,
    Report,
    SavedLayer,
    Worker,
)
from readiness.config.base import Command, Count, Model, Name, Path_, Positive, Text, Url, tables
from readiness.lib.prober.settings import Watched

TABLES: Final[Mapping[Adapter, str]] = {
    "command": "command",
    "compose": "compose",
    "kubectl": "kubectl",
    "helm": "helm",
    "argo-rollouts": "argo_rollouts",
}
"""The table of each adapter."""


def _names_id(command: list[str]) -> list[str]:
    if "{id}" not in " ".join(command):
        raise PydanticCustomError("no_id", "must contain {id}: which row is meant")
    return command


OfRow = Annotated[Command, AfterValidator(_names_id)]


class Data(Model):
    """A row of our own: written by the new release, it has to be readable by the old one."""

    write: OfRow = Field(..., description="writes the row `{id}`, through the application")
    read: OfRow = Field(..., description="prints the id, where the row can be read")
    remove: OfRow = Field(..., description="removes the row")


class SlowRequest(Model):
    """A request that takes a while, and a replica that is stopped meanwhile."""

    path: Path_ = Field(..., description="on the same host; takes a second or more to answer")
    stop_one: Command = Field(
        ..., description="stops one replica as a deployment does; it has to come back by itself"
    )


class Deployment(Watched):
    """How the target changes its release, and what that may cost."""

    name: ClassVar[str] = "deployment"

    url: Url = Field(
        ..., description="the public way in; answers GET with a JSON object that tells the release"
    )
    version_key: Text = Field("version", description="the key of the release in that object")
    replicas: Count = Field(1, description="how many have to serve")
    release: Text = Field(
        "", description="what is judged, as the service tells it; default: [target] release"
    )
    previous: Text | None = Field(
        None, description="the release that one goes back to; the drills need it"
    )
    adapter: Adapter | None = Field(
        None, description="what changes the release; its table is [deployment.ADAPTER]"
    )
    change_within_s: Positive = Field(
        300, description="seconds; a change that takes longer is given up and put back"
    )
    rollback_max_s: Positive = Field(
        300, description="seconds from the command to 30 good answers in a row, all of `previous`"
    )
    p99_max_ratio: Positive = Field(
        3, description="how much slower the p99 may become during a change"
    )
    p99_floor_ms: Positive = Field(50, description="milliseconds; a p99 below is never too slow")
    bad_release: Text | None = Field(
        None, description="a release that the target must take back by itself"
    )
    auto_rollback_max_s: Positive = Field(
        300, description="seconds until it has, from the command on"
    )
    command: ByCommand | None = Field(None, description="commands of your own")
    compose: ByCompose | None = Field(None, description="a service of docker compose")
    kubectl: ByKubectl | None = Field(None, description="a workload of Kubernetes")
    helm: ByHelm | None = Field(None, description="a release of Helm")
    argo_rollouts: ByArgoRollouts | None = Field(None, description="an Argo Rollout")
    data: Data | None = Field(None, description="a row that has to survive a rollback")
    slow_request: SlowRequest | None = Field(
        None, description="a request that must survive the stop of the replica that answers it"
    )

    host: Host | None = Field(None, description="the machine that the release is put on")
    files: Files | None = Field(None, description="the configuration that goes out with it")
    layers: Annotated[dict[Name, SavedLayer], Field(min_length=1)] = Field(
        default={}, description="what must be saved before, as [deployment.layers.NAME]"
    )
    order: Order | None = Field(None, description="in which order the parts start")
    artifact: Artifact | None = Field(None, description="how to see that a release can be had")
    workers: Annotated[dict[Name, Worker], Field(min_length=1)] = Field(
        default={}, description="what runs the release and serves no HTTP"
    )
    report: Report | None = Field(None, description="what a deployment leaves behind")
    compatibility: Compatibility | None = Field(
        None, description="the release before, started on the schema of this one"
    )

    @property
    def drills(self) -> bool:
        """Whether the release can be changed by us."""
        return self.adapter is not None

    @model_validator(mode="after")
    def _fits_its_adapter(self) -> Self:
        """The table of the adapter is there, and no other that nobody would read."""
        for adapter, key in TABLES.items():
            if (adapter == self.adapter) is not (getattr(self, key) is not None):
                raise PydanticCustomError(
                    "deployment_adapter",
                    '`adapter = "{adapter}"` and the table [deployment.{key}] need each other',
                    {"adapter": adapter, "key": key},
                )
        if self.adapter and self.previous is None:
            raise PydanticCustomError(
                "deployment_previous", "with `adapter`, `previous` says what to go back to"
            )
        if (self.artifact or self.compatibility) and self.previous is None:
            raise PydanticCustomError(
                "deployment_previous",
                "with `artifact` or `compatibility`, `previous` says what to go back to",
            )
        if self.bad_release and not self.adapter:
            raise PydanticCustomError(
                "deployment_bad", "`bad_release` needs an `adapter` that deploys it"
            )
        return self


class Config(tables.Config):
    """The tables of deployment."""

    deployment: Deployment | None = Field(
        None, description="how the target changes its release, and what that may cost"
    )

    @model_validator(mode="after")
    def _release_of_the_target(self) -> Self:
        """What is deployed is what is judged, unless [deployment] says otherwise."""
        if self.deployment is None or self.deployment.release:
            return self
        deployment = self.deployment.model_copy(update={"release": self.target.release})
        return self.model_copy(update={"deployment": deployment})
