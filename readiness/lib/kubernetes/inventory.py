"""Reads Kubernetes objects from YAML or JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import ValidationError

from readiness.lib.kubernetes.fields import mistakes
from readiness.lib.kubernetes.objects import (
    ConfigMap,
    CronJob,
    DisruptionBudget,
    HorizontalPodAutoscaler,
    Ingress,
    Job,
    LimitRange,
    NetworkPolicy,
    Node,
    Pod,
    ResourceQuota,
    ScaledObject,
    Service,
    VerticalPodAutoscaler,
    Workload,
)
from readiness.lib.kubernetes.parts import Object
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_all
from readiness.model.errors import CouldNotMeasure, NoData

_RENDER: Final = "render it first: helm template, kustomize build, or kubectl get -o json"
_LIST: Final = "List"
_SHORT: Final = 100_000
# Dropped before anything reads them.
_SECRET: Final = "Secret"  # noqa: S105 - the name of a kind
# The former group of apps: such an object would be ignored.
_MOVED: Final = {"extensions": "apps/v1"}


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """An object before it is validated; two are equal only if they are the same one.

    Attributes:
        where: the file, and which of its documents.
        group: of the API, `apps` of `apps/v1`; empty for the core.
    """

    where: str
    group: str
    version: str
    kind: str
    body: Mapping[str, object]

    @property
    def name(self) -> str:
        """Its name; empty if it has none."""
        return self._metadata("name")

    @property
    def namespace(self) -> str:
        """Its namespace; empty if it names none."""
        return self._metadata("namespace")

    @property
    def is_live(self) -> bool:
        """Whether the API server made it."""
        return bool(self._metadata("uid"))

    @property
    def api_version(self) -> str:
        """As the object says it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def _metadata(self, key: str) -> str:
        metadata = self.body.get("metadata")
        found = metadata.get(key) if isinstance(metadata, Mapping) else None
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Broken:
    """An object that the API server refuses, with the reason: whatever depends on it is unknown."""

    document: Document
    error: NoData


class _Twice(Exception):
    """A duplicate key in one mapping."""


def documents(text: str, where: str) -> list[Document]:
    """Every object in a YAML or JSON text, without Secrets; `where` is the file, for messages.

    Of two equal keys the API server keeps the last or refuses both, depending on the client, so
    that a duplicate is an error here.

    Raises:
        NoData: it is neither, a key is duplicate, or a document is not a Kubernetes object.
    """
    try:
        found = (
            _json(text, where)
            if text.lstrip().startswith(("{", "["))
            else read_all(text, Scalars.GO_V2)
        )
        return [
            document
            for number, one in enumerate(found, 1)
            if one is not None
            for document in _objects(
                one, f"{where}, document {number}" if len(found) > 1 else where
            )
        ]
    except _Twice as twice:
        raise NoData(
            f"duplicate key {twice}", where=where, remedy="remove one of the two"
        ) from None
    except RecursionError:
        raise NoData("the text is nested too deep", where=where) from None
    except BrokenYaml as error:
        raise NoData(f"the text cannot be read: {error}", where=where, remedy=_RENDER) from None


def _json(text: str, where: str) -> list[object]:
    try:
        return [json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)]
    except ValueError:
        if len(text) > _SHORT:
            raise NoData("the text is not JSON, or is cut off", where=where) from None
        return read_all(text, Scalars.GO_V2)  # it may be YAML in flow style


def _no_number(word: str) -> float:
    raise ValueError(word)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return found


def _objects(one: object, where: str) -> Iterator[Document]:
    """The object, or those of a list of objects."""
    if not isinstance(one, dict):
        raise NoData(
            "the document is a text or a list, not a Kubernetes object", where=where, remedy=_RENDER
        )
    kind, version = one.get("kind"), one.get("apiVersion")
    if not (isinstance(kind, str) and isinstance(version, str) and kind and version):
        raise NoData(
            "the document is not a Kubernetes object: kind or apiVersion is missing",
            where=where,
            remedy=_RENDER,
        )
    items = one.get("items")
    if kind.endswith(_LIST) and isinstance(items, list):
        for number, item in enumerate(items, 1):
            yield from _objects(_typed(item, kind, version), f"{where}, item {number}")
    elif kind != _SECRET:
        group, slash, rest = version.partition("/")
        yield Document(where, group if slash else "", rest or group, kind, one)


def _typed(item: object, kind: str, version: str) -> object:
    """An item of a list of one kind need not repeat kind and version."""
    own = kind.removesuffix(_LIST)
    if isinstance(item, dict) and own and "kind" not in item:
        return {"kind": own, "apiVersion": version, **item}
    return item


# (group, kind) -> the model, and the API versions that it fits.
Kinds = Mapping[tuple[str, str], tuple[type[Object], tuple[str, ...]]]
SCALING: Final[Kinds] = {
    ("apps", "Deployment"): (Workload, ("v1",)),
    ("apps", "StatefulSet"): (Workload, ("v1",)),
    ("argoproj.io", "Rollout"): (Workload, ("v1alpha1",)),
    ("", "Service"): (Service, ("v1",)),
    ("autoscaling", "HorizontalPodAutoscaler"): (HorizontalPodAutoscaler, ("v1", "v2")),
    ("keda.sh", "ScaledObject"): (ScaledObject, ("v1alpha1",)),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler"): (VerticalPodAutoscaler, ("v1", "v1beta2")),
    ("policy", "PodDisruptionBudget"): (DisruptionBudget, ("v1",)),
    ("", "ResourceQuota"): (ResourceQuota, ("v1",)),
    ("", "LimitRange"): (LimitRange, ("v1",)),
    ("", "Node"): (Node, ("v1",)),
    ("", "Pod"): (Pod, ("v1",)),
}
"""The kinds that decide how workloads scale."""
EVERY: Final[Kinds] = {
    **SCALING,
    ("apps", "DaemonSet"): (Workload, ("v1",)),
    ("apps", "ReplicaSet"): (Workload, ("v1",)),
    ("batch", "Job"): (Job, ("v1",)),
    ("batch", "CronJob"): (CronJob, ("v1",)),
    ("networking.k8s.io", "Ingress"): (Ingress, ("v1",)),
    ("networking.k8s.io", "NetworkPolicy"): (NetworkPolicy, ("v1",)),
    ("", "ConfigMap"): (ConfigMap, ("v1",)),
}
"""All kinds with a model."""
_KUSTOMIZATION: Final = ("kustomize.config.k8s.io", "Kustomization")
_O = TypeVar("_O", bound=Object)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The objects of a folder of manifests, or of a cluster.

    Attributes:
        objects: all of them, in order.
        unseen: kinds that could not be read, each with the error.
        broken: those that the API server refuses.
        documents: all of the kinds that affect scaling, as they are written.
    """

    objects: tuple[Object, ...]
    unseen: dict[str, CouldNotMeasure] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    documents: tuple[Document, ...] = ()

    def of(self, kind: type[_O]) -> list[_O]:
        """The objects of one kind."""
        return [one for one in self.objects if isinstance(one, kind)]

    def where(self, *, live: bool) -> "Inventory":
        """Only the live objects, or only the others."""
        return Inventory(
            tuple(one for one in self.objects if bool(one.metadata.uid) is live),
            self.unseen,
            tuple(one for one in self.broken if one.document.is_live is live),
            tuple(one for one in self.documents if one.is_live is live),
        )

    def __add__(self, other: "Inventory") -> "Inventory":
        return Inventory(
            self.objects + other.objects,
            self.unseen | other.unseen,
            self.broken + other.broken,
            self.documents + other.documents,
        )


def read(documents: Iterable[Document], kinds: Kinds = SCALING) -> Inventory:
    """The objects of some kinds; one that is not valid does not hide the others.

    Raises:
        NoData: one is a duplicate, or changes the others (a Kustomization).
    """
    objects: list[Object] = []
    broken: list[Broken] = []
    known: list[Document] = []
    seen: dict[tuple[str, str, str], str] = {}
    for document in documents:
        refuse_kustomization(document)
        try:
            found = object_of(document, kinds)
        except NoData as error:
            broken.append(Broken(document, error))
            continue
        if found is None:
            continue
        # A manifest and its live object are not duplicates; two manifests are.
        live = "live" if found.metadata.uid else ""
        key = (found.kind, found.metadata.name, f"{found.metadata.namespace} {live}")
        if key in seen:
            raise NoData(
                f"duplicate {found.kind} {found.metadata.name!r}, also in {seen[key]}",
                where=document.where,
                remedy="narrow `manifests` to the files of one environment",
            )
        seen[key] = document.where
        known.append(document)
        objects.append(found)
    return Inventory(tuple(objects), broken=tuple(broken), documents=tuple(known))


def refuse_kustomization(document: Document) -> None:
    """Raise NoData if a document changes the others: they are not what is applied."""
    if (document.group, document.kind) == _KUSTOMIZATION:
        raise NoData(
            "a Kustomization changes the objects beside it: these are not what is applied",
            where=document.where,
            remedy="name what is applied in `manifests`: kustomize build FOLDER > FILE",
        )


def object_of(document: Document, kinds: Kinds = EVERY) -> Object | None:
    """The object of a document; None if it is not of these kinds.

    Raises:
        NoData: the API server would refuse it.
    """
    group = document.group
    if group in _MOVED and ("apps", document.kind) in kinds:
        raise _unknown(document, f"write it as {_MOVED[group]}")
    if (group, document.kind) not in kinds:
        return None
    model, versions = kinds[group, document.kind]
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
        f"{document.kind} of {version} is not understood: current clusters do not serve it",
        where=document.where,
        remedy=remedy,
    )


def _wrong(document: Document, error: ValidationError) -> NoData:
    """The first mistake, without the value, which may be secret."""
    known = mistakes(document.api_version, document.kind, document.body)
    first = next((one for one in known if not one.unknown), None)
    if first:
        place, problem = first.place, first.problem
    else:
        wrong = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, wrong["loc"]))
        problem = wrong["msg"].removeprefix("Value error, ")
    return NoData(
        f"{document.kind}: {place} is not what the API server accepts: {problem}",
        where=document.where,
        remedy="kubectl apply --dry-run=server -f FILE",
    )
