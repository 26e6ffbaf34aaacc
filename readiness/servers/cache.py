"""The folder for downloads and templates, and a lock between the processes that write there."""

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

_SHARED: Final = Path("/var/cache/readiness")


def folder() -> Path:
    """The folder, which may not exist yet.

    For root it is one that all accounts may enter, as the servers run as `nobody`.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).absolute()
    named = os.environ.get("XDG_CACHE_HOME")
    if os.geteuid() != 0:
        try:
            return Path(named or Path.home() / ".cache") / "readiness"
        except RuntimeError:  # no home folder: creating the cache reports it
            return Path("/nonexistent/.cache/readiness")
    return Path(named) / "readiness" if named and _is_open(Path(named)) else _SHARED


@contextmanager
def locked(path: Path, within_s: float) -> Iterator[None]:
    """Hold a lock between processes.

    Args:
        path: the lock file.
        within_s: longest wait for another process, in seconds.

    Raises:
        TimeoutError: another process holds the lock for longer.
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
    """Whether all accounts may enter it, or could once it exists."""
    resolved = place.resolve()
    places = [one for one in (resolved, *resolved.parents) if one.exists()]
    return all(one.stat().st_mode & stat.S_IXOTH for one in places)
