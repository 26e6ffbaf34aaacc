"""What the small servers of the reference system share: they stand for products we cannot ship."""

from collections.abc import Sequence
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

LIMIT_BYTES: Final = 1 << 20


async def body_of(request: Request) -> bytes:
    """The body, up to a limit."""
    body = b""
    async for chunk in request.stream():
        body = (body + chunk)[:LIMIT_BYTES]
    return body


def is_bearer(request: Request, token: str) -> bool:
    """Whether a request has the token."""
    return request.headers.get("authorization", "") == f"Bearer {token}"


def refused(what: str) -> Response:
    """The answer to whoever has not."""
    return JSONResponse({"message": what, "detail": what}, 401)


async def serve(routes: Sequence[BaseRoute], port: int) -> None:
    """Serve until a signal comes."""
    config = uvicorn.Config(
        Starlette(routes=routes),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve()
