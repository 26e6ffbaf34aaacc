"""A replacement for Sentry, which is too large to ship: accepts and shows events.

Run as a module with PORT, and with its key and token in the environment. It answers POST
/api/1/envelope/ and GET /api/0/projects/shop/orders/events/ID/ as Sentry's documentation says.
`POST /_ctl {"loses": true}` sets a fault.
"""

import asyncio
import json
import os
import sys
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers.small_server import body_of, is_bearer, refused, serve

KEY: Final = "REFERENCE_TRACKER_KEY"
TOKEN: Final = "REFERENCE_TRACKER_TOKEN"  # noqa: S105 - the name of a variable
ORGANIZATION: Final = "shop"
PROJECT: Final = "orders"


class Fault(BaseModel):
    """Its fault: the status of answers to events, or that accepted events are lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int = 200
    loses: bool = False


class Tracker:
    """Keeps the events and the current fault."""

    def __init__(self, key: str, token: str) -> None:
        self._key = key
        self._token = token
        self._events: dict[str, dict[str, Any]] = {}
        self._fault = Fault()

    async def envelope(self, request: Request) -> Response:
        """Accept one envelope; only events are kept."""
        if f"sentry_key={self._key}" not in request.headers.get("x-sentry-auth", ""):
            return refused("bad auth")
        if self._fault.status != 200:  # noqa: PLR2004
            return JSONResponse({"detail": "configured fault"}, self._fault.status)
        head, *items = (await body_of(request)).decode().splitlines()
        kind, payload = json.loads(items[0])["type"], json.loads(items[1])
        if kind == "event" and not self._fault.loses:
            self._events[payload["event_id"]] = payload
        return JSONResponse({"id": json.loads(head)["event_id"]})

    async def event(self, request: Request) -> Response:
        """Show one event."""
        if not is_bearer(request, self._token):
            return refused("Invalid token")
        event = self._events.get(request.path_params["event"])
        if event is None:
            return JSONResponse({"detail": "Event not found"}, 404)
        return JSONResponse({"eventID": event["event_id"], "title": event["message"]["formatted"]})

    async def control(self, request: Request) -> Response:
        """Show or set the fault."""
        if request.method == "POST":
            self._fault = Fault.model_validate_json(await body_of(request))
        return JSONResponse(self._fault.model_dump())


def main(port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    tracker = Tracker(os.environ[KEY], os.environ[TOKEN])
    routes = [
        Route("/api/1/envelope/", tracker.envelope, methods=["POST"]),
        Route(f"/api/0/projects/{ORGANIZATION}/{PROJECT}/events/{{event}}/", tracker.event),
        Route("/_ctl", tracker.control, methods=["GET", "POST"]),
    ]
    asyncio.run(serve(routes, port))


if __name__ == "__main__":
    main(int(sys.argv[1]))
