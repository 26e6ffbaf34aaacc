"""What manifests and a cluster tell of one workload, side by side."""

from dataclasses import dataclass, replace
from typing import Final

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.inventory import Inventory
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.areas.scaling.probes.manifests import Written, written
from readiness.model.errors import NoData

MANIFESTS: Final = "manifests"
LIVE: Final = "live"


@dataclass(frozen=True, slots=True)
class Sides:
    """A workload as it is written, and as it is.

    Attributes:
        declared: what will be applied; None where no file has it.
        live: what there is; None where nobody said.
    """

    declared: View | None
    live: View | None

    @property
    def known(self) -> list[View]:
        """Both, as far as they are known; at least one."""
        return [view for view in (self.declared, self.live) if view is not None]


def sides(scaling: Scaling, live: Inventory | None) -> Sides:
    """Both sides of a workload.

    Args:
        scaling: the workload, and its files.
        live: what the cluster has; None where none is named.

    Raises:
        NoData: neither side has the workload, or one is not understood.
        CouldNotMeasure: a file cannot be read, or is too old.
    """
    namespace = scaling.cluster.namespace if scaling.cluster else ""
    files = written(scaling.manifests, scaling.live_max_age_h) if scaling.manifests else _NONE
    there = files.live if live is None else live
    found = _joined(
        view(files.declared, MANIFESTS, scaling.workload, namespace),
        view(there, LIVE, scaling.workload, namespace),
    )
    missing = found.live is None and live is not None
    if missing or not found.known:
        raise NoData(
            f"there is no {scaling.workload} in {_places(scaling)}",
            where=f"[scaling.{scaling.name}] workload",
            remedy="is that its name? kubectl get deployments,statefulsets -A",
        )
    return found


def _joined(declared: View | None, live: View | None) -> Sides:
    """What is applied gets the defaults of the namespace that it goes to."""
    if declared and live and not declared.ranges:
        declared = replace(declared, ranges=live.ranges)
    return Sides(declared, live)


def _places(scaling: Scaling) -> str:
    if scaling.cluster:
        return f"namespace {scaling.cluster.namespace} of {scaling.cluster.context}"
    return ", ".join(scaling.manifests)


_NONE: Final = Written(Inventory(()), Inventory(()))
