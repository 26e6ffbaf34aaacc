"""What became of a process."""

import os

from readiness.lib import watchdog


def gone(pid: int) -> bool:
    """Whether it runs no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # An orphan may wait for a lazy init to be collected: it runs no more.
    return watchdog._stat(pid)[:1] == ["Z"]
