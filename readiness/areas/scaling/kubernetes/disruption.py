"""How many pods a disruption budget lets go, at each count of replicas."""

from readiness.areas.scaling.kubernetes.objects import DisruptionBudget
from readiness.areas.scaling.kubernetes.quantity import part_of


def allowed(budget: DisruptionBudget, count: int) -> int:
    """How many of that many healthy pods may be evicted at once.

    Both fields are rounded up where they are a percentage, and with neither of them nothing is
    allowed: `getExpectedPodCount` and `updatePdbStatus` in pkg/controller/disruption, and
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
