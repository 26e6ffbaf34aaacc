"""All objects of some documents, by kind; what has no part in scaling is left out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import ValidationError

from readiness.areas.scaling.kubernetes.documents import Document
from readiness.areas.scaling.kubernetes.objects import (
    DisruptionBudget,
    LimitRange,
    Node,
    Pod,
    ResourceQuota,
    Workload,
)
from readiness.areas.scaling.kubernetes.parts import Object
from readiness.areas.scaling.kubernetes.scalers import (
    HorizontalPodAutoscaler,
    ScaledObject,
    VerticalPodAutoscaler,
)
from readiness.model.errors import CouldNotMeasure, NoData

# (group, kind) -> the model, and the versions that it is the shape of
_KINDS: Final[dict[tuple[str, str], tuple[type[Object], tuple[str, ...]]]] = {
    ("apps", "Deployment"): (Workload, ("v1",)),
    ("apps", "StatefulSet"): (Workload, ("v1",)),
    ("autoscaling", "HorizontalPodAutoscaler"): (HorizontalPodAutoscaler, ("v1", "v2")),
    ("keda.sh", "ScaledObject"): (ScaledObject, ("v1alpha1",)),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler"): (VerticalPodAutoscaler, ("v1", "v1beta2")),
    ("policy", "PodDisruptionBudget"): (DisruptionBudget, ("v1",)),
    ("", "ResourceQuota"): (ResourceQuota, ("v1",)),
    ("", "LimitRange"): (LimitRange, ("v1",)),
    ("", "Node"): (Node, ("v1",)),
    ("", "Pod"): (Pod, ("v1",)),
}
# Extensions once were what apps is now: such an object would be overlooked.
_MOVED: Final = {"extensions": "apps/v1"}
_O = TypeVar("_O", bound=Object)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Objects of one place: a folder of manifests, or a cluster.

    Attributes:
        objects: all of them, in order.
        unseen: kinds that could not be looked at, each with what was in the way.
    """

    objects: tuple[Object, ...]
    unseen: dict[str, CouldNotMeasure] = field(default_factory=dict)

    def of(self, kind: type[_O]) -> list[_O]:
        """Those of one kind."""
        return [one for one in self.objects if isinstance(one, kind)]

    def __add__(self, other: "Inventory") -> "Inventory":
        return Inventory(self.objects + other.objects, self.unseen | other.unseen)


def read(documents: Iterable[Document]) -> Inventory:
    """The objects of some documents.

    Raises:
        NoData: one is of a version that is not known here, is not as the API server wants it, or
            stands there twice.
    """
    objects: list[Object] = []
    seen: dict[tuple[str, str, str], str] = {}
    for document in documents:
        found = _object(document)
        if found is None:
            continue
        # A manifest and the live object may both be there; two manifests may not.
        live = "live" if found.metadata.uid else ""
        key = (found.kind, found.metadata.name, f"{found.metadata.namespace} {live}")
        if key in seen:
            raise NoData(
                f"{found.kind} {found.metadata.name!r} stands in {seen[key]}, too",
                where=document.where,
                remedy="name the files of one environment only",
            )
        seen[key] = document.where
        objects.append(found)
    return Inventory(tuple(objects))


def _object(document: Document) -> Object | None:
    group = document.group
    if group in _MOVED and ("apps", document.kind) in _KINDS:
        raise _unknown(document, f"write it as {_MOVED[group]}")
    if (group, document.kind) not in _KINDS:
        return None
    model, versions = _KINDS[group, document.kind]
    if document.version not in versions:
        best = versions[-1] if group == "autoscaling" else versions[0]
        raise _unknown(document, f"write it as {group}/{best}" if group else f"write {best}")
    try:
        return model.model_validate(document.body)
    except ValidationError as error:
        raise _wrong(document, error) from None


def _unknown(document: Document, remedy: str) -> NoData:
    version = f"{document.group}/{document.version}"
    return NoData(
        f"{document.kind} of {version} is not understood: clusters of today do not serve it",
        where=document.where,
        remedy=remedy,
    )


def _wrong(document: Document, error: ValidationError) -> NoData:
    """The first mistake, without the value: it might be anything."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return NoData(
        f"{document.kind}: {place} is not what the API server takes: {first['msg']}",
        where=document.where,
        remedy="kubectl apply --dry-run=server -f FILE",
    )
