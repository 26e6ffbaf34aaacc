"""The requests and limits of a pod, with what the API server fills in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from readiness.areas.scaling.kubernetes.objects import Container, LimitRange, PodSpec
from readiness.areas.scaling.kubernetes.parts import Quantity, amount

Amounts = dict[str, Fraction]
_ALWAYS: Final = "Always"


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests and limits of one container.

    Attributes:
        name: of the container.
        requests: by resource, with defaults filled in.
        limits: the same.
        ends: whether it ends before the others start (an init container that is not a sidecar).
    """

    name: str
    requests: Amounts
    limits: Amounts
    ends: bool = False


def asked(spec: PodSpec, ranges: Sequence[LimitRange]) -> list[Asked]:
    """Every container of a pod, in the order of their start.

    An init container that is always restarted is a sidecar, and runs as long as the pod does:
    `kubernetes.io/docs/concepts/workloads/pods/sidecar-containers`.

    Raises:
        NoData: a quantity cannot be read.
    """
    return [
        *(_asked(c, ranges, ends=c.restart_policy != _ALWAYS) for c in spec.init_containers),
        *(_asked(container, ranges, ends=False) for container in spec.containers),
    ]


def _asked(container: Container, ranges: Sequence[LimitRange], *, ends: bool) -> Asked:
    """Its own figures first; then its limit as the request; then the LimitRange.

    The order is that of the API server: `SetDefaults_Pod` fills a request from the container's
    own limit before the plugin LimitRanger sees it
    (`kubernetes.io/docs/concepts/policy/limit-range`).
    """
    limits = _amounts(container.resources.limits)
    requests = limits | _amounts(container.resources.requests)
    for item in (item for one in ranges for item in one.spec.limits if item.type == "Container"):
        # `SetDefaults_LimitRangeItem`: defaults that are left out follow from max and min.
        default = _amounts(item.max) | _amounts(item.default)
        limits = default | limits
        requests = _amounts(item.min) | default | _amounts(item.default_request) | requests
    return Asked(container.name, requests, limits, ends)


def whole(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """What the scheduler reserves for one pod.

    The sum of all containers that stay, or the peak while the pod starts, whichever is more, and
    the overhead of its runtime; or the pod's own request (`spec.resources`).

    Raises:
        NoData: a quantity cannot be read.
    """
    containers = asked(spec, ranges)
    total: Amounts = {}
    peak: Amounts = {}
    for container in containers:
        together = added(total, container.requests)
        if container.ends:
            peak = _larger(peak, together)
        else:
            total = together
    found = _larger(total, peak)
    if spec.resources:
        found |= _amounts(spec.resources.limits) | _amounts(spec.resources.requests)
    return added(found, _amounts(spec.overhead))


def limits(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """The sum of the limits of the containers that stay."""
    found: Amounts = {}
    for container in asked(spec, ranges):
        if not container.ends:
            found = added(found, container.limits)
    return found


def lacking(
    spec: PodSpec, ranges: Sequence[LimitRange], resource: str, *, limit: bool = False
) -> list[str]:
    """Containers that stay and have no request (or no limit) of a resource.

    One without a request makes the utilization of the whole pod unknown: `calculatePodRequests` in
    pkg/controller/podautoscaler/replica_calculator.go. A request of zero counts as none.

    Raises:
        NoData: a quantity cannot be read.
    """
    own = spec.resources
    if own and _amounts(own.limits if limit else own.requests | own.limits).get(resource):
        return []
    return [
        container.name
        for container in asked(spec, ranges)
        if not container.ends
        and not (container.limits if limit else container.requests).get(resource)
    ]


def added(first: Amounts, second: Mapping[str, Fraction]) -> Amounts:
    """The sum, by resource."""
    return {
        key: first.get(key, Fraction()) + second.get(key, Fraction()) for key in {*first, *second}
    }


def summed(all_of: Iterable[Amounts]) -> Amounts:
    """The sum of many, by resource."""
    found: Amounts = {}
    for one in all_of:
        found = added(found, one)
    return found


def _larger(first: Amounts, second: Amounts) -> Amounts:
    return {
        key: max(first.get(key, Fraction()), second.get(key, Fraction()))
        for key in {*first, *second}
    }


def _amounts(quantities: Mapping[str, Quantity]) -> Amounts:
    return {name: amount(quantity) for name, quantity in quantities.items()}
