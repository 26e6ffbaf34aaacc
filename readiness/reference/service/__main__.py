"""Run the order service: `python -m readiness.reference.service PORT`."""

import os
import sys
import tempfile
from typing import Final

import uvicorn

WORKERS: Final = 2
GRACE_S: Final = 5


def main(port: int) -> None:
    """Serve on 127.0.0.1 until a signal comes; requests under way are finished."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="order-service-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            _serve(port)
    else:
        _serve(port)


def _serve(port: int) -> None:
    uvicorn.run(
        "readiness.reference.service.app:create",
        factory=True,
        host="127.0.0.1",
        port=port,
        workers=WORKERS,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
