"""The models of [deployment.ADAPTER]: what changes the release that is served."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Model, Name, Text

Adapter = Literal["command", "compose", "kubectl", "helm", "argo-rollouts"]
"""What changes the release: commands of your own, or a known tool."""

RELEASE: Final = "{release}"


def names_release(text: str) -> str:
    """The text, which must have the placeholder."""
    if RELEASE not in text:
        raise PydanticCustomError("no_release", "must contain {release}")
    return text


def _command_names_release(command: list[str]) -> list[str]:
    names_release(" ".join(command))
    return command


Releasing = Annotated[Command, AfterValidator(_command_names_release)]
"""A command with `{release}` in it: a tool's own "previous" may be another release."""
Image = Annotated[Text, AfterValidator(names_release)]


class ByCommand(Model):
    """Commands of your own, as lists; `{release}` is filled in."""

    deploy: Releasing = Field(
        ..., description="deploys `{release}`; returns when it is done, or at once"
    )
    rollback: Releasing | None = Field(
        None, description="rolls back to `{release}`; default: `deploy`"
    )
    state: Command | None = Field(
        None,
        description="prints what must be the same again after a rollback, such as the environment,"
        " one KEY=value per line; values are kept as digests only",
    )
    replicas: Command | None = Field(None, description="prints how many replicas serve now")
    status: Command | None = Field(None, description="exits with 0 if no change is under way")


class ByCompose(Model):
    """A service of docker compose, whose image's tag comes from a variable."""

    tool: Command = Field(
        default=["docker", "compose"], description="the tool, with its own options"
    )
    engine: Command | None = Field(
        None,
        description="the command of the container engine that the tool uses, which lists what runs;"
        " default: `tool` without `compose`",
    )
    wait: bool = Field(
        default=True,
        description="let `up` wait until the containers are healthy; false for tools that do not"
        " know --wait: docker-compose 1, older podman-compose",
    )
    files: Annotated[list[Text], Field(min_length=1)] = Field(
        default=["docker-compose.yml"], description="the compose files, in order"
    )
    # Compose 2 accepts no other names, and compose 1 would change them.
    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = Field(
        ..., description="the name of the project"
    )
    service: Name = Field(..., description="the service that is changed; no other one is")
    variable: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] = Field(
        "TAG", description="the variable that holds the image's tag"
    )

    @property
    def engine_argv(self) -> list[str]:
        """The command of the engine; empty where `tool` does not say."""
        if self.engine:
            return self.engine
        if self.tool == ["docker-compose"]:
            return ["docker"]
        return self.tool[:-1] if self.tool[-1] == "compose" else []

    @model_validator(mode="after")
    def _knows_its_engine(self) -> Self:
        """Another engine would list other containers."""
        if not self.engine_argv:
            raise PydanticCustomError(
                "compose_engine",
                'with this `tool`, `engine` must name the engine\'s command, as `["podman"]`',
            )
        return self


class Cluster(Model):
    """A namespace of a Kubernetes cluster; the current context is never used."""

    context: Text = Field(..., description="the context of the kubeconfig")
    namespace: Name = Field(..., description="the namespace")


class ByKubectl(Cluster):
    """A Deployment or StatefulSet whose image is changed."""

    workload: Annotated[str, Field(pattern=r"^(deployment|statefulset)/[a-z0-9][a-z0-9.-]*$")] = (
        Field(..., description="the workload, as `deployment/shop`")
    )
    container: Name = Field(..., description="the container whose image is changed")
    image: Image = Field(..., description="the image, as `registry.example.com/shop:{release}`")


class ByHelm(Cluster):
    """A release of Helm. A rollback is an upgrade with the older values, not `helm rollback`."""

    release_name: Name = Field(..., description="the name of the Helm release")
    chart: Text = Field(..., description="the chart: a folder, or a reference")
    set: Annotated[list[Image], Field(min_length=1)] = Field(
        ..., description="values that name the release, as `image.tag={release}`"
    )


class ByArgoRollouts(Cluster):
    """A Rollout of Argo Rollouts, changed by its kubectl plugin."""

    rollout: Name = Field(..., description="the name of the Rollout")
    container: Name = Field(..., description="the container whose image is changed")
    image: Image = Field(..., description="the image, as `registry.example.com/shop:{release}`")
