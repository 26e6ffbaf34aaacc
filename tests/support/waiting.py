"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], seconds: float = 40) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
