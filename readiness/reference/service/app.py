"""The application: its routes, the answer of each, and what surrounds every request."""

import asyncio
import hmac
import itertools
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final, get_args

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from readiness.reference.service import metrics, orders
from readiness.reference.service.kept import Kept
from readiness.reference.service.settings import Behaviour, BehaviourFile, Settings

BODY_LIMIT_BYTES: Final = 1 << 20
POOL_MOST: Final = 8
MEMORY_EVERY_S: Final = 0.2
UNMATCHED: Final = "unmatched"
_log = logging.getLogger("service")


class Json(JSONResponse):
    """JSON in which times are RFC 3339."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return json.dumps(content, default=datetime.isoformat).encode()


def _behaviour(request: Request) -> Behaviour:
    behaviour: Behaviour = request.scope["behaviour"]
    return behaviour


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _pool(request: Request) -> metrics.Pool:
    pool: metrics.Pool = request.app.state.pool
    return pool


@asynccontextmanager
async def _reading(request: Request) -> AsyncIterator[AsyncConnection[dict[str, Any]]]:
    """A connection for a page that reads."""
    behaviour = _behaviour(request)
    # Not around the wait for it: a pool can lose the connection of a waiter that was cancelled.
    async with (
        _pool(request).connection(behaviour.pool_timeout_s) as connection,
        asyncio.timeout(behaviour.page_timeout_s),
    ):
        yield connection
        if behaviour.keeps_connection_ms:
            await asyncio.sleep(behaviour.keeps_connection_ms / 1000)


async def get_health(request: Request) -> Response:
    """The state of the service and of what it depends on."""
    settings, behaviour = _settings(request), _behaviour(request)
    checks = {
        "database": await metrics.database_state(_pool(request)),
        "memory": metrics.memory_state(settings.memory_limit_bytes),
        "environment": metrics.environment_state(
            settings, behaviour.environment or settings.environment
        ),
    }
    well = all(check["status"] == "ok" for check in checks.values())
    body = {
        "status": "ok" if well else "fail",
        "version": behaviour.version or settings.version,
        "uptime_s": metrics.uptime_s(),
        "checks": checks,
    }
    return Json(body, 200 if well else 503)


async def get_ready(request: Request) -> Response:
    """Whether it can serve requests: it cannot without its database."""
    behaviour = _behaviour(request)
    if behaviour.ready_ignores_database:
        return Json({"status": "ok"})
    state = await metrics.database_state(_pool(request))
    failed = state["status"] != "ok"
    stuck = behaviour.ready_needs_restart and request.app.state.ready_failed
    request.app.state.ready_failed = failed or stuck
    return Json(state, 503 if failed or stuck else 200)


async def get_live(request: Request) -> Response:
    """Whether the process works; this does not depend on the database."""
    if _behaviour(request).live_needs_database:
        state = await metrics.database_state(_pool(request))
        return Json(state, 200 if state["status"] == "ok" else 503)
    return Json({"status": "ok"})


async def get_metrics(request: Request) -> Response:
    """The series of all workers, for Prometheus."""
    figures = _pool(request).get_stats()
    metrics.POOL_SIZE.set(figures.get("pool_size", 0))
    metrics.POOL_IDLE.set(figures.get("pool_available", 0))
    metrics.POOL_WAITING.set(figures.get("requests_waiting", 0))
    return Response(
        metrics.exposition(_behaviour(request)), headers={"content-type": metrics.CONTENT_TYPE}
    )


async def get_version(request: Request) -> Response:
    """The release, its commit and the environment."""
    settings, behaviour = _settings(request), _behaviour(request)
    return Json(
        {
            "version": behaviour.version or settings.version,
            "commit": settings.commit,
            "environment": behaviour.environment or settings.environment,
        }
    )


async def get_shop(_: Request) -> Response:
    """The page that users open first."""
    page = "<!doctype html><title>Shop</title><h1>Orders</h1>"
    return Response(page, media_type="text/html")


async def get_orders(request: Request) -> Response:
    """The newest orders; parameters `limit`, and since 1.5.0 `status`."""
    limit = request.query_params.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= orders.MOST_AT_ONCE):
        return error(422, f"limit is a number from 1 to {orders.MOST_AT_ONCE}")
    status = request.query_params.get("status") if _settings(request).has_filter else None
    if status is not None and status not in get_args(orders.Status):
        return error(422, f"status is one of {', '.join(get_args(orders.Status))}")
    async with _reading(request) as connection:
        found = await orders.newest(connection, int(limit), status)
    return Json({"orders": [_shown(request, order) for order in found]})


async def get_customer_orders(request: Request) -> Response:
    """The newest orders of one customer."""
    number = request.path_params["customer_id"]
    if not (number.isascii() and number.isdigit() and int(number) < 1 << 31):
        return error(404, "no such customer")
    async with _reading(request) as connection:
        found = await orders.of_customer(connection, int(number))
    return Json({"orders": [_shown(request, order) for order in found]})


async def get_order(request: Request) -> Response:
    """One order."""
    number = request.path_params["order_id"]
    if not (number.isascii() and number.isdigit() and int(number) < 1 << 63):
        return error(404, "no such order")
    async with _reading(request) as connection:
        order = await orders.find(connection, int(number))
    return Json(_shown(request, order)) if order else error(404, "no such order")


async def post_orders(request: Request) -> Response:
    """Store one order, or an array of them in one transaction."""
    try:
        sent = orders.NewOrders.validate_json(await _body(request))
    except ValidationError as problems:
        return error(422, "; ".join(_in_words(problem) for problem in problems.errors()[:3]))
    batch = sent if isinstance(sent, list) else [sent]
    if _behaviour(request).drop_writes:
        return Json({"order_ids": list(range(1, len(batch) + 1))}, 201)
    try:
        async with _pool(request).connection() as connection:
            numbers = await orders.store(connection, batch)
    except orders.UnknownReferenceError as problem:
        return error(422, str(problem))
    metrics.ORDERS.inc(len(numbers))
    return Json({"order_ids": numbers}, 201)


async def get_stats(request: Request) -> Response:
    """Statistics of the connection pool; for administrators only."""
    if not (_behaviour(request).admin_is_open or _is_admin(request)):
        return error(401, "a bearer token is needed")
    return Json(_pool(request).get_stats())


async def get_settings(request: Request) -> Response:
    """The settings, without secrets; for administrators only."""
    settings = _settings(request)
    if not (_is_accepted(request, "authorization", "admin") or _is_admin(request)):
        return error(401, "a bearer token is needed")
    return Json(
        {"environment": settings.environment, "memory_limit_bytes": settings.memory_limit_bytes}
    )


async def post_maintenance(request: Request) -> Response:
    """Correct the totals of orders; for administrators only."""
    if not (_behaviour(request).admin_is_open or _is_admin(request)):
        return error(401, "a bearer token is needed")
    async with _pool(request).connection() as connection:
        return Json({"corrected": await orders.correct_totals(connection)})


async def post_expire(request: Request) -> Response:
    """Expire old orders; for the scheduler only."""
    if not (_is_accepted(request, "x-cron-secret", "cron") or _is_scheduler(request)):
        return error(401, "the scheduler's secret is needed")
    async with _pool(request).connection() as connection:
        return Json({"expired": await orders.expire(connection)})


def _is_admin(request: Request) -> bool:
    token = f"Bearer {_settings(request).admin_token}"
    return _same(request.headers.get("authorization", ""), token)


def _is_scheduler(request: Request) -> bool:
    return _same(request.headers.get("x-cron-secret", ""), _settings(request).cron_secret)


def _is_accepted(request: Request, header: str, door: str) -> bool:
    """Whether a fault lets these credentials in."""
    given, accepted = request.headers.get(header), _behaviour(request).accepts.get(door, ())
    return ("none" if given is None else given) in accepted or (bool(given) and "*" in accepted)


def _same(given: str, wanted: str) -> bool:
    """Compare in constant time; an empty secret opens nothing."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def _shown(request: Request, order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "currency": "EUR"} if _settings(request).has_filter else order


def _in_words(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}"


async def _body(request: Request) -> bytes:
    """The body, up to its limit.

    Raises:
        HTTPException: it is longer (413).
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES and not _behaviour(request).any_body_size:
            raise HTTPException(413, f"a body has at most {BODY_LIMIT_BYTES} bytes")
    return body


async def _on_http_error(_: Request, problem: Exception) -> Response:
    if isinstance(problem, HTTPException):
        answer = error(problem.status_code, problem.detail)
        answer.headers.update(problem.headers or {})
        return answer
    raise problem


async def _on_unavailable(_: Request, __: Exception) -> Response:
    return error(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer")


class Around:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], behaviour: BehaviourFile) -> None:
        self._app = app
        self._routes = routes
        self._behaviour = behaviour
        self._numbers = itertools.count()
        self._kept = Kept()
        self._measured = 0.0

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
                headers = MutableHeaders(scope=message)
                now = time.time() - behaviour.clock_behind_s
                headers["date"] = formatdate(now, usegmt=True)
                if route in behaviour.content_type:
                    headers["content-type"] = behaviour.content_type[route]
            await send(message)

        try:
            await self._answer(route, behaviour, scope, receive, watched)
        finally:
            seconds = time.perf_counter() - began
            metrics.count(route, scope["method"], status, seconds, behaviour)
            if began > self._measured + MEMORY_EVERY_S:
                self._measured = began
                metrics.measure_memory()

    def _template(self, scope: Scope) -> str:
        """The declared route: counting by path would create a series for every order."""
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                return route.path
        return UNMATCHED

    async def _answer(
        self, route: str, behaviour: Behaviour, scope: Scope, receive: Receive, send: Send
    ) -> None:
        hit = next(self._numbers) % behaviour.every.get(route, 1) == 0
        if behaviour.after_per_s:
            hit = hit and self._kept.is_after_burst(behaviour.after_per_s)
        settings: Settings = scope["app"].state.settings
        await self._kept.leak(behaviour, settings.database_url)
        if route.startswith("/api") and await self._kept.is_cold(behaviour):
            await error(500, "caches are being filled")(scope, receive, send)
            return
        if hit and route in behaviour.delay_ms:
            await asyncio.sleep(behaviour.delay_ms[route] / 1000)
        if hit and (route in behaviour.status or route in behaviour.body):
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


ROUTES: Final = [
    Route("/health", get_health),
    Route("/health/ready", get_ready),
    Route("/health/live", get_live),
    Route("/metrics", get_metrics),
    Route("/version", get_version),
    Route("/shop", get_shop),
    Route("/api/orders", get_orders),
    Route("/api/orders", post_orders, methods=["POST"]),
    Route("/api/orders/{order_id}", get_order),
    Route("/api/customers/{customer_id}/orders", get_customer_orders),
    Route("/admin/stats", get_stats),
    Route("/admin/settings", get_settings),
    Route("/admin/maintenance", post_maintenance, methods=["POST"]),
    Route("/cron/expire-orders", post_expire, methods=["POST"]),
]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    await asyncio.sleep(BehaviourFile(settings.behaviour).read().starts_after_s)
    pool = AsyncConnectionPool(
        settings.database_url,
        connection_class=AsyncConnection[dict[str, Any]],
        kwargs={"row_factory": dict_row, "autocommit": True, "connect_timeout": 2},
        min_size=1,
        max_size=POOL_MOST,
        timeout=metrics.DATABASE_TIMEOUT_S,
        # A connection that died while it was idle must not fail a request.
        check=AsyncConnectionPool.check_connection,
        # Give up soon and let the next request retry: the pool's own pauses grow to minutes.
        reconnect_timeout=1.0,
        open=False,
    )
    app.state.pool = pool
    app.state.ready_failed = False
    metrics.worker_starts(
        settings.version, [(r.path, method) for r in ROUTES for method in r.methods or ()]
    )
    await pool.open(wait=False)
    try:
        yield
    finally:
        await pool.close(timeout=2)
        metrics.worker_ends()


def create() -> Starlette:
    """The application of one worker."""
    settings = Settings.from_environ()
    app = Starlette(
        routes=ROUTES,
        lifespan=_lifespan,
        middleware=[Middleware(Around, routes=ROUTES, behaviour=BehaviourFile(settings.behaviour))],
        exception_handlers={
            HTTPException: _on_http_error,
            **dict.fromkeys(metrics.UNAVAILABLE, _on_unavailable),
        },
    )
    app.state.settings = settings
    return app
