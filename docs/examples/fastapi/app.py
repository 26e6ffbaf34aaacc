"""A small API that a gate can judge: health, readiness, version and metrics beside its work."""

import os
import time
from collections.abc import Awaitable, Callable

import psycopg
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

DSN = os.environ["DATABASE_URL"]
RELEASE = os.environ.get("GIT_SHA", "1.0.0")
ENVIRONMENT = os.environ.get("ENVIRONMENT", "staging")

app = FastAPI()
requests = Counter("http_requests", "Requests by route and status.", ["path", "status"])
durations = Histogram("http_request_duration_seconds", "Time to answer.", ["path"])


@app.middleware("http")
async def count(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    began = time.perf_counter()
    status = 500
    try:
        response = await answer(request)
        status = response.status_code
        return response
    finally:
        # The route, not the path: one series for all ids.
        route = request.scope.get("route")
        path = getattr(route, "path", "none")
        requests.labels(path, str(status)).inc()
        durations.labels(path).observe(time.perf_counter() - began)


def connect() -> psycopg.Connection:
    return psycopg.connect(DSN, connect_timeout=2, options="-c statement_timeout=2000")


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok", "version": RELEASE}


@app.get("/health/live")
def live() -> dict[str, str]:
    """Whether it needs a restart, which would not bring a database back."""
    return {"status": "ok"}


@app.get("/health/ready")
def ready() -> dict[str, str]:
    try:
        with connect() as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        raise HTTPException(503, "no database") from error
    return {"status": "ok"}


@app.get("/version")
def version() -> dict[str, str]:
    return {"version": RELEASE, "environment": ENVIRONMENT}


@app.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.get("/notes")
def notes() -> list[str]:
    with connect() as connection:
        rows = connection.execute("select text from notes order by id desc limit 20")
        return [text for (text,) in rows]


@app.get("/notes/{number}")
def note(number: int) -> str:
    with connect() as connection:
        row = connection.execute("select text from notes where id = %s", [number]).fetchone()
    if row is None:
        raise HTTPException(404, "no such note")
    return row[0]
