"""Finds workloads and their autoscalers among the manifests of a folder, and in a cluster."""

import re
from collections.abc import Iterator
from typing import Final

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.autoscaler import Autoscaler, autoscalers
from readiness.config.base import NAME_PATTERN
from readiness.config.base.discovery import Finding, Gap, Line, Sources
from readiness.lib.kubernetes import inventory
from readiness.lib.kubernetes.discovery import ORIGIN, cluster, fronts, kind_of
from readiness.lib.kubernetes.files import documents_in, manifests_below
from readiness.lib.kubernetes.inventory import Inventory
from readiness.lib.kubernetes.objects import (
    HorizontalPodAutoscaler,
    ScaledObject,
    Service,
    Workload,
)
from readiness.lib.text import listed

_WORKLOAD: Final = re.compile(Scaling.model_fields["workload"].metadata[0].pattern)


def declared(sources: Sources) -> Iterator[Finding]:
    """Each workload that an autoscaler of the folder's manifests scales."""
    found = manifests_below(sources.folder, sources.files("**/*.yaml", "**/*.yml"))
    documents = [one for path in found.paths for one in documents_in(path)]
    place = Line((), "manifests", found.patterns, "as in [manifests]")
    yield from _scaled(inventory.read(documents), place)


def live(sources: Sources) -> Iterator[Finding]:
    """Each workload of the cluster that an autoscaler scales; [manifests] judges all of them."""
    found = cluster(sources)
    where = {"context": sources.context, "namespace": sources.namespace}
    scaled = list(_scaled(found, Line((), "cluster", where, ORIGIN)))
    yield from scaled
    names = {one.table[1] for one in scaled if isinstance(one, Line)}
    services = found.of(Service)
    fixed = [
        kind_of(one)
        for one in found.of(Workload)
        if one.metadata.name not in names and any(fronts(service, one) for service in services)
    ]
    if fixed:
        yield Gap(f"an autoscaler of {listed(fixed)}", "[scaling.NAME], if the load changes")


def _scaled(found: Inventory, place: Line) -> Iterator[Finding]:
    for scaler in autoscalers(found.of(HorizontalPodAutoscaler), found.of(ScaledObject)):
        name, workload = scaler.target.name, f"{scaler.target.kind.lower()}/{scaler.target.name}"
        if not _is_known(workload):
            continue
        yield from _workload(name, workload, scaler.name, place)
        yield from _figures(("scaling", name), scaler)


def _is_known(workload: str) -> bool:
    name = workload.partition("/")[2]
    return bool(_WORKLOAD.match(workload) and re.match(NAME_PATTERN, name))


def _workload(name: str, workload: str, source: str, place: Line) -> Iterator[Finding]:
    table = ("scaling", name)
    yield Line(table, "workload", workload, source)
    yield Line(table, place.key, place.value, place.source)


def _figures(table: tuple[str, str], scaler: Autoscaler) -> Iterator[Finding]:
    yield Line(table, "min_replicas", scaler.least, scaler.name)
    if scaler.most > scaler.least:
        yield Line(table, "max_replicas", scaler.most, scaler.name)
    for resource in ("cpu", "memory"):
        shares = [one.percent for one in scaler.of_resource(resource) if one.percent is not None]
        if shares:
            yield Line(table, f"{resource}_percent", shares[0], scaler.name)
