"""A gateway between two programs, with a fault.

Run as a module with PORT JSON, the JSON of `Gateway`.
"""

import asyncio
import json
import sys
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers.small_server import serve

READY: Final = "/_ready"
_TIMEOUT_S: Final = 60.0
_METHODS: Final = ["GET", "POST", "PUT", "DELETE"]


class Gateway(BaseModel):
    """The targets of a gateway, and its faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: list[str]  # each request goes to all of them in turn; the worst answer is given
    swallows: list[int] = []  # statuses that it turns into 200
    refuses: list[str] = []  # what it answers with 403, as `POST /api/v2/silences`
    ignores: list[str] = []  # prefixes of what it answers with 200 itself
    drops: list[str] = []  # keys that it removes from the objects of a JSON list, as `endsAt`


def _routes(gateway: Gateway) -> list[Route]:
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

    return [
        Route(READY, lambda _: Response("ok"), methods=["GET"]),
        Route("/{path:path}", forward, methods=_METHODS),
    ]


def _without(body: bytes, keys: list[str]) -> bytes:
    if not (keys and body):
        return body
    items = json.loads(body)
    return json.dumps([{k: v for k, v in i.items() if k not in keys} for i in items]).encode()


if __name__ == "__main__":
    asyncio.run(serve(_routes(Gateway.model_validate_json(sys.argv[2])), int(sys.argv[1])))
