"""The model of [manifests]: the files that declare what runs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from readiness.config.base import Count, File, Model, Positive, Text, tables
from readiness.lib.findings import SeverityWord
from readiness.lib.kubernetes.kubectl import Cluster

LinterName = Literal["checkov", "compose-lint", "hadolint", "zizmor"]
_RELEASE = r"^1\.[0-9]{1,3}$"


class Manifests(Model):
    """Kubernetes objects, compose files and Dockerfiles."""

    name: ClassVar[str] = "manifests"
    conditions: ClassVar[Mapping[str, str]] = {"on_kubernetes": "`kubernetes` or `cluster`"}

    kubernetes: Annotated[list[File], Field(min_length=1)] = Field(
        default=[],
        description="patterns of files: rendered manifests, or live objects as printed by"
        " `kubectl get -o json`",
    )
    live_max_age_h: Positive = Field(
        24, description="hours; the oldest that a file of live objects may be"
    )
    cluster: Cluster | None = Field(None, description="the cluster that live objects are read from")
    kubernetes_version: Annotated[str, Field(pattern=_RELEASE)] | None = Field(
        None,
        description="the release whose fields are known, as `1.33`; needs the extra `manifests`;"
        " default: the newest that we know",
    )
    zones: bool = Field(
        False,
        description="whether pods must be spread over zones, too; default: over nodes",
    )
    requests_per_min: Count | None = Field(
        None,
        description="the most requests that an Ingress may accept from one client in the first"
        " minute; default: not judged",
    )
    max_body_bytes: Count | None = Field(
        None,
        description="bytes; the largest request body that an Ingress may accept; default: not"
        " judged",
    )
    compose: File | Annotated[list[File], Field(min_length=1)] = Field(
        default=[],
        description="the compose file, or several in the order of `docker compose -f`; with what"
        " they include and extend",
    )
    dockerfiles: Annotated[list[File], Field(min_length=1)] = Field(
        default=[], description="patterns of Dockerfiles"
    )
    images: Annotated[list[File], Field(min_length=1)] = Field(
        default=[],
        description="images that were built: archives of `docker save` or `podman save`, or OCI"
        " layouts; no engine is needed",
    )
    public_files: Annotated[list[Text], Field(min_length=1)] = Field(
        default=[],
        description="patterns of paths in `images` whose keys are known to be no secret, as"
        " `app/demo/*.pem`",
    )
    linters: Annotated[list[LinterName], Field(min_length=1)] = Field(
        default=[],
        description="tools that are installed here, and must find nothing: `checkov` in"
        " `kubernetes` and `dockerfiles`, `compose-lint` in `compose`, `hadolint` in `dockerfiles`,"
        " `zizmor` in `workflows`; each may take 120 s",
    )
    linters_fail_on: SeverityWord = Field(
        "medium",
        description="the least severity that fails; a finding without one, as checkov's, is medium,"
        " an error of hadolint is high and a warning medium",
    )
    linters_accept: Annotated[list[Text], Field(min_length=1)] = Field(
        default=[], description="rules that do not apply, by their ids, as `CKV_K8S_43`"
    )
    workflows: Annotated[list[File], Field(min_length=1)] = Field(
        default=[], description="patterns of GitHub workflows, which `zizmor` reads"
    )

    @property
    def on_kubernetes(self) -> bool:
        """Whether Kubernetes objects are declared."""
        return bool(self.kubernetes or self.cluster)

    @property
    def compose_files(self) -> list[str]:
        """The compose files, in order."""
        return [self.compose] if isinstance(self.compose, str) else self.compose

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The namespace."""
        return {"NAMESPACE": self.cluster.namespace} if self.cluster else {}


class Config(tables.Config):
    """The table of the area."""

    manifests: Manifests | None = Field(
        None, description="the Kubernetes manifests, compose files and Dockerfiles of the target"
    )
