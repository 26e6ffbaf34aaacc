"""Whether something sets the count of replicas back each time it is applied."""

import json
from typing import Final

from readiness.areas.scaling.kubernetes.objects import Workload
from readiness.areas.scaling.kubernetes.parts import Manager
from readiness.model.errors import NoData

_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def fixed_in_manifest(workload: Workload) -> str:
    """How a manifest fixes the count; empty if it leaves it alone."""
    count = workload.spec.replicas
    return "" if count is None else f"spec.replicas is {count}"


def fixed_live(workload: Workload) -> str | None:
    """The same of a live object, which always has a count; None if nothing tells.

    `kubectl apply` keeps what it applied in an annotation, and applying on the server's side
    leaves the fields that it set in `managedFields`
    (`kubernetes.io/docs/reference/using-api/server-side-apply`).

    Raises:
        NoData: the annotation cannot be read.
    """
    metadata = workload.metadata
    appliers = [m for m in metadata.managed_fields if m.operation == "Apply" and not m.subresource]
    holders = [f"{m.manager} applies spec.replicas" for m in appliers if _sets_count(m)]
    text = metadata.annotations.get(_APPLIED)
    if text is not None:
        applied = _count_in(text, metadata.name)
        if applied is not None:
            holders.append(f"what was applied last has spec.replicas {applied}")
    if text is None and not appliers:
        return None
    return "; ".join(holders)


def _sets_count(manager: Manager) -> bool:
    spec = manager.fields_v1.get("f:spec")
    return isinstance(spec, dict) and "f:replicas" in spec


def _count_in(text: str, name: str) -> int | None:
    try:
        spec = json.loads(text).get("spec", {})
        count = spec.get("replicas")
    except (ValueError, AttributeError, RecursionError):
        # Its text may hold anything, and is not quoted.
        raise NoData(f"the annotation {_APPLIED} is no JSON object", where=name) from None
    return count if isinstance(count, int) else None
