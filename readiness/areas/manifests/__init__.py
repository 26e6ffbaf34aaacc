"""Manifests: whether Kubernetes objects, compose files and Dockerfiles are safe to run."""

from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from typing import Final

from readiness.areas.manifests.config import Config, LinterName, Manifests
from readiness.config.base.area import Area, Look
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake
from readiness.lib.kubernetes.kubectl import Cluster, private
from readiness.model.figures import counted

__all__ = ["AREA"]


_FILES: Final = ("compose", "dockerfiles", "images", "workflows")
_FILES_OF: Final[Mapping[LinterName, tuple[str, ...]]] = {
    "checkov": ("kubernetes", "dockerfiles"),
    "compose-lint": ("compose",),
    "hadolint": ("dockerfiles",),
    "zizmor": ("workflows",),
}


def _manifests(config: Config) -> list[Manifests]:
    return [config.manifests] if config.manifests else []


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    for found in _manifests(config):
        if not (found.on_kubernetes or any(getattr(found, key) for key in _FILES)):
            problem = "names no file, so that nothing would be judged"
            remedy = "set `kubernetes`, `compose` or `dockerfiles`, or add [manifests.cluster]"
            yield Mistake(("manifests",), problem, remedy)
        for key in ("zones", "requests_per_min", "max_body_bytes", "kubernetes_version"):
            if key in found.model_fields_set and not found.on_kubernetes:
                problem = "has no effect without Kubernetes objects"
                yield Mistake(("manifests", key), problem, "set `kubernetes`, or leave it out")
        if found.public_files and not found.images:
            message = "has no effect without `images`"
            yield Mistake(("manifests", "public_files"), message, "set `images`, or leave it out")
        yield from _mistakes_of_linters(found)


def _mistakes_of_linters(found: Manifests) -> Iterator[Mistake]:
    for name in found.linters:
        keys = _FILES_OF[name]
        if not any(getattr(found, key) for key in keys):
            problem = f"{name} would have no files"
            remedy = f"set {' or '.join(f'`{key}`' for key in keys)}"
            yield Mistake(("manifests", "linters"), problem, remedy)
    for key in ("linters_fail_on", "linters_accept", "workflows"):
        if key in found.model_fields_set and not found.linters:
            problem = "has no effect without `linters`"
            yield Mistake(("manifests", key), problem, "set `linters`, or leave it out")


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    from readiness.areas.manifests import dockerfile

    if config.manifests and config.manifests.dockerfiles:
        yield "parser of Dockerfiles", dockerfile.find
    if config.manifests and config.manifests.cluster:
        cluster = config.manifests.cluster
        yield f"cluster {cluster.context}", partial(_cluster, cluster)


def _cluster(cluster: Cluster) -> str:
    from readiness.areas.manifests.probes.reading import side_of_cluster

    with private() as folder:
        side = side_of_cluster(cluster, folder)
    side.sure()
    return f"namespace {cluster.namespace}, {counted(len(side.workloads), 'workload')}"


def _discovers() -> Iterator[Discover]:
    from readiness.areas.manifests import discovery

    yield discovery.declared
    yield discovery.live


AREA: Final = Area(
    "manifests",
    config=Config,
    kinds={"manifests": ("[manifests]", _manifests)},
    mistakes=_mistakes,
    looks=_looks,
    discovers=_discovers,
)
