"""What a disruption budget lets go of a workload, with all other pods that it selects."""

from collections.abc import Iterable
from dataclasses import dataclass

from readiness.areas.scaling.kubernetes.controllers import allowed
from readiness.areas.scaling.kubernetes.view import Other, View
from readiness.lib.kubernetes.objects import DisruptionBudget
from readiness.lib.kubernetes.parts import selects


@dataclass(frozen=True, slots=True)
class Protection:
    """What a budget allows, at the worst replica counts.

    Attributes:
        evictable: the fewest pods that may be evicted, and of how many.
        left: the fewest pods of the workload that remain, and of how many.
        beside: the other workloads whose pods it selects.
    """

    evictable: int
    evictable_of: int
    left: int
    left_of: int
    beside: tuple[Other, ...]


def protection(view: View, budget: DisruptionBudget, counts: Iterable[int]) -> Protection:
    """By the expected pods of every controller whose pods it selects, as the API server adds them.

    Evictions may all hit one workload: `minAvailable: 1` may be met by another one's pods.

    Raises:
        NoData: a field of the budget, or its selector, is not understood.
    """
    beside = tuple(one for one in view.others if selects(budget.spec.selector, one.labels))
    fewest, most = sum(one.fewest for one in beside), sum(one.most for one in beside)
    known = list(counts)
    # A percentage is not monotonous in the total, but nearly: both ends are looked at.
    may_go = {n: min(allowed(budget, n + others) for others in (fewest, most)) for n in known}
    stays = {
        n: n - min(n, max(allowed(budget, n + others) for others in (fewest, most))) for n in known
    }
    worst = min(known, key=lambda n: (may_go[n], n))
    barest = min(known, key=lambda n: (stays[n], n))
    return Protection(may_go[worst], worst, stays[barest], barest, beside)
