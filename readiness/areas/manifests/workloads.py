"""What runs on Kubernetes: workloads of every kind, and the objects around them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from readiness.lib.kubernetes.inventory import Broken, Document
from readiness.lib.kubernetes.objects import (
    Container,
    CronJob,
    HorizontalPodAutoscaler,
    Job,
    Pod,
    PodSpec,
    ScaledObject,
    Service,
    Template,
)
from readiness.lib.kubernetes.objects import Workload as Scaling
from readiness.lib.kubernetes.parts import Object
from readiness.model.errors import CouldNotMeasure, NoData

_O = TypeVar("_O", bound=Object)
_ENDS: Final = {"Job", "CronJob"}
_ON_EACH_NODE: Final = "DaemonSet"
_MAKERS: Final = {
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
}
# Of Helm, envsubst and others.
_TEMPLATES: Final = ("{{", "${", "$(")


@dataclass(frozen=True, slots=True)
class Named:
    """A workload as its object names it."""

    kind: str
    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Agreed:
    """A workload of [scaling.NAME], which the checks of scaling judge where they read it.

    Attributes:
        workload: as `deployment/shop`.
        namespace: empty for any.
        files: the files that they read.
        is_live: whether they read it in the cluster.
    """

    workload: str
    namespace: str
    files: frozenset[Path] = frozenset()
    is_live: bool = False

    def names(self, one: Named) -> bool:
        """Whether it is this one."""
        same = self.workload == f"{one.kind.lower()}/{one.name}"
        return same and is_in(one.namespace, self.namespace)


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that makes pods.

    Attributes:
        kind: as its object says it.
        labels: those of its pods.
        pod: the specification of its pods.
        replicas: the fewest that it has; an autoscaler's minimum, if there is one.
        is_covered: whether [scaling.NAME] names it, so that the checks of scaling judge its images,
            privileges, secrets, resources and readiness probe.
        source: its object, if it is one that scales.
    """

    kind: str
    name: str
    namespace: str
    labels: Mapping[str, str]
    pod: PodSpec
    replicas: int
    is_covered: bool = False
    source: Scaling | None = None

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    @property
    def ends(self) -> bool:
        """Whether its pods end by themselves."""
        return self.kind in _ENDS

    @property
    def on_each_node(self) -> bool:
        """Whether each node runs one of its pods."""
        return self.kind == _ON_EACH_NODE

    @property
    def containers(self) -> list[Container]:
        """All containers, in the order of their start."""
        return [*self.pod.init_containers, *self.pod.containers]

    @property
    def staying(self) -> list[Container]:
        """The containers that run as long as the pod does."""
        sidecars = [one for one in self.pod.init_containers if one.restart_policy]
        return [*sidecars, *self.pod.containers]


@dataclass(frozen=True)
class Side:
    """All objects of the manifests, or of the cluster.

    Attributes:
        name: `manifests` or `live`.
        documents: every object as it is written, without Secrets.
        objects: those of the kinds that are read.
        broken: those of these kinds that the API server refuses.
        lost: why a file, or a kind of object, could not be read.
        covered: the workloads that the checks of scaling judge.
    """

    name: str
    documents: tuple[Document, ...]
    objects: tuple[Object, ...]
    broken: tuple[Broken, ...] = ()
    lost: tuple[CouldNotMeasure, ...] = ()
    covered: frozenset[Named] = frozenset()

    def of(self, kind: type[_O]) -> list[_O]:
        """The objects of one kind."""
        return [one for one in self.objects if isinstance(one, kind)]

    def near(self, kind: type[_O], namespace: str) -> list[_O]:
        """The same, in a namespace; a manifest without one may go into any."""
        return [one for one in self.of(kind) if is_in(one.metadata.namespace, namespace)]

    @cached_property
    def workloads(self) -> list[Workload]:
        """Every workload, each kind as its pods."""
        return list(self._workloads())

    def running(self) -> list[Workload]:
        """The workloads; NoData if there are none.

        Raises:
            CouldNotMeasure: there are none, and something was not read.
            NoData: there are none.
        """
        found = self.workloads
        if not found:
            self.sure()
            raise NoData(
                "no workload was found",
                where=self.name,
                remedy="correct `kubernetes` in [manifests]; of Helm and kustomize, the output",
            )
        for one in found:
            for container in one.containers:
                if any(mark in container.image for mark in _TEMPLATES):
                    raise NoData(
                        f"the image of container {container.name} of {one}, is a template",
                        where=self.name,
                        remedy="render it first: helm template, kustomize build or envsubst",
                    )
        return found

    def sure(self) -> None:
        """Raise why something was not read: what is missing may be there."""
        for error in self.lost:
            raise error
        for one in self.broken:
            raise one.error

    def _workloads(self) -> Iterator[Workload]:
        for one in self.objects:
            owners = {owner.kind for owner in one.metadata.owner_references}
            if owners & _MAKERS:
                continue
            if isinstance(one, Scaling):
                yield self._scaled(one)
            elif isinstance(one, Job):
                yield self._made(one, one.spec.template)
            elif isinstance(one, CronJob):
                yield self._made(one, one.spec.job_template.spec.template)
            elif isinstance(one, Pod):
                yield self._made(one, Template(metadata=one.metadata, spec=one.spec))

    def _made(self, one: Object, template: Template) -> Workload:
        at = one.metadata
        return Workload(one.kind, at.name, at.namespace, template.metadata.labels, template.spec, 1)

    def _scaled(self, one: Scaling) -> Workload:
        at, template = one.metadata, one.spec.template
        return Workload(
            one.kind,
            at.name,
            at.namespace,
            template.metadata.labels,
            template.spec,
            self._fewest(one),
            Named(one.kind, at.name, at.namespace) in self.covered,
            one,
        )

    def _fewest(self, one: Scaling) -> int:
        """The default of `replicas` is 1, and of an autoscaler's minimum, too."""
        place = one.metadata.namespace
        for scaler in self.near(HorizontalPodAutoscaler, place):
            ref = scaler.spec.scale_target_ref
            if (ref.kind, ref.name) == (one.kind, one.metadata.name):
                return 1 if scaler.spec.min_replicas is None else scaler.spec.min_replicas
        for scaled in self.near(ScaledObject, place):
            ref = scaled.spec.scale_target_ref
            if (ref.kind or "Deployment", ref.name) == (one.kind, one.metadata.name):
                return scaled.spec.min_replica_count
        return 1 if one.spec.replicas is None else one.spec.replicas


def is_in(own: str, namespace: str) -> bool:
    """Whether an object is in a namespace; one without may go into any, and any into none."""
    return not own or not namespace or own == namespace


def selected(service: Service, workloads: Iterable[Workload]) -> list[Workload]:
    """The workloads whose pods a Service sends requests to."""
    wanted = service.spec.selector
    return [
        one
        for one in workloads
        if wanted
        and is_in(service.metadata.namespace, one.namespace)
        and wanted.items() <= one.labels.items()
    ]


def services_of(workload: Workload, services: Sequence[Service]) -> list[Service]:
    """The Services that send requests to its pods."""
    return [one for one in services if selected(one, [workload])]
