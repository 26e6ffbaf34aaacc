"""Finds autoscalers among the manifests of a folder."""

import re
from collections.abc import Iterator

from readiness.config.base import NAME_PATTERN
from readiness.config.base.discovery import Finding, Line, Sources
from readiness.lib.kubernetes import inventory
from readiness.lib.kubernetes.files import documents_in, manifests_below
from readiness.lib.kubernetes.objects import HorizontalPodAutoscaler


def autoscalers(sources: Sources) -> Iterator[Finding]:
    """Each workload that a HorizontalPodAutoscaler scales."""
    found = manifests_below(sources.folder, sources.files("**/*.yaml", "**/*.yml"))
    documents = [one for path in found.paths for one in documents_in(path)]
    for scaler in inventory.read(documents).of(HorizontalPodAutoscaler):
        scaled = scaler.spec.scale_target_ref
        if not re.match(NAME_PATTERN, scaled.name):
            continue
        table, source = ("scaling", scaled.name), f"HorizontalPodAutoscaler {scaler.metadata.name}"
        yield Line(table, "workload", f"{scaled.kind.lower()}/{scaled.name}", source)
        yield Line(table, "manifests", found.patterns, "as in [manifests]")
        yield Line(table, "min_replicas", scaler.spec.min_replicas or 1, source)
        yield Line(table, "max_replicas", scaler.spec.max_replicas, source)
        if (percent := _percent(scaler, "cpu")) is not None:
            yield Line(table, "cpu_percent", percent, source)
        if (percent := _percent(scaler, "memory")) is not None:
            yield Line(table, "memory_percent", percent, source)


def _percent(scaler: HorizontalPodAutoscaler, resource: str) -> int | None:
    """The utilization that it aims at; None if it has no such metric."""
    if resource == "cpu" and scaler.spec.target_cpu is not None:
        return scaler.spec.target_cpu
    named = [m.resource for m in scaler.spec.metrics if m.resource and m.resource.name == resource]
    return named[0].target.average_utilization if named else None
