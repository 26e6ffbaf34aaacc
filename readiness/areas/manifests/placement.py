"""Whether the pods of a workload are kept apart, on different nodes and zones.

The scheduler's own constraints (`PodTopologySpread`, `defaultingType: System`) prefer at most
three pods more on one node than on another: all three of a Deployment may share one.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from readiness.areas.manifests.workloads import Workload
from readiness.lib.kubernetes.objects import AwayFrom
from readiness.lib.kubernetes.parts import selects

NODE: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"


def _rules(workload: Workload) -> Iterator[tuple[str, AwayFrom]]:
    """Its rules that keep pods apart: spread constraints, and anti-affinity."""
    for spread in workload.pod.topology_spread_constraints:
        yield "topologySpreadConstraints", spread
    affinity = workload.pod.affinity
    apart = affinity.pod_anti_affinity if affinity else None
    for term in apart.required if apart else []:
        yield "podAntiAffinity", term
    for preferred in apart.preferred if apart else []:
        yield "podAntiAffinity", preferred.pod_affinity_term


def replicated(workloads: Iterable[Workload]) -> list[Workload]:
    """The workloads with two replicas or more, which are to be kept apart."""
    return [one for one in workloads if one.replicas > 1 and one.source and not one.on_each_node]


def together(workloads: Iterable[Workload], keys: Iterable[str]) -> list[str]:
    """Workloads without a rule of one of these topologies that concerns their pods."""
    wanted = set(keys)
    return [
        str(one)
        for one in workloads
        if not any(
            rule.topology_key in wanted and selects(rule.label_selector, one.labels)
            for _, rule in _rules(one)
        )
    ]


def without_effect(workloads: Iterable[Workload]) -> list[str]:
    """Spread constraints that do not count the workload's own pods."""
    return [
        f"{one}: {name} of {rule.topology_key}"
        for one in workloads
        for name, rule in _rules(one)
        if name == "topologySpreadConstraints" and not selects(rule.label_selector, one.labels)
    ]
