"""What a rolling update adds and takes away, at each count of replicas."""

from dataclasses import dataclass
from typing import Final

from readiness.areas.scaling.kubernetes.objects import Workload
from readiness.areas.scaling.kubernetes.quantity import IntOrPercent, part_of

_DEFAULT: Final = "25%"
_STATEFUL: Final = "StatefulSet"
ROLLING: Final = "RollingUpdate"


@dataclass(frozen=True, slots=True)
class Rollout:
    """How pods are replaced, defaults filled in.

    Attributes:
        type: RollingUpdate, Recreate or OnDelete.
        surge: how many pods more there may be.
        unavailable: how many fewer may be available.
    """

    type: str
    surge: IntOrPercent
    unavailable: IntOrPercent

    def added(self, count: int) -> int:
        """The most pods above a count; a percentage is rounded up."""
        return part_of(self.surge, count, up=True) if self.type == ROLLING else 0

    def missing(self, count: int) -> int:
        """The most pods of a count that are away at once.

        A percentage is rounded down. Where that leaves neither a surge nor anything missing, one
        may be missing (`ResolveFenceposts` in pkg/controller/deployment/util).
        """
        if self.type == "Recreate":
            return count
        if self.type != ROLLING:
            return 0
        found = part_of(self.unavailable, count, up=False)
        return min(count, found if found or self.added(count) else 1)


def rollout_of(workload: Workload) -> Rollout:
    """Defaults: `apps/v1 DeploymentStrategy` and `StatefulSetUpdateStrategy`.

    A StatefulSet replaces one pod after the other, and adds none: its `maxUnavailable` counts
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
