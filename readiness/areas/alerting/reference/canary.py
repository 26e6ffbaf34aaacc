"""A metric that can be made to breach, and its exporter, which is a process of its own.

Run as a module, `breach ID` writes the series, `clear` removes it, and
`serve PORT` exports it; the file is in the folder REFERENCE_CANARY_FOLDER.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from readiness.servers.files import write_whole
from readiness.servers.small_server import serve

FOLDER: Final = "REFERENCE_CANARY_FOLDER"
_HEAD: Final = "# HELP readiness_canary Breaches on request.\n# TYPE readiness_canary gauge\n"


def _file() -> Path:
    return Path(os.environ[FOLDER]) / "canary.prom"


async def metrics(_: Request) -> Response:
    """The current series, if there is one."""
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
        asyncio.run(serve([Route("/metrics", metrics)], int(argument)))


if __name__ == "__main__":
    main(*sys.argv[1:])
