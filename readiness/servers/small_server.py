"""What the small servers share that replace products we cannot ship.

It stands alone because each of them is a process that must start quickly.
"""

from collections.abc import Sequence
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

LIMIT_BYTES: Final = 1 << 20


async def body_of(request: Request) -> bytes:
    """The body, truncated to 1 MiB."""
    body = b""
    async for chunk in request.stream():
        body = (body + chunk)[:LIMIT_BYTES]
    return body


def is_bearer(request: Request, token: str) -> bool:
    """Whether a request has the token."""
    return request.headers.get("authorization", "") == f"Bearer {token}"


def refused(what: str) -> Response:
    """The answer to a request without the token."""
    return JSONResponse({"message": what, "detail": what}, 401)


async def serve(routes: Sequence[BaseRoute], port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        Starlette(routes=routes),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve()
