"""A gateway that stands between two programs, and gets something wrong.

Run as a module with PORT JSON, the JSON of `Gateway`.
"""

import json
import sys
from typing import Final

import httpx
import uvicorn
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

READY: Final = "/_ready"
_TIMEOUT_S: Final = 60.0
_METHODS: Final = ["GET", "POST", "PUT", "DELETE"]


class Gateway(BaseModel):
    """What it does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The addresses that each request goes to, one after the other; the worst of their answers is
    # the one that is given.
    to: list[str]
    swallows: list[int] = []  # statuses of theirs that it turns into 200
    # Methods and paths that it answers 403 itself, as `POST /api/v2/silences`.
    refuses: list[str] = []
    ignores: list[str] = []  # beginnings of methods and paths that it answers 200 itself
    drops: list[str] = []  # keys that it removes from the objects of a JSON list, as `endsAt`


def application(gateway: Gateway) -> Starlette:
    """The gateway as an application."""

    async def forward(request: Request) -> Response:
        if f"{request.method} {request.url.path}" in gateway.refuses:
            return Response("read-only", 403)
        if f"{request.method} {request.url.path}".startswith(tuple(gateway.ignores)):
            return JSONResponse({})
        body = _without(await request.body(), gateway.drops)
        sent = {"content-type": request.headers.get("content-type", "application/json")}
        path = request.url.path.lstrip("/")
        answers = []
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            for target in gateway.to:
                url = f"{target.rstrip('/')}/{path}" if path else target
                answers.append(
                    await client.request(
                        request.method, url,
                        params=request.query_params, content=body, headers=sent,
                    )
                )  # fmt: skip
        answer = max(answers, key=lambda found: found.status_code)
        status = 200 if answer.status_code in gateway.swallows else answer.status_code
        kept = {"content-type": answer.headers.get("content-type", "text/plain")}
        return Response(answer.content, status, headers=kept)

    return Starlette(
        routes=[
            Route(READY, lambda _: Response("ok"), methods=["GET"]),
            Route("/{path:path}", forward, methods=_METHODS),
        ]
    )


def _without(body: bytes, keys: list[str]) -> bytes:
    if not (keys and body):
        return body
    items = json.loads(body)
    return json.dumps([{k: v for k, v in i.items() if k not in keys} for i in items]).encode()


if __name__ == "__main__":
    uvicorn.run(
        application(Gateway.model_validate_json(sys.argv[2])),
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
