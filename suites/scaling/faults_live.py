"""Faults of the fleet's autoscaler that the scaling drill finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import Fault, fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_DRILL: Final = "scaling.under-load[fleet]"
_FLEET: Final = "fleet"


def _behaving(name: str, story: str, keys: set[str], **switches: object) -> Fault:
    """A fault that the fleet is told to have; see `Behaviour`."""

    @contextmanager
    def apply(system: "ReferenceSystem") -> Iterator[None]:
        with system.levers.fleet(**switches):
            yield

    apply.__name__ = name
    return fault(story=story, misses={_DRILL: keys}, needs=_FLEET)(apply)


nothing_scales = _behaving(
    "nothing_scales",
    "The autoscaler sees no load and does nothing, as one without metrics",
    {"scaled-up"},
    scaler="none",
)
scales_too_slowly = _behaving(
    "scales_too_slowly",
    "The autoscaler adds the first replicas, and the next ones long after the agreed time",
    {"scaled-up"},
    scaler="slow",
)
grows_all_at_once = _behaving(
    "grows_all_at_once",
    "The autoscaler starts all replicas at once, and loses no request",
    {"added"},
    scaler="greedy",
)
follows_every_wave = _behaving(
    "follows_every_wave",
    "The autoscaler follows the load at once, up and down: the next wave finds the fewest replicas",
    {"added", "removed"},
    scaler="hasty",
)
never_shrinks = _behaving(
    "never_shrinks",
    "The autoscaler scales up and never down, which nobody notices before the invoice",
    {"scaled-down"},
    scaler="stuck",
)
shrinks_too_far = _behaving(
    "shrinks_too_far",
    "The autoscaler removes two replicas at a time, and goes below the minimum once",
    {"fewest", "removed"},
    scaler="overshooting",
)
stops_before_it_is_drained = _behaving(
    "stops_before_it_is_drained",
    "A replica is stopped half a second before the balancer knows: its requests are lost",
    {"failed-requests", "longest-gap"},
    shrinks_late=True,
)


@fault(
    story="The autoscaler starts eight replicas, and the service may have seven",
    misses={_DRILL: {"added", "most"}},
    needs=_FLEET,
)
@contextmanager
def exceeds_the_maximum(system: "ReferenceSystem") -> Iterator[None]:
    """The fleet's own maximum stays."""
    with (
        system.levers.replace_in_config("max_replicas = 8", "max_replicas = 7"),
        system.levers.fleet(scaler="greedy"),
    ):
        yield


@fault(
    story="Answers do not name their replica any more: nothing shows that the new ones answer",
    misses={_DRILL: {"answering"}},
    needs=_FLEET,
)
@contextmanager
def answers_name_no_replica(system: "ReferenceSystem") -> Iterator[None]:
    """As behind a proxy that drops the header."""
    with system.levers.replace_in_config(
        'replica_header = "x-replica"\nreplicas = [', 'replica_header = "x-pod"\nreplicas = ['
    ):
        yield
