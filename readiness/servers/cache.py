"""The folder of what is downloaded or made once, and the lock of whoever writes there.

Apart because unpacked packages and the filled server of the reference system share it.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "READINESS_CACHE"
"""The variable that names the folder."""

_FOR_ALL: Final = Path("/var/cache/readiness")


def folder() -> Path:
    """Where it is; it may have to be made.

    As root it is a folder that everybody may enter: the servers run as `nobody`.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).absolute()
    named = os.environ.get("XDG_CACHE_HOME")
    if os.geteuid() != 0:
        try:
            return Path(named or Path.home() / ".cache") / "readiness"
        except RuntimeError:  # this account has no home folder: making it tells so
            return Path("/nonexistent/.cache/readiness")
    return Path(named) / "readiness" if named and _is_open(Path(named)) else _FOR_ALL


@contextmanager
def locked(path: Path, within_s: float) -> Iterator[None]:
    """Hold a lock between processes.

    Args:
        path: the file of the lock.
        within_s: seconds to wait for another process.

    Raises:
        TimeoutError: another process holds it for longer.
        OSError: the file cannot be written.
    """
    deadline = time.monotonic() + within_s
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(0.1)
        yield


def _is_open(place: Path) -> bool:
    """Whether everybody may enter it, or could if it were made."""
    resolved = place.resolve()
    places = [one for one in (resolved, *resolved.parents) if one.exists()]
    return all(one.stat().st_mode & stat.S_IXOTH for one in places)
