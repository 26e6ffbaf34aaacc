"""What proves the drill of scaling: an autoscaler that is wrong in one way at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_FLEET: Final = "fleet"
_UP: Final = "scaling.scale-up-live[fleet]"
_DOWN: Final = "scaling.scale-down-live[fleet]"


@fault(
    turns_red={_UP, _DOWN},
    story="The autoscaler sees no load, and does nothing; what never grew is not seen to shrink.",
    needs=_FLEET,
)
@contextmanager
def nothing_scales(system: ReferenceSystem) -> Iterator[None]:
    """As one whose metrics are missing."""
    with system.levers.fleet(scaler="none"):
        yield


@fault(
    turns_red={_UP, _DOWN},
    story="The autoscaler takes far longer than was agreed.",
    needs=_FLEET,
)
@contextmanager
def scales_too_slowly(system: ReferenceSystem) -> Iterator[None]:
    """It begins, and does not get there in time."""
    with system.levers.fleet(scaler="slow"):
        yield


@fault(
    turns_red={_UP},
    story="The autoscaler starts all replicas that the load needs at once.",
    needs=_FLEET,
)
@contextmanager
def grows_all_at_once(system: ReferenceSystem) -> Iterator[None]:
    """It is soon where it has to be, and loses nothing."""
    with system.levers.fleet(scaler="greedy"):
        yield


@fault(
    turns_red={_UP, _DOWN},
    story="The autoscaler follows the load without any measure, up and down.",
    needs=_FLEET,
)
@contextmanager
def follows_every_wave(system: ReferenceSystem) -> Iterator[None]:
    """The next wave would find the fewest."""
    with system.levers.fleet(scaler="hasty"):
        yield


@fault(
    turns_red={_DOWN},
    story="The autoscaler grows, and never shrinks.",
    needs=_FLEET,
)
@contextmanager
def never_shrinks(system: ReferenceSystem) -> Iterator[None]:
    """Nobody complains, until the invoice comes."""
    with system.levers.fleet(scaler="stuck"):
        yield


@fault(
    turns_red={_DOWN},
    story="A replica that is one too many is gone before the balancer knows.",
    needs=_FLEET,
)
@contextmanager
def shrinks_before_it_is_known(system: ReferenceSystem) -> Iterator[None]:
    """Half a second of lost requests, each time."""
    with system.levers.fleet(shrinks_late=True):
        yield
