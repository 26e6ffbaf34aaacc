"""Finds manifests, compose files and Dockerfiles in a folder."""

from collections.abc import Iterator
from typing import Final

from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.lib.compose_file import NAMES
from readiness.lib.kubernetes.files import manifests_below

_TABLE: Final = ("manifests",)


def declared(sources: Sources) -> Iterator[Finding]:
    """The files that declare what runs."""
    if compose := sources.first(*NAMES):
        yield Line(_TABLE, "compose", compose, "in this folder")
    if dockerfiles := sources.files("Dockerfile", "*/Dockerfile", "docker/Dockerfile*"):
        yield Line(_TABLE, "dockerfiles", dockerfiles, "in this folder")
    found = manifests_below(sources.folder, sources.files("**/*.yaml", "**/*.yml"))
    if found.patterns:
        yield Line(_TABLE, "kubernetes", found.patterns, f"{found.objects} Kubernetes objects")
    for path in found.rendered_first:
        todo = "helm template, or kustomize build, into a file that `kubernetes` names"
        yield Gap(f"what {path} is rendered to", todo)
