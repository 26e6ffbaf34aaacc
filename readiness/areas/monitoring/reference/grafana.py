"""A replacement for Grafana, which Debian does not package: one dashboard and two data sources.

Run as a module with PORT PROMETHEUS DASHBOARD, and with its token in the environment. It answers as
Grafana's HTTP API is documented, with data of the real Prometheus. `POST /_ctl {"history":
"http://127.0.0.1:9"}` changes the address of a data source.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.areas.monitoring.reference.watched import INTERVAL_S
from readiness.servers.small_server import body_of, is_bearer, refused, serve

TOKEN: Final = "REFERENCE_GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
DASHBOARD: Final = "shop"
SOURCES: Final = ("prometheus", "history")

_OK: Final = 200
_TIMEOUT_S: Final = 5.0


class Grafana:
    """The dashboard and the data sources.

    Args:
        token: the token that it accepts.
        prometheus: the address of both data sources.
        dashboard: the JSON of the dashboard.
    """

    def __init__(self, token: str, prometheus: str, dashboard: dict[str, Any]) -> None:
        self._token = token
        self._sources = dict.fromkeys(SOURCES, prometheus)
        self._dashboard = dashboard
        # No proxy from the environment: Prometheus is on this machine.
        self._client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S)

    async def health(self, request: Request) -> Response:
        """GET /api/datasources/uid/:uid/health."""
        url = self._sources.get(request.path_params["uid"])
        if url is None:
            return JSONResponse({"message": "Data source not found"}, 404)
        status, found = await self._ask(url, "query", {"query": "1+1"})
        if status == _OK:
            message = "Successfully queried the Prometheus API."
            return JSONResponse({"status": "OK", "message": message})
        return JSONResponse({"status": "ERROR", "message": found["error"]}, 400)

    async def sources(self, _: Request) -> Response:
        """GET /api/datasources."""
        return JSONResponse(
            [
                {"uid": uid, "name": uid, "type": "prometheus", "isDefault": uid == SOURCES[0]}
                for uid in self._sources
            ]
        )

    async def dashboard(self, request: Request) -> Response:
        """GET /api/dashboards/uid/:uid."""
        if request.path_params["uid"] != DASHBOARD:
            return JSONResponse({"message": "Dashboard not found"}, 404)
        return JSONResponse({"meta": {"slug": DASHBOARD}, "dashboard": self._dashboard})

    async def query(self, request: Request) -> Response:
        """POST /api/ds/query."""
        asked = json.loads(await body_of(request))
        window_s = int(asked["from"].removeprefix("now-").removesuffix("s"))
        results = {query["refId"]: await self._run(query, window_s) for query in asked["queries"]}
        failed = any("error" in result for result in results.values())
        return JSONResponse({"results": results}, 400 if failed else 200)

    def protected(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Any:
        """The endpoint, which answers 401 to requests without the token."""

        async def checked(request: Request) -> Response:
            if not is_bearer(request, self._token):
                return refused("Unauthorized")
            return await endpoint(request)

        return checked

    async def control(self, request: Request) -> Response:
        """Show the addresses of the data sources, or change one."""
        if request.method == "POST":
            self._sources |= json.loads(await body_of(request))
        return JSONResponse(self._sources)

    async def _run(self, query: dict[str, Any], window_s: int) -> dict[str, Any]:
        url = self._sources.get(query["datasource"]["uid"])
        if url is None:
            return {"error": "data source not found", "status": 404}
        step_s = max(query["intervalMs"] / 1000, INTERVAL_S)
        now = time.time()
        asked = {
            "query": _interpolated(query["expr"], window_s, step_s),
            "start": f"{now - window_s:.3f}",
            "end": f"{now:.3f}",
            "step": f"{step_s:g}",
        }
        status, found = await self._ask(url, "query_range", asked)
        if status != _OK:
            return {"error": found["error"], "status": status}
        return {"status": 200, "frames": [_frame(s) for s in found["data"]["result"]]}

    async def _ask(self, url: str, kind: str, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            answer = await self._client.post(f"{url}/api/v1/{kind}", data=asked)
            return answer.status_code, answer.json()
        except (httpx.HTTPError, ValueError) as problem:
            return 502, {"error": str(problem) or type(problem).__name__}


def _interpolated(expression: str, window_s: int, step_s: float) -> str:
    """Replace the built-in variables as the data source does; a rate needs four scrapes."""
    rate_s = max(step_s + INTERVAL_S, 4 * INTERVAL_S)
    for name, seconds in (
        ("$__rate_interval", rate_s),
        ("$__interval", step_s),
        ("$__range", window_s),
    ):
        expression = expression.replace(name, f"{round(seconds)}s")
    return expression


def _frame(series: dict[str, Any]) -> dict[str, Any]:
    """One series as a data frame; NaN becomes null, as JSON has no NaN."""
    times = [int(when * 1000) for when, _ in series["values"]]
    values = [None if value == "NaN" else float(value) for _, value in series["values"]]
    fields = [
        {"name": "Time", "type": "time"},
        {"name": "Value", "type": "number", "labels": series["metric"]},
    ]
    return {"schema": {"fields": fields}, "data": {"values": [times, values]}}


def main(port: int, prometheus: str, dashboard: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    grafana = Grafana(os.environ[TOKEN], prometheus, json.loads(dashboard.read_bytes()))
    routes = [
        Route("/api/datasources/uid/{uid}/health", grafana.protected(grafana.health)),
        Route("/api/datasources", grafana.protected(grafana.sources)),
        Route("/api/dashboards/uid/{uid}", grafana.protected(grafana.dashboard)),
        Route("/api/ds/query", grafana.protected(grafana.query), methods=["POST"]),
        Route("/_ctl", grafana.control, methods=["GET", "POST"]),
    ]
    asyncio.run(serve(routes, port))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
