"""What a rolling update, an eviction and an apply do to the replica count."""

import json
from dataclasses import dataclass
from typing import Final

from readiness.areas.scaling.kubernetes.objects import DisruptionBudget, Workload
from readiness.areas.scaling.kubernetes.parts import IntOrPercent, Manager, part_of
from readiness.model.errors import NoData

_DEFAULT: Final = "25%"
_STATEFUL: Final = "StatefulSet"
ROLLING: Final = "RollingUpdate"


@dataclass(frozen=True, slots=True)
class Rollout:
    """How pods are replaced, with defaults filled in.

    Attributes:
        type: RollingUpdate, Recreate or OnDelete.
        surge: how many pods may be added.
        unavailable: how many may be unavailable.
    """

    type: str
    surge: IntOrPercent
    unavailable: IntOrPercent

    def added(self, count: int) -> int:
        """The most pods above a replica count; a percentage is rounded up."""
        return part_of(self.surge, count, up=True) if self.type == ROLLING else 0

    def missing(self, count: int) -> int:
        """The most pods of a replica count that are unavailable at once.

        A percentage is rounded down. Where both that and the surge are 0, one may be unavailable
        (`ResolveFenceposts` in pkg/controller/deployment/util).
        """
        if self.type == "Recreate":
            return count
        if self.type != ROLLING:
            return 0
        found = part_of(self.unavailable, count, up=False)
        return min(count, found if found or self.added(count) else 1)


def rollout_of(workload: Workload) -> Rollout:
    """Defaults: `apps/v1 DeploymentStrategy` and `StatefulSetUpdateStrategy`.

    A StatefulSet replaces one pod after the other and adds none: its `maxUnavailable` applies
    only where the feature gate is on, and is 1 by default.
    """
    if workload.kind == _STATEFUL:
        chosen = workload.spec.update_strategy
        rolling = chosen.rolling_update if chosen else None
        away = rolling.max_unavailable if rolling else None
        return Rollout((chosen and chosen.type) or ROLLING, 0, 1 if away is None else away)
    strategy = workload.spec.strategy
    rolling = strategy.rolling_update if strategy else None
    surge = rolling.max_surge if rolling else None
    away = rolling.max_unavailable if rolling else None
    return Rollout(
        (strategy and strategy.type) or ROLLING,
        _DEFAULT if surge is None else surge,
        _DEFAULT if away is None else away,
    )


def allowed(budget: DisruptionBudget, count: int) -> int:
    """How many of so many healthy pods may be evicted at once.

    A percentage is rounded up in both fields, and with neither of them no eviction is allowed:
    `getExpectedPodCount` and `updatePdbStatus` in pkg/controller/disruption, and
    `kubernetes.io/docs/tasks/run-application/configure-pdb/#rounding-logic-when-specifying-percentages`.

    Raises:
        NoData: a field is neither a number nor a percentage.
    """
    spec = budget.spec
    if spec.max_unavailable is not None:
        healthy = max(0, count - part_of(spec.max_unavailable, count, up=True))
    elif spec.min_available is not None:
        healthy = part_of(spec.min_available, count, up=True)
    else:
        healthy = count
    return max(0, count - healthy)


_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def fixed_in_manifest(workload: Workload) -> str:
    """How a manifest fixes the replica count; empty if it does not."""
    count = workload.spec.replicas
    return "" if count is None else f"spec.replicas is {count}"


def fixed_live(workload: Workload) -> str | None:
    """How an apply fixes that of a live object, which always has one; None if it is not known.

    `kubectl apply` stores what it applied in an annotation, and server-side apply the fields that
    it set in `managedFields`
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
        # The text may be secret, and is not quoted.
        raise NoData(f"the annotation {_APPLIED} is not a JSON object", where=name) from None
    return count if isinstance(count, int) else None
