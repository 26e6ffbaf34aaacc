"""What a pod asks for, with what the API server fills in."""

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
    """What one container asks for, and may use.

    Attributes:
        name: of the container.
        requests: by resource, defaults filled in.
        limits: the same.
        ends: whether it is done before the others begin (an init container that is no sidecar).
    """

    name: str
    requests: Amounts
    limits: Amounts
    ends: bool = False


def asked(spec: PodSpec, ranges: Sequence[LimitRange]) -> list[Asked]:
    """Every container of a pod, those that begin first at the head.

    An init container that is restarted always is a sidecar, and stays as long as the pod does:
    `kubernetes.io/docs/concepts/workloads/pods/sidecar-containers`.

    Raises:
        NoData: a quantity cannot be read.
    """
    return [
        *(_asked(c, ranges, ends=c.restart_policy != _ALWAYS) for c in spec.init_containers),
        *(_asked(container, ranges, ends=False) for container in spec.containers),
    ]


def _asked(container: Container, ranges: Sequence[LimitRange], *, ends: bool) -> Asked:
    """Its own figures first; then a request is the limit; then what the namespace gives.

    The order is that of the API server: `SetDefaults_Pod` fills a request from the container's
    own limit before the plugin LimitRanger sees it
    (`kubernetes.io/docs/concepts/policy/limit-range`).
    """
    limits = _amounts(container.resources.limits)
    requests = limits | _amounts(container.resources.requests)
    for item in (item for one in ranges for item in one.spec.limits if item.type == "Container"):
        # `SetDefaults_LimitRangeItem`: what it does not give follows from what it bounds.
        default = _amounts(item.max) | _amounts(item.default)
        limits = default | limits
        requests = _amounts(item.min) | default | _amounts(item.default_request) | requests
    return Asked(container.name, requests, limits, ends)


def whole(spec: PodSpec, ranges: Sequence[LimitRange]) -> Amounts:
    """What the scheduler sets aside for one pod.

    That is the sum of all that stay, or the peak while it begins, whichever is more, and the
    overhead of its runtime; or what the pod itself asks for (`spec.resources`).

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
    """What the containers that stay may use together."""
    found: Amounts = {}
    for container in asked(spec, ranges):
        if not container.ends:
            found = added(found, container.limits)
    return found


def lacking(
    spec: PodSpec, ranges: Sequence[LimitRange], resource: str, *, limit: bool = False
) -> list[str]:
    """Containers that stay, and ask for nothing of a resource (or may use any amount of it).

    One of them makes the share of use of the whole pod unknown: `calculatePodRequests` in
    pkg/controller/podautoscaler/replica_calculator.go. A request of zero is as none.

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
    """The sum of many."""
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
