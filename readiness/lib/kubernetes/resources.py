"""The requests and limits of containers, with the defaults of the API server and LimitRanges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from readiness.lib.kubernetes.objects import Container, LimitRange, PodSpec
from readiness.lib.kubernetes.parts import Quantity, amount

Amounts = dict[str, Fraction]
CPU: Final = "cpu"
MEMORY: Final = "memory"
_ALWAYS: Final = "Always"


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests and limits of a container by resource, with defaults filled in.

    Attributes:
        ends: whether it ends before the others start (an init container that is not a sidecar).
    """

    name: str
    requests: Amounts
    limits: Amounts
    ends: bool = False


def asked(spec: PodSpec, ranges: Sequence[LimitRange]) -> list[Asked]:
    """Every container of a pod, in the order of their start; NoData if a quantity is not valid.

    An init container that is always restarted is a sidecar, and runs as long as the pod does:
    `kubernetes.io/docs/concepts/workloads/pods/sidecar-containers`.
    """
    return [
        *(_asked(c, ranges, ends=c.restart_policy != _ALWAYS) for c in spec.init_containers),
        *(_asked(container, ranges, ends=False) for container in spec.containers),
    ]


def _asked(container: Container, ranges: Sequence[LimitRange], *, ends: bool) -> Asked:
    """Its own values first; then its limit as the request; then the LimitRange.

    The order is that of the API server: `SetDefaults_Pod` fills a request from the container's
    own limit before the plugin LimitRanger sees it
    (`kubernetes.io/docs/concepts/policy/limit-range`).
    """
    limits = amounts_of(container.resources.limits)
    requests = limits | amounts_of(container.resources.requests)
    for item in (item for one in ranges for item in one.spec.limits if item.type == "Container"):
        # `SetDefaults_LimitRangeItem`: defaults that are left out follow from max and min.
        default = amounts_of(item.max) | amounts_of(item.default)
        limits = default | limits
        requests = amounts_of(item.min) | default | amounts_of(item.default_request) | requests
    return Asked(container.name, requests, limits, ends)


def lacking(
    spec: PodSpec, ranges: Sequence[LimitRange], resource: str, *, limit: bool = False
) -> list[str]:
    """Containers that stay and have no request (or no limit) of a resource.

    One without a request makes the utilization of the whole pod unknown: `calculatePodRequests` in
    pkg/controller/podautoscaler/replica_calculator.go. A request of zero counts as none.
    """
    own = spec.resources
    if own and amounts_of(own.limits if limit else own.requests | own.limits).get(resource):
        return []
    return [
        container.name
        for container in asked(spec, ranges)
        if not container.ends
        and not (container.limits if limit else container.requests).get(resource)
    ]


def amounts_of(quantities: Mapping[str, Quantity]) -> Amounts:
    """The exact values by resource.

    Raises:
        NoData: one is not a quantity.
    """
    return {name: amount(quantity) for name, quantity in quantities.items()}
