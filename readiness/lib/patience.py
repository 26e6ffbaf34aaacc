"""Waits for a condition with a deadline: what is seconds old has not shown everything yet."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_EVERY_S: Final = 0.5


def until(
    look: Callable[[], T],
    good: Callable[[T], bool],
    *,
    within_s: float,
    every_s: float = _EVERY_S,
) -> T:
    """Look until what is seen is good, or the time is over; gives what was seen last.

    Args:
        look: asks once; what it raises is not caught.
        good: whether there is nothing left to wait for.
        within_s: seconds from the first look to the last one.
        every_s: seconds between two looks.
    """
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        left = deadline - time.monotonic()
        if good(seen) or left <= 0:
            return seen
        time.sleep(min(every_s, left))
