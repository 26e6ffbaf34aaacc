"""What controllers do to the replica count: rolling updates, evictions, applies and autoscaling.

The autoscaler's controller is simulated at full pressure. The algorithm is that of
`pkg/controller/podautoscaler/horizontal.go`
(`convertDesiredReplicasWithBehaviorRate`, `calculateScaleUpLimitWithScalingRules`,
`calculateScaleDownLimitWithBehaviors`), documented at
`kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#configurable-scaling-behavior`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Final

from readiness.areas.scaling.kubernetes.autoscaler import Autoscaler, Speed
from readiness.areas.scaling.kubernetes.view import Other, View
from readiness.lib.kubernetes.objects import DisruptionBudget, Policy, Workload
from readiness.lib.kubernetes.parts import IntOrPercent, Manager, part_of, selects
from readiness.model.errors import NoData

_DEFAULT: Final = "25%"
STATEFUL: Final = "StatefulSet"
_ROLLOUT: Final = "Rollout"
ROLLING: Final = "RollingUpdate"
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
SYNC_S: Final = 15
"""Seconds between two runs of the controller: `--horizontal-pod-autoscaler-sync-period`."""
_FIXED_FACTOR: Final = 2
_FIXED_FLOOR: Final = 4
_STEPS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Rollout:
    """How pods are replaced (RollingUpdate, Recreate or OnDelete), with defaults filled in.

    Attributes:
        kept: why some or all pods keep the old release, as "`paused: true`"; empty if none do.
    """

    type: str
    surge: IntOrPercent
    unavailable: IntOrPercent
    kept: str = ""

    def added(self, count: int) -> int:
        """The most pods above a replica count; a percentage is rounded up."""
        return part_of(self.surge, count, up=True) if self.type == ROLLING else 0

    def missing(self, count: int) -> int:
        """The most pods of a replica count that are unavailable at once.

        A percentage is rounded down. If that and the surge are both 0, one pod may be unavailable
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

    A StatefulSet replaces one pod after the other and adds none; its `maxUnavailable` is 1 by
    default, and applies only if the feature gate is on.
    """
    kept = "`paused: true`" if workload.spec.paused else ""
    if workload.kind == _ROLLOUT:
        return _argo(workload, kept)
    stateful = workload.kind == STATEFUL
    strategy = workload.spec.update_strategy if stateful else workload.spec.strategy
    rolling = strategy.rolling_update if strategy else None
    surge = rolling.max_surge if rolling else None
    away = rolling.max_unavailable if rolling else None
    chosen = (strategy and strategy.type) or ROLLING
    if stateful:
        if rolling and rolling.partition:
            kept = f"`partition: {rolling.partition}`"
        return Rollout(chosen, 0, 1 if away is None else away, kept)
    return Rollout(
        chosen,
        _DEFAULT if surge is None else surge,
        _DEFAULT if away is None else away,
        kept,
    )


def _argo(workload: Workload, kept: str) -> Rollout:
    """Defaults: `argo-rollouts.readthedocs.io/en/stable/features/specification`.

    With a switch, and with routed traffic, the old pods stay until the new ones serve.
    """
    strategy = workload.spec.strategy
    canary = strategy.canary if strategy else None
    if canary is None or canary.traffic_routing:
        return Rollout(ROLLING, "100%", 0, kept)
    surge, away = canary.max_surge, canary.max_unavailable
    return Rollout(
        ROLLING, _DEFAULT if surge is None else surge, _DEFAULT if away is None else away, kept
    )


def allowed(budget: DisruptionBudget, count: int) -> int:
    """How many of `count` healthy pods may be evicted at once.

    A percentage is rounded up in both fields, and without either no eviction is allowed:
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


def usual_away(workload: Workload, count: int) -> int:
    """The most pods that Kubernetes' default strategies make unavailable at once."""
    return max(part_of(_DEFAULT, count, up=False), int(workload.kind == STATEFUL))


def fixed_in_manifest(workload: Workload) -> str:
    """How a manifest fixes the replica count; empty if it does not."""
    count = workload.spec.replicas
    return "" if count is None else f"spec.replicas is {count}"


def fixed_live(workload: Workload) -> str | None:
    """How an apply fixes the replica count of a live object; empty if not, None if unknown.

    `kubectl apply` stores what it applied in an annotation, and server-side apply the fields that
    it set in `managedFields` (`kubernetes.io/docs/reference/using-api/server-side-apply`).

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
        # The text is not quoted: it may contain secrets.
        raise NoData(f"the annotation {_APPLIED} is not a JSON object", where=name) from None
    return count if isinstance(count, int) else None


Moved = Callable[[int], int]
"""How many pods were added or removed in the last so many seconds."""


@dataclass(frozen=True, slots=True)
class Step:
    """Pods added or removed, `at_s` seconds after the end of the stabilization window."""

    at_s: int
    pods: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast it scales in one direction, from any replica count between its bounds.

    Attributes:
        most: the most pods in any window of the given length.
        most_from: the replica count that this simulation started from.
        least: the fewest pods in a window, while there was room for the given number.
        least_from: the replica count that this simulation started from.
        first_s: seconds until the first pod: the stabilization window.
        counts: how many replica counts the simulation started from.
    """

    most: int
    most_from: int
    least: int
    least_from: int
    first_s: int
    counts: int


def upward(autoscaler: Autoscaler, pods: int, window_s: float) -> Rate | None:
    """How fast it adds pods if every metric demands the maximum.

    None if its bounds leave no room for `pods` in a window; [t, t + window_s), as the controller
    counts.
    """
    starts = _some(range(max(autoscaler.least, 1), autoscaler.most - pods + 1))
    runs = [_Run(s, autoscaler.most - s, steps_up(autoscaler, s)) for s in starts]
    return _rate(runs, pods, window_s, autoscaler.up.hold_s)


def downward(autoscaler: Autoscaler, pods: int, window_s: float) -> Rate | None:
    """How fast it removes pods if every metric demands the minimum; None as for `upward`."""
    starts = _some(range(autoscaler.least + pods, autoscaler.most + 1))
    runs = [_Run(s, s - autoscaler.least, steps_down(autoscaler, s)) for s in starts]
    return _rate(runs, pods, window_s, autoscaler.down.hold_s)


def steps_up(autoscaler: Autoscaler, start: int) -> list[Step]:
    """Every change from a replica count to the maximum, after the stabilization window."""
    speed = autoscaler.up

    def next_count(now: int, moved: Moved) -> int:
        if speed.fixed:
            limit = max(_FIXED_FACTOR * now, _FIXED_FLOOR)
        else:
            proposed = [_grown(p, now - moved(p.period_seconds)) for p in speed.policies]
            limit = max(proposed) if speed.select == "Max" else min(proposed)
        return min(autoscaler.most, max(limit, now))

    return _steps(speed, start, autoscaler.most, next_count)


def steps_down(autoscaler: Autoscaler, start: int) -> list[Step]:
    """Every change from a replica count to the minimum, after the stabilization window."""
    speed = autoscaler.down

    def next_count(now: int, moved: Moved) -> int:
        if speed.fixed:
            return autoscaler.least
        proposed = [_shrunk(p, now + moved(p.period_seconds)) for p in speed.policies]
        # Max is the policy that allows the largest change, in either direction.
        limit = min(proposed) if speed.select == "Max" else max(proposed)
        return max(autoscaler.least, min(limit, now))

    return _steps(speed, start, autoscaler.least, next_count)


def _grown(policy: Policy, before: int) -> int:
    """The most replicas that a policy allows; a percentage is rounded up, and so never stalls."""
    if policy.type == "Pods":
        return before + policy.value
    return math.ceil(before * (1 + policy.value / 100))


def _shrunk(policy: Policy, before: int) -> int:
    """The fewest replicas that a policy allows; a percentage is rounded down."""
    if policy.type == "Pods":
        return before - policy.value
    return int(before * (1 - policy.value / 100))


def _steps(
    speed: Speed, start: int, end: int, next_count: Callable[[int, Moved], int]
) -> list[Step]:
    """Every 15 s, change the count as far as the policies allow after earlier changes."""
    steps: list[Step] = []
    now, at_s = start, 0

    def counting(period_s: int) -> Iterator[Step]:
        return takewhile(lambda step: step.at_s > at_s - period_s, reversed(steps))

    def moved(period_s: int) -> int:
        return sum(step.pods for step in counting(period_s))

    while now != end and speed.select != "Disabled":
        after = next_count(now, moved)
        if after != now:
            steps.append(Step(at_s, abs(after - now)))
            now, at_s = after, at_s + SYNC_S
            continue
        # Nothing changes until the oldest step leaves its policy's period.
        periods = [policy.period_seconds for policy in speed.policies]
        ends = [min((s.at_s + p for s in counting(p)), default=None) for p in periods]
        forgotten = min((end for end in ends if end is not None), default=None)
        if forgotten is None:
            break
        at_s = math.ceil(forgotten / SYNC_S) * SYNC_S
    return steps


def _some(counts: range) -> range:
    """All counts up to 300, then a sample: the number of steps grows with the square."""
    return counts[:: max(1, len(counts) ** 2 // _STEPS)]


@dataclass(frozen=True, slots=True)
class _Run:
    start: int
    room: int
    steps: list[Step]


def _rate(runs: list[_Run], pods: int, window_s: float, first_s: int) -> Rate | None:
    if not runs:
        return None
    most = max(((_most(run.steps, window_s), run.start) for run in runs), key=_by_pods)
    least = min(((_least(run, pods, window_s), run.start) for run in runs), key=_by_pods)
    return Rate(*most, *least, first_s, len(runs))


def _by_pods(found: tuple[int, int]) -> int:
    return found[0]


def _most(steps: list[Step], window_s: float) -> int:
    """The window with the most pods starts with a step."""
    most = inside = last = 0
    for step in steps:
        while last < len(steps) and steps[last].at_s < step.at_s + window_s:
            inside += steps[last].pods
            last += 1
        most = max(most, inside)
        inside -= step.pods
    return most


def _least(run: _Run, pods: int, window_s: float) -> int:
    """The fewest pods in a window from the first step on; none is shorter than the sync period."""
    length = math.ceil(window_s / SYNC_S) * SYNC_S
    by_window = Counter[int]()
    for step in run.steps:
        by_window[step.at_s // length] += step.pods
    least, left = pods, run.room
    for window in count(0):
        if left < pods or not least:
            break
        least = min(least, by_window[window])
        left -= by_window[window]
    return least


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
