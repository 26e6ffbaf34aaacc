"""Reads the manifests and the live objects of one workload, from files or with kubectl."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.lib.files import matching
from readiness.lib.kubernetes.files import documents_in
from readiness.lib.kubernetes.inventory import Document, Inventory, read
from readiness.lib.kubernetes.kubectl import INSTALLED_KINDS, Cluster, Kubectl
from readiness.model.errors import CouldNotMeasure, NoData

# In the namespace of the workload; with the version, since v1 does not show the state.
_NEEDED: Final = (
    "deployments.v1.apps",
    "statefulsets.v1.apps",
    "horizontalpodautoscalers.v2.autoscaling",
    "poddisruptionbudgets.v1.policy",
    "resourcequotas",
    "limitranges",
)
# Cluster-wide: many roles may not read them.
_CLUSTER: Final = ("nodes", "pods")
_HOUR_S: Final = 3600
MANIFESTS: Final = "manifests"
LIVE: Final = "live"


def cluster_objects(cluster: Cluster, folder: Path) -> Inventory:
    """Everything that decides how workloads of the namespace scale, read with kubectl.

    Args:
        cluster: the context and the namespace.
        folder: private and removed at the end, since the copy of the configuration is in it.

    Raises:
        Unreachable: no answer from the cluster.
        NotPermitted: the credentials do not allow it.
        NoData: what it prints is not understood.
        CouldNotMeasure: kubectl is missing, hangs or fails.
    """
    kubectl = Kubectl(cluster, folder, "[scaling.NAME.cluster]")
    kubectl.copy_config()
    installed = kubectl.installed()
    more = [name for name in INSTALLED_KINDS if name in installed]
    found = read(kubectl.get([*_NEEDED, *more], managers=True))
    try:
        return found + read(kubectl.get(_CLUSTER, everywhere=True))
    except CouldNotMeasure as error:
        # The answer may be too long with thousands of pods; only the room on nodes needs it.
        return found + Inventory((), {"nodes": error})


@dataclass(frozen=True, slots=True)
class Written:
    """The objects in files: those to apply, and live ones, which have a `uid`."""

    declared: Inventory
    live: Inventory


def written(patterns: Sequence[str], live_max_age_h: float) -> Written:
    """Read all objects of all files that the patterns match; `**` matches folders.

    Raises:
        NoData: a pattern matches no file, or a file is not understood.
        CouldNotMeasure: a file cannot be read, is too large, or too old.
    """
    found: list[Document] = []
    for path in matching(patterns, "`manifests`"):
        inside = documents_in(path)
        if any(document.is_live for document in inside):
            _refuse_old(path, live_max_age_h)
        found += inside
    objects = read(found)
    return Written(objects.where(live=False), objects.where(live=True))


def _refuse_old(path: Path, most_h: float) -> None:
    hours = (time.time() - path.stat().st_mtime) / _HOUR_S
    if hours > most_h:
        raise CouldNotMeasure(
            f"live objects are {hours:.0f} h old; limit {most_h:g} h (`live_max_age_h`)",
            where=str(path),
            remedy="write it again: kubectl get ... -o json > FILE; or add [scaling.NAME.cluster]",
        )


@dataclass(frozen=True, slots=True)
class Sides:
    """A workload as its manifests declare it, and as it runs; None if unknown."""

    declared: View | None
    live: View | None

    @property
    def known(self) -> list[View]:
        """The known ones, at least one."""
        return [view for view in (self.declared, self.live) if view is not None]


Reader = Callable[[tuple[str, ...], float], Written]


def sides(scaling: Scaling, live: Inventory | None, reader: Reader = written) -> Sides:
    """Both sides of a workload.

    Args:
        scaling: the table.
        live: the objects of the cluster if one is declared.
        reader: reads the files; one that keeps what it read serves many workloads.

    Raises:
        NoData: neither side has the workload, or one is not understood.
        CouldNotMeasure: a file cannot be read, or is too old.
    """
    namespace = scaling.cluster.namespace if scaling.cluster else scaling.namespace or ""
    files = reader(tuple(scaling.manifests), scaling.live_max_age_h) if scaling.manifests else _NONE
    there = files.live if live is None else live
    found = _joined(
        view(files.declared, MANIFESTS, scaling.workload, namespace),
        view(there, LIVE, scaling.workload, namespace),
    )
    missing = found.live is None and live is not None
    if missing or not found.known:
        context = f" --context {scaling.cluster.context}" if scaling.cluster else ""
        raise NoData(
            f"{scaling.workload} was not found in {_places(scaling)}",
            where=f"[scaling.{scaling.name}] workload",
            remedy=f"correct the name; kubectl{context} get deployments,statefulsets -A lists them",
        )
    return found


def _joined(declared: View | None, live: View | None) -> Sides:
    """Manifests get the LimitRange of the live namespace, and that gets their Services."""
    if declared and live:
        declared = replace(declared, ranges=declared.ranges or live.ranges)
        live = replace(live, services=live.services or declared.services)
    return Sides(declared, live)


def _places(scaling: Scaling) -> str:
    if scaling.cluster:
        return f"namespace {scaling.cluster.namespace} of {scaling.cluster.context}"
    of = f"namespace {scaling.namespace} of " if scaling.namespace else ""
    return of + ", ".join(scaling.manifests)


_NONE: Final = Written(Inventory(()), Inventory(()))
