"""What was not measured may be tried again: the prober was starved, the service did no wrong."""

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

# A drill of minutes is done twice; one of seconds until it is seen, for about four minutes.
_PATIENCE_S: Final = 240.0
_LEAST: Final = 2
_MOST: Final = 6


class Watched(Protocol):
    """What a prober saw of a drill."""

    @property
    def is_starved(self) -> bool:
        """Whether nothing is known but that this machine did too much else at the time."""
        ...


_W = TypeVar("_W", bound=Watched)


def fairly(drill: Callable[[], _W]) -> _W:
    """The first drill whose prober was not starved; the last one if all were."""
    began, tries = time.monotonic(), 1
    while (done := drill()).is_starved and tries < _MOST:
        if tries >= _LEAST and time.monotonic() - began > _PATIENCE_S:
            break
        tries += 1
    return done
