"""A metric that can be made to breach, and the exporter that shows it.

Run as a module, `breach ID` writes the series, `clear` removes it, and
`serve PORT` shows what is written, in the folder REFERENCE_CANARY_FOLDER.
"""

import os
import sys
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from readiness.servers.files import write_whole

FOLDER: Final = "REFERENCE_CANARY_FOLDER"
_HEAD: Final = "# HELP readiness_canary Breaches on request.\n# TYPE readiness_canary gauge\n"


def _file() -> Path:
    return Path(os.environ[FOLDER]) / "canary.prom"


async def metrics(_: Request) -> Response:
    """The series, if there is one now."""
    file = _file()
    series = file.read_text(encoding="utf-8") if file.exists() else ""
    return Response(_HEAD + series, media_type="text/plain; version=0.0.4")


def main(action: str, argument: str = "") -> None:
    """`breach PROBE`, `clear`, or `serve PORT`."""
    if action == "breach":
        write_whole(_file(), f'readiness_canary{{probe="{argument}"}} 1\n'.encode())
    elif action == "clear":
        _file().unlink(missing_ok=True)
    else:
        application = Starlette(routes=[Route("/metrics", metrics)])
        uvicorn.run(
            application, host="127.0.0.1", port=int(argument), log_level="warning",
            timeout_graceful_shutdown=1,
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
