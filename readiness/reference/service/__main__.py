"""Run the order service: `python -m readiness.reference.service PORT`.

It stands alone because this process only starts the workers, and imports no part of them.
"""

import os
import socket
import sys
import tempfile
from typing import Final

import uvicorn

WORKERS: Final = 2
GRACE_S: Final = 5


def main(port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; open requests are completed."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="order-service-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            _serve(port)
    else:
        _serve(port)


def _serve(port: int) -> None:
    # With workers, uvicorn leaves Nagle's algorithm enabled, and every answer takes 40 ms.
    # Connections inherit this option from the listening socket.
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        uvicorn.run(
            "readiness.reference.service.app:create",
            factory=True,
            fd=listener.fileno(),
            workers=WORKERS,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,  # the application sends it
            timeout_graceful_shutdown=GRACE_S,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
