"""The models of [configuration]: where an application's environment is declared, and runs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import (
    Command,
    Count,
    File,
    Model,
    Name,
    Named,
    Positive,
    Text,
    Url,
    tables,
)
from readiness.lib.kubernetes import kubectl
from readiness.model.secrets import Secret

RELEASE: Final = "{release}"
PRODUCTION: Final = "production"
WORKLOAD: Final = r"^[a-z]+/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
REPOSITORY: Final = r"^[\w.-]+(/[\w.-]+)*$"
Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
"""The name of a variable of the environment."""
Pattern = Annotated[Text, StringConstraints(max_length=200)]
_CONTAINER: Final = (
    "its container; default: the one that kubectl takes, is called like the workload, or is first"
)
_ONE_DECLARED: Final = (
    "set exactly one of `env_file`, `compose` with `service`, or `manifests` with `workload`"
)
_ONE_RUNNING: Final = "set exactly one of `inspect`, `environ`, `pid` or `cluster`"


class Declared(Model):
    """The files in which the environment of an application is written."""

    env_file: File | None = Field(None, description="a file with one KEY=value a line")
    env_format: Literal["compose", "docker", "systemd"] = Field(
        "compose",
        description="who reads `env_file`: `compose` (also dotenv libraries and shells), `docker`"
        " (`docker run --env-file`, which takes quotes as part of a value), or `systemd`"
        " (EnvironmentFile=)",
    )
    compose: File | Annotated[list[File], Field(min_length=1)] | None = Field(
        None, description="the compose file, or several in the order of `docker compose -f`"
    )
    service: Name | None = Field(None, description="the service of the compose file")
    manifests: Annotated[list[File], Field(min_length=1)] | None = Field(
        None, description="patterns of files with rendered Kubernetes manifests"
    )
    workload: Annotated[str, Field(pattern=WORKLOAD)] | None = Field(
        None, description="the workload in `manifests`, as `deployment/shop` or `cronjob/report`"
    )
    namespace: Text | None = Field(
        None, description="its namespace, where several have a workload of that name"
    )
    container: Name | None = Field(None, description=_CONTAINER)

    given: list[Variable] = Field(
        default=[],
        description="variables of the compose file that whoever deploys sets, and that cannot be"
        " seen from here",
    )

    @property
    def compose_files(self) -> list[str]:
        """The compose files, in order."""
        if self.compose is None:
            return []
        return [self.compose] if isinstance(self.compose, str) else self.compose

    @model_validator(mode="after")
    def _one(self) -> Self:
        ways = [bool(self.env_file), bool(self.compose), bool(self.manifests)]
        whole = bool(self.compose) is bool(self.service)
        whole = whole and bool(self.manifests) is bool(self.workload)
        if sum(ways) != 1 or not whole:
            raise PydanticCustomError("configuration_declared", _ONE_DECLARED)
        return self


class ClusterWorkload(kubectl.Cluster):
    """A workload of a cluster, read with kubectl; values of Secrets are not read."""

    workload: Annotated[str, Field(pattern=WORKLOAD)] = Field(
        ..., description="the workload, as `deployment/shop`"
    )
    container: Name | None = Field(None, description=_CONTAINER)


class Running(Model):
    """How to see the environment that an application really runs with."""

    inspect: Command | None = Field(
        None,
        description="prints what `docker inspect CONTAINER` prints, also from another host:"
        ' `["ssh", "host", "docker", "inspect", "shop-1"]`',
    )
    environ: Command | None = Field(
        None, description="prints the environment, as `env`, `env -0` or /proc/PID/environ does"
    )
    pid: Command | None = Field(
        None,
        description="prints the process ids of this machine, one a line, as `systemctl show -P"
        " MainPID shop` or `cat /run/shop.pid`",
    )
    cluster: ClusterWorkload | None = Field(None, description="a workload of a Kubernetes cluster")
    timeout_s: Positive = Field(30, description="seconds; the longest that a command may take")

    @model_validator(mode="after")
    def _one(self) -> Self:
        ways = (self.inspect, self.environ, self.pid, self.cluster)
        if sum(way is not None for way in ways) != 1:
            raise PydanticCustomError("configuration_running", _ONE_RUNNING)
        return self


class Secrets(Model):
    """Which variables hold secrets, and how strong they must be."""

    names: list[Variable] = Field(
        default=[],
        description="variables that hold secrets, in addition to those whose name says so"
        " (_SECRET, _TOKEN, _PASSWORD, _API_KEY and others) and passwords in addresses",
    )
    public: list[Variable] = Field(
        default=[], description="variables that hold none although their name says so"
    )
    # vercel.com/docs/cron-jobs/manage-cron-jobs, "Securing cron jobs": at least 16 characters.
    min_length: Count = Field(16, description="characters of a secret")
    # OWASP ASVS 4.0.3, 2.1.1: at least 12 characters.
    password_min_length: Count = Field(12, description="characters of a password")
    others: list[File] = Field(
        default=[],
        description="env files of other environments, which must not have the same secrets;"
        " compared as salted digests",
    )
    shared: list[Variable] = Field(
        default=[], description="variables that all environments may share"
    )
    provided: list[Text] = Field(
        default=[],
        description="Secrets, ConfigMaps and compose secrets that something else creates, and that"
        " cannot be seen from here",
    )
    backend: dict[Variable, Command] = Field(
        default={},
        description="commands that print a secret as its backend has it, by variable, as"
        ' `["vault", "kv", "get", "-field=value", "secret/shop"]`',
    )


class App(Named):
    """An application and its environment, `[configuration.applications.NAME]`."""

    conditions: ClassVar[Mapping[str, str]] = {
        "env_files": "`declared` with `env_file` or `compose`"
    }

    needs: list[Variable] = Field(
        default=[], description="variables that must be set and not empty"
    )
    example: File | None = Field(
        None, description="a file as `.env.example`, whose variables are needed, too"
    )
    optional: list[Variable] = Field(
        default=[], description="variables of `example` that may be missing or empty"
    )
    production: bool | None = Field(
        None,
        description="whether it is meant for production, where local addresses and debug logs are"
        " mistakes; default: whether [target] environment is `production`",
    )
    accepted: list[Variable] = Field(
        default=[],
        description="variables whose value is meant, although it looks like a placeholder, a debug"
        " switch or a local address",
    )
    declared: Declared | None = Field(None, description="where the environment is written")
    running: Running | None = Field(None, description="where the application runs")
    secrets: Secrets = Field(Secrets(), description="which variables hold secrets")
    ignore_drift: list[Variable] = Field(
        default=[], description="variables that may differ between the files and what runs"
    )
    environment: str = Field("", description="default: [target] environment")

    @property
    def env_files(self) -> bool:
        """Whether files of this machine hold its environment."""
        return self.declared is not None and not self.declared.manifests

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.declared is None and self.running is None:
            raise PydanticCustomError(
                "configuration_nowhere", "needs `declared` or `running`, or both"
            )
        if not (self.needs or self.example):
            raise PydanticCustomError("configuration_needs", "needs `needs` or `example`, or both")
        return self


class Ci(Model):
    """The continuous integration of the commit that is released, `[configuration.ci]`."""

    name: ClassVar[str] = "ci"

    provider: Literal["github", "gitlab"] = Field(..., description="whose API answers")
    url: Url | None = Field(
        None,
        description="address of the API, as `https://ghe.example.com/api/v3`; default:"
        " https://api.github.com, or https://gitlab.com/api/v4",
    )
    repository: Annotated[str, Field(pattern=REPOSITORY)] = Field(
        ..., description="owner/name; with GitLab the path or the number of the project"
    )
    token: Secret | None = Field(
        None, description="a token that may read checks and commits; public repositories need none"
    )
    commit: Text = Field(
        RELEASE,
        description="the commit that is released, or its tag; `{release}` is [target] release, as"
        " in `v{release}`",
    )
    required: Annotated[list[Pattern], Field(min_length=1)] = Field(
        ...,
        description="names of the jobs that must have run and succeeded for this commit; `*`"
        " matches any text, as in `test (*)` for all jobs of a matrix",
    )
    timeout_s: Positive = Field(10, description="seconds; time-out of a request")
    verify_tls: bool = Field(True, description="whether the certificate must be valid")

    @property
    def address(self) -> str:
        """The address of the API."""
        return self.url or _APIS[self.provider]

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The repository and the commit."""
        return {"REPOSITORY": self.repository, "COMMIT": self.commit}


_APIS: Final[Mapping[str, str]] = {
    "github": "https://api.github.com",
    "gitlab": "https://gitlab.com/api/v4",
}


class Configuration(Model):
    """What configures the target."""

    applications: Annotated[dict[Name, App], Field(min_length=1)] = Field(
        default={}, description="the applications, as [configuration.applications.NAME]"
    )
    ci: Ci | None = Field(None, description="the continuous integration of the release")


def _in_environment(application: App, environment: str) -> App:
    known = {"environment": application.environment or environment}
    production = known["environment"] == PRODUCTION
    return application.model_copy(
        update=known | ({} if application.production is not None else {"production": production})
    )


def _of_release(ci: Ci | None, release: str) -> Ci | None:
    return ci and ci.model_copy(update={"commit": ci.commit.replace(RELEASE, release)})


class Config(tables.Config):
    """The tables of configuration."""

    configuration: Configuration | None = Field(None, description="what configures the target")

    @model_validator(mode="after")
    def _defaults_of_the_target(self) -> Self:
        """Release and environment are the target's, unless [configuration] names others."""
        if self.configuration is None:
            return self
        changed = self.configuration.model_copy(
            update={
                "applications": {
                    name: _in_environment(one, self.target.environment)
                    for name, one in self.configuration.applications.items()
                },
                "ci": _of_release(self.configuration.ci, self.target.release),
            }
        )
        return self.model_copy(update={"configuration": changed})
