"""One server for all tests of platforms; each begins without a fault."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette

from readiness.areas.platforms.reference.platform_server import Fault, Platforms, routes_of
from readiness.servers.processes import free_port
from tests.support.many_platforms import RELEASE, SECRET, World


@pytest.fixture(scope="session")
def serving() -> Iterator[tuple[str, Platforms]]:
    served = Platforms(SECRET, RELEASE)
    port = free_port()
    application = Starlette(routes=routes_of(served))
    options = uvicorn.Config(application, host="127.0.0.1", port=port, log_level="warning")
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(30)
    yield f"http://127.0.0.1:{port}", served
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def world(serving: tuple[str, Platforms], tmp_path: Path) -> World:
    url, served = serving
    served.fault = Fault()
    return World(url, served, tmp_path / "readiness.toml")
