"""Reads all Kubernetes objects of a target: one that is not valid does not hide the others."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.workloads import Agreed, Named, Side
from readiness.lib.files import matching
from readiness.lib.kubernetes.files import documents_in
from readiness.lib.kubernetes.inventory import (
    Broken,
    Document,
    object_of,
    refuse_kustomization,
)
from readiness.lib.kubernetes.kubectl import DECLARED_KINDS, Cluster, Kubectl
from readiness.lib.kubernetes.parts import Object
from readiness.model.errors import CouldNotMeasure, NoData

_HOUR_S: Final = 3600
_TABLE: Final = "[manifests.cluster]"
_DECLARED: Final = "manifests"
_LIVE: Final = "live"


def sides_of_files(manifests: Manifests, agreed: Sequence[Agreed] = ()) -> list[Side]:
    """The manifests and the live objects in files; a side without anything is left out.

    Args:
        manifests: the table.
        agreed: the workloads that the checks of scaling judge.

    Raises:
        NoData: a pattern matches no file, or the files have no object.
        CouldNotMeasure: over 1000 files match.
    """
    declared: list[Document] = []
    live: list[Document] = []
    lost: list[CouldNotMeasure] = []
    covered: set[Named] = set()
    for path in matching(manifests.kubernetes, "`kubernetes` in [manifests]"):
        try:
            found = documents_in(path)
            for document in found:
                refuse_kustomization(document)
            if any(document.is_live for document in found):
                _refuse_old(path, manifests.live_max_age_h)
        except CouldNotMeasure as error:
            lost.append(error)
            continue
        declared += [one for one in found if not one.is_live]
        live += [one for one in found if one.is_live]
        covered |= _covered(found, [one for one in agreed if path in one.files])
    if not (declared or live or lost):
        raise NoData(
            "the files have no Kubernetes object",
            where=", ".join(manifests.kubernetes),
            remedy="correct `kubernetes` in [manifests]",
        )
    sides = [_side(_DECLARED, declared, lost, covered)] if declared or lost else []
    return [*sides, _side(_LIVE, live, [], covered)] if live else sides


def side_of_cluster(cluster: Cluster, folder: Path, agreed: Sequence[Agreed] = ()) -> Side:
    """The live objects of a namespace, read with kubectl; a kind that may not be read is lost.

    Args:
        cluster: the context and the namespace.
        folder: private and removed at the end: a copy of the credentials is in it.
        agreed: the workloads that the checks of scaling judge.

    Raises:
        CouldNotMeasure: kubectl is missing, or has no such context.
    """
    kubectl = Kubectl(cluster, folder, _TABLE)
    kubectl.copy_config()
    found, unseen = kubectl.get_each(DECLARED_KINDS)
    lost = list(unseen.values())
    if not found and lost:
        raise lost[0]
    return _side(_LIVE, found, lost, _covered(found, [one for one in agreed if one.is_live]))


def _covered(documents: Iterable[Document], agreed: Sequence[Agreed]) -> set[Named]:
    named = (Named(one.kind, one.name, one.namespace) for one in documents) if agreed else ()
    return {one for one in named if any(other.names(one) for other in agreed)}


def _side(
    name: str,
    documents: Iterable[Document],
    lost: list[CouldNotMeasure],
    covered: set[Named],
) -> Side:
    kept, objects, broken = [], [], []
    seen: dict[tuple[str, str, str], str] = {}
    for document in documents:
        # kubectl names each object once; of two in files, it is not known which one is applied.
        key = (document.kind, document.name, f"{document.group} {document.namespace}")
        if document.name and key in seen:
            lost.append(_duplicate(document, seen[key]))
            continue
        seen[key] = document.where
        kept.append(document)
        try:
            found: Object | None = object_of(document)
        except NoData as error:
            broken.append(Broken(document, error))
            continue
        if found is not None:
            objects.append(found)
    return Side(name, tuple(kept), tuple(objects), tuple(broken), tuple(lost), frozenset(covered))


def _duplicate(document: Document, first: str) -> NoData:
    return NoData(
        f"duplicate {document.kind} {document.name!r}, also in {first}",
        where=document.where,
        remedy="narrow `kubernetes` to the files of one environment",
    )


def _refuse_old(path: Path, most_h: float) -> None:
    hours = (time.time() - path.stat().st_mtime) / _HOUR_S
    if hours > most_h:
        raise CouldNotMeasure(
            f"live objects are {hours:.0f} h old; limit {most_h:g} h (`live_max_age_h`)",
            where=str(path),
            remedy="write it again: kubectl get ... -o json > FILE; or add [manifests.cluster]",
        )
