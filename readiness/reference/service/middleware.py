"""Around every request: counting, configured faults, and errors without a traceback."""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from readiness.reference.service import metrics
from readiness.reference.service.settings import Behaviour, BehaviourFile

UNMATCHED: Final = "unmatched"
_log = logging.getLogger("service")


class Around:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], behaviour: BehaviourFile) -> None:
        self._app = app
        self._routes = routes
        self._behaviour = behaviour

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        behaviour = self._behaviour.read()
        scope["behaviour"] = behaviour
        route = self._template(scope)
        status = 500
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if route in behaviour.content_type:
                    headers = MutableHeaders(scope=message)
                    headers["content-type"] = behaviour.content_type[route]
            await send(message)

        try:
            await self._answer(route, behaviour, scope, receive, watched)
        finally:
            seconds = time.perf_counter() - began
            metrics.count(route, scope["method"], status, seconds, behaviour)

    def _template(self, scope: Scope) -> str:
        """The declared route: counting by path would create a series for every order."""
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                return route.path
        return UNMATCHED

    async def _answer(
        self, route: str, behaviour: Behaviour, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if route in behaviour.delay_ms:
            await asyncio.sleep(behaviour.delay_ms[route] / 1000)
        if route in behaviour.status or route in behaviour.body:
            await _canned(route, behaviour)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception:  # noqa: BLE001 - the last resort: a client always gets JSON
            _log.exception("unexpected error")
            detail = traceback.format_exc() if behaviour.shows_tracebacks else "internal error"
            await error(500, detail)(scope, receive, send)


def _canned(route: str, behaviour: Behaviour) -> Response:
    status = behaviour.status.get(route, 200)
    if route not in behaviour.body:
        return error(status, "configured fault")
    media_type = behaviour.content_type.get(route, "application/json")
    return Response(behaviour.body[route], status, media_type=media_type)


def error(status: int, message: str) -> Response:
    """An error as JSON."""
    return Response(json.dumps({"error": message}), status, media_type="application/json")
