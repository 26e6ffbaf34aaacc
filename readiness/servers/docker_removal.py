"""Removes a container and its volume: a script that the guardian runs when the owner is gone.

It finds the engine through DOCKER_HOST and needs no `docker` program. It stands alone because it
must start without the rest of the package.
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
    """Remove it; wait up to 5 s if it does not exist, as the engine may still be creating it."""
    deadline = time.monotonic() + _PATIENCE_S
    with contextlib.closing(docker.from_env()) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(NotFound):
                client.api.remove_container(name, v=True, force=True)
                return
            time.sleep(_POLL_S)


if __name__ == "__main__":
    remove(sys.argv[1])
