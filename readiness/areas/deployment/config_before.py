"""The models below [deployment] of what is looked at before and beside a deployment."""

import re
from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Count, Model, Name, Named, Path_, Positive, Text
from readiness.model.secrets import Dsn

_GIB: Final = 1 << 30
RELEASE: Final = "{release}"


def _names_release(text: str) -> str:
    if RELEASE not in text:
        raise PydanticCustomError("no_release", "must contain {release}: which one is meant")
    return text


def _command_names_release(command: list[str]) -> list[str]:
    _names_release(" ".join(command))
    return command


def _is_pattern(text: str) -> str:
    try:
        re.compile(_names_release(text).replace(RELEASE, ""))
    except re.error as error:
        raise PydanticCustomError(
            "no_pattern", "is no regular expression: {problem}", {"problem": str(error)}
        ) from None
    return text


OfRelease = Annotated[Command, AfterValidator(_command_names_release)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)*$")]


class Host(Model):
    """The machine that the release is put on."""

    name: ClassVar[str] = "host"

    disk_paths: Annotated[list[Path_], Field(min_length=1)] = Field(
        default=["/"], description="folders whose file systems must have room, as /var/lib/docker"
    )
    min_disk_bytes: Count = Field(
        10 * _GIB, description="bytes that each of them must have free, for who is not root"
    )
    min_memory_bytes: Count = Field(
        8 * _GIB, description="bytes of memory that there must be, or the cgroup's limit"
    )
    min_available_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="bytes of it that must be available now"
    )
    run_on: list[Text] = Field(
        default=[],
        description="what the commands are put behind, as ['ssh', 'host']; empty: this machine",
    )
    runtime: Command | None = Field(
        None, description="prints the version of the container runtime, as it answers itself"
    )
    min_runtime: Version = Field("20.10", description="the oldest version of it that may run")


class Files(Model):
    """The configuration that goes out with the release."""

    name: ClassVar[str] = "files"

    parse: list[Text] = Field(
        default=[],
        description="patterns of files: .yaml .yml .json .toml .ini .cfg .cnf; each must parse,"
        " and no key may stand twice",
    )
    commands: list[Command] = Field(
        default=[], description="commands that check the rest, as ['nginx', '-t']; each ends with 0"
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.parse or self.commands):
            raise PydanticCustomError("no_files", "needs `parse` or `commands`, or both")
        return self


class SavedLayer(Named):
    """What must be saved before a deployment, `[deployment.layers.NAME]`."""

    path: Text = Field(..., description="the folder that the copies are written to")
    pattern: Text = Field("*", description="which files of the folder are copies of this layer")
    max_age_min: Positive = Field(60, description="minutes; age of the newest one")
    sha256: bool = Field(
        False, description="whether FILE.sha256, as sha256sum writes it, must be there and fit"
    )


class Order(Model):
    """In which order the parts start."""

    name: ClassVar[str] = "compose"

    compose: Text = Field(
        ...,
        description="the compose file; where others are part of it (`include`, `extends`), docker"
        " compose is asked for the whole",
    )
    patience_s: dict[Text, Positive] = Field(
        default={},
        description="seconds that others have to wait for a service, by its name, until they give"
        " it up: a database that recovers from a crash takes its time",
    )


class Artifact(Model):
    """How to see that a release can be had."""

    command: OfRelease = Field(
        ..., description="ends with 0 where the artifact of {release} is there, else not"
    )
    prints: Annotated[Text, AfterValidator(_is_pattern)] | None = Field(
        None, description="a regular expression with {release} that its output must match"
    )


class Worker(Named):
    """What runs the release and serves no HTTP, `[deployment.workers.NAME]`."""

    command: Command = Field(
        ..., description="prints the release, one line for each process that runs"
    )


class Report(Model):
    """What a deployment leaves behind."""

    path: Text = Field(..., description="the JSON file that the newest deployment wrote")


class Compatibility(Model):
    """The release before, started on the schema of this one, in a scratch database."""

    database: Name = Field(..., description="the [databases.NAME] whose schema is taken")
    start: Command = Field(
        ...,
        description="starts the release before, and stays; {dsn}, {port} and {release} are put in",
    )
    ready: Path_ = Field("/health/ready", description="path that is 200 when it can serve")
    ready_within_s: Positive = Field(60, description="seconds until it must be")
    smoke: Annotated[list[Path_], Field(min_length=1)] = Field(
        ..., description="paths that must answer 200 then; they find no rows"
    )
    dsn: Dsn | None = Field(
        None, description="a role that may dump the schema; default: that of the database"
    )
