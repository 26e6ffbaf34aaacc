"""The models of [deployment]: how the target changes its release, and what must be ready."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import (
    Command,
    Count,
    File,
    Model,
    Name,
    Named,
    Path_,
    Positive,
    Text,
    Url,
    tables,
)
from readiness.lib.prober.watched import Watched
from readiness.model.secrets import Dsn

Adapter = Literal["command", "compose", "kubectl", "helm", "argo-rollouts"]
"""What changes the release: commands of your own, or a known tool."""

RELEASE: Final = "{release}"
TABLES: Final[Mapping[Adapter, str]] = {
    "command": "command",
    "compose": "compose",
    "kubectl": "kubectl",
    "helm": "helm",
    "argo-rollouts": "argo_rollouts",
}
"""The table of each adapter."""
_GIB: Final = 1 << 30


def names_release(text: str) -> str:
    """The text, which must contain the placeholder."""
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
        """The command of the engine; empty if it does not follow from `tool`."""
        if self.engine:
            return self.engine
        if self.tool == ["docker-compose"]:
            return ["docker"]
        return self.tool[:-1] if self.tool[-1] == "compose" else []

    @model_validator(mode="after")
    def _knows_its_engine(self) -> Self:
        """Never guess the engine: another one would list other containers."""
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


def _names_id(command: list[str]) -> list[str]:
    if "{id}" not in " ".join(command):
        raise PydanticCustomError("no_id", "must contain {id}, the id of the row")
    return command


def _is_pattern(text: str) -> str:
    try:
        re.compile(names_release(text).replace(RELEASE, ""))
    except re.error as error:
        raise PydanticCustomError(
            "no_pattern", "is not a valid regular expression: {problem}", {"problem": str(error)}
        ) from None
    return text


OfRow = Annotated[Command, AfterValidator(_names_id)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)*$")]


class Data(Model):
    """A synthetic row that the new release writes and the old one must be able to read."""

    write: OfRow = Field(..., description="writes the row `{id}` through the application")
    read: OfRow = Field(..., description="prints the id if the row is readable")
    remove: OfRow = Field(..., description="removes the row")


class SlowRequest(Model):
    """A slow request, and the command that stops a replica while it is under way."""

    path: Path_ = Field(..., description="on the same host; takes a second or more to answer")
    stop_one: Command = Field(
        ..., description="stops one replica as a deployment does; the target must replace it"
    )


class Host(Model):
    """The machine that the release is deployed to."""

    disk_paths: Annotated[list[Path_], Field(min_length=1)] = Field(
        default=["/"], description="folders whose file systems must have room, as /var/lib/docker"
    )
    min_disk_bytes: Count = Field(
        10 * _GIB, description="bytes that each must have free for users other than root"
    )
    min_memory_bytes: Count = Field(
        8 * _GIB, description="bytes of memory that the machine and its cgroup must allow"
    )
    min_available_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="bytes of it that must be available now"
    )
    run_on: list[Text] = Field(
        default=[],
        description="prefix of the commands, as ['ssh', 'host']; empty: this machine",
    )
    runtime: Command | None = Field(
        None, description="prints the version of the container runtime, as its daemon answers"
    )
    min_runtime: Version = Field("20.10", description="the oldest allowed version of it")


class Files(Model):
    """The configuration that is deployed with the release."""

    parse: list[File] = Field(
        default=[],
        description="patterns of files: .yaml .yml .json .toml .ini .cfg .cnf; each must parse,"
        " without duplicate keys",
    )
    commands: list[Command] = Field(
        default=[],
        description="commands that check the rest, as ['nginx', '-t']; each must exit with 0",
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.parse or self.commands):
            raise PydanticCustomError("no_files", "needs `parse` or `commands`, or both")
        return self


class SavedLayer(Named):
    """What must be backed up before a deployment, `[deployment.layers.NAME]`."""

    path: File = Field(..., description="the folder that the copies are written to")
    pattern: Text = Field("*", description="which files of the folder are copies of this layer")
    max_age_min: Positive = Field(60, description="minutes; age of the newest one")
    sha256: bool = Field(
        False, description="whether FILE.sha256, as sha256sum writes it, must exist and match"
    )

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its folder."""
        return {"FOLDER": self.path}


class Order(Model):
    """In which order the services start."""

    compose: File | Annotated[list[File], Field(min_length=1)] = Field(
        ...,
        description="the compose file, or several in the order of `docker compose -f`; with `.env`"
        " beside the first, and what they include and extend",
    )
    patience_s: dict[Text, Positive] = Field(
        default={},
        description="seconds that others must wait for a service, by its name, before they give it"
        " up: a database that recovers from a crash takes its time",
    )

    @property
    def files(self) -> list[str]:
        """The compose files, in order."""
        return [self.compose] if isinstance(self.compose, str) else self.compose


class Artifact(Model):
    """How to find out whether a release is available."""

    command: Releasing = Field(
        ..., description="exits with 0 if the artifact of {release} exists, else not"
    )
    prints: Annotated[Text, AfterValidator(_is_pattern)] | None = Field(
        None, description="a regular expression with {release} that its output must match"
    )


class Worker(Named):
    """A process that runs the release and serves no HTTP, `[deployment.workers.NAME]`."""

    command: Command = Field(
        ..., description="prints the release, one line for each process that runs"
    )


class Report(Model):
    """The report that a deployment writes at its end."""

    path: File = Field(..., description="the JSON file that the newest deployment wrote")


class Compatibility(Model):
    """The previous release, started on the schema of this one, in a scratch database."""

    database: Name = Field(..., description="the [databases.NAME] whose schema is copied")
    start: Command = Field(
        ...,
        description="starts the previous release in the foreground; {dsn}, {port} and {release}"
        " are filled in",
    )
    ready: Path_ = Field("/health/ready", description="path that answers 200 when it can serve")
    ready_within_s: Positive = Field(60, description="seconds until it must")
    smoke: Annotated[list[Path_], Field(min_length=1)] = Field(
        ..., description="paths that must answer 200 then, in a database without rows"
    )
    dsn: Dsn | None = Field(
        None, description="a role that may dump the schema; default: that of the database"
    )


class Deployment(Watched):
    """How the target changes its release, and what that may cost."""

    name: ClassVar[str] = "deployment"

    # Files and hosts are judged without it.
    url: Url = Field(
        "",
        description="the public URL; answers GET with a JSON object that names the release; the"
        " drills need it",
    )
    version_key: Text = Field("version", description="the key of the release in that object")
    replicas: Count = Field(1, description="how many must serve")
    release: Text = Field(
        "", description="the release under test, as the service names it; default: [target] release"
    )
    previous: Text | None = Field(
        None, description="the release to roll back to; the drills need it"
    )
    adapter: Adapter | None = Field(
        None, description="what changes the release; its table is [deployment.ADAPTER]"
    )
    change_within_s: Positive = Field(
        300, description="seconds; a change that takes longer is stopped, and the release restored"
    )
    rollback_max_s: Positive = Field(
        300, description="seconds from the command to 30 good answers in a row, all of `previous`"
    )
    p99_max_ratio: Positive = Field(
        3, description="how much slower the p99 may become during a change"
    )
    p99_floor_ms: Positive = Field(50, description="milliseconds; a lower p99 is never too slow")
    bad_release: Text | None = Field(
        None, description="a release that the target must roll back automatically"
    )
    auto_rollback_max_s: Positive = Field(
        300, description="seconds from its deployment until it is rolled back"
    )
    command: ByCommand | None = Field(None, description="commands of your own")
    compose: ByCompose | None = Field(None, description="a service of docker compose")
    kubectl: ByKubectl | None = Field(None, description="a workload of Kubernetes")
    helm: ByHelm | None = Field(None, description="a release of Helm")
    argo_rollouts: ByArgoRollouts | None = Field(None, description="an Argo Rollout")
    data: Data | None = Field(None, description="a row that must survive a rollback")
    slow_request: SlowRequest | None = Field(
        None, description="a request that must survive the stop of the replica that answers it"
    )

    host: Host | None = Field(None, description="the machine that the release is deployed to")
    files: Files | None = Field(None, description="the configuration that is deployed with it")
    layers: Annotated[dict[Name, SavedLayer], Field(min_length=1)] = Field(
        default={}, description="what must be backed up before, as [deployment.layers.NAME]"
    )
    order: Order | None = Field(None, description="in which order the services start")
    artifact: Artifact | None = Field(None, description="how to see that a release is available")
    workers: Annotated[dict[Name, Worker], Field(min_length=1)] = Field(
        default={}, description="what runs the release and serves no HTTP"
    )
    report: Report | None = Field(None, description="what a deployment writes at its end")
    compatibility: Compatibility | None = Field(
        None, description="the previous release, started on the schema of this one"
    )

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Where it answers, and what is changed."""
        words = {"URL": self.url}
        if self.kubectl:
            words["WORKLOAD"] = self.kubectl.workload
        if self.helm:
            words |= {"HELM_RELEASE": self.helm.release_name, "CHART": self.helm.chart}
        return words

    @property
    def prints_state(self) -> bool:
        """Whether the tool prints what a release runs with; your own commands may not."""
        return self.adapter is not None and (self.command is None or self.command.state is not None)

    @property
    def counts_replicas(self) -> bool:
        """Whether the tool counts replicas; Helm does not, and your own commands may not."""
        if self.adapter is None or self.helm is not None:
            return False
        return self.command is None or self.command.replicas is not None

    @model_validator(mode="after")
    def _fits_its_adapter(self) -> Self:
        """The adapter's table is set, and no other adapter's table, which nothing would read."""
        for adapter, key in TABLES.items():
            if (adapter == self.adapter) is not (getattr(self, key) is not None):
                raise PydanticCustomError(
                    "deployment_adapter",
                    '`adapter = "{adapter}"` and the table [deployment.{key}] need each other',
                    {"adapter": adapter, "key": key},
                )
        for key in ("adapter", "slow_request"):
            if getattr(self, key) and not self.url:
                raise PydanticCustomError(
                    "deployment_url", "`{key}` needs `url`, where the release answers", {"key": key}
                )
        for key in ("adapter", "artifact", "compatibility"):
            if getattr(self, key) and self.previous is None:
                raise PydanticCustomError(
                    "deployment_previous",
                    "`{key}` needs `previous`, the release to roll back to",
                    {"key": key},
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
        """The release under test is the target's, unless [deployment] names another."""
        if self.deployment is None or self.deployment.release:
            return self
        deployment = self.deployment.model_copy(update={"release": self.target.release})
        return self.model_copy(update={"deployment": deployment})
