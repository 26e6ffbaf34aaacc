"""Removes a container and its volume, by name: what the guardian runs when the owner is gone.

It needs no `docker` program, and finds the engine through DOCKER_HOST.
"""

import contextlib
import sys
import time
from typing import Final

import docker  # type: ignore[import-untyped]
from docker.errors import NotFound  # type: ignore[import-untyped]

_PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.1


def remove(name: str) -> None:
    """Remove it; where it is not there yet, the engine may still be making it: wait for it."""
    deadline = time.monotonic() + _PATIENCE_S
    with contextlib.closing(docker.from_env()) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(NotFound):
                client.api.remove_container(name, v=True, force=True)
                return
            time.sleep(_POLL_S)


if __name__ == "__main__":
    remove(sys.argv[1])
