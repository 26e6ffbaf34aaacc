"""Free ports on 127.0.0.1 that stay free."""

import random
import socket
from typing import Final

# Below the range that systems take outgoing connections from (32768 on Linux, 49152 elsewhere):
# a server that is stopped and started again must find its port unused.
_FROM: Final = 15_000
_TO: Final = 32_000
_chance: Final = random.SystemRandom()


def free_port() -> int:
    """A port that is free now; another process may take it, so be ready to retry."""
    while True:
        port = _chance.randrange(_FROM, _TO)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
