"""HAProxy in front of the replicas; told by its runtime socket whom it may lead to."""

import asyncio
import contextlib
import csv
import os
import time
from pathlib import Path
from typing import Final

from readiness.model.errors import ReferenceSystemError
from readiness.servers.processes import free_port

SLOTS: Final = 16
_TIMEOUT_S: Final = 5.0
_START_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.02
_PORT_ATTEMPTS: Final = 3
# In the working folder: the name of a socket must be short.
_SOCKET: Final = "haproxy.sock"
# No second try (`retries 0`, no `option redispatch`): what a careless change loses must reach the
# user, or no check could see it. A drained replica is led to by nobody, so that a careful change
# needs none. Connections to replicas are not kept (`http-server-close`): the balancer would send
# requests on ones that a replica is just closing. Those of users are.
_CONFIG: Final = """\
global
    maxconn 2000
    nbthread 1
    stats socket unix@{socket} mode 600 level admin expose-fd listeners

defaults
    mode http
    retries 0
    option http-server-close
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s

frontend users
    bind 127.0.0.1:{port}
    default_backend replicas

backend replicas
    balance roundrobin
{servers}
"""


class Balancer:
    """One HAProxy. Its slots are numbered from 0, and each leads to one replica or nowhere."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = 0
        self._program = program
        self._folder = folder
        self._ports: list[int] = [0] * SLOTS
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it.

        Raises:
            ReferenceSystemError: it does not come up.
        """
        for _ in range(_PORT_ATTEMPTS):
            self.port = free_port()
            if await self._comes_up():
                return
        raise ReferenceSystemError("HAProxy exited at once", where=os.fspath(self._log))

    async def renew(self) -> None:
        """Start it anew on the same port, which closes the connections of all users.

        Raises:
            ReferenceSystemError: it does not come up.
        """
        pid = self._process.pid if self._process else 0
        if not await self._comes_up("-x", _SOCKET, "-sf", str(pid)):
            raise ReferenceSystemError("HAProxy does not take over", where=os.fspath(self._log))

    def stop(self) -> None:
        """End it. Harmless when it has ended already."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def lead_to(self, slot: int, port: int) -> None:
        """Let this slot lead to a replica."""
        server = f"replicas/s{slot}"
        await self._tell(f"set server {server} addr 127.0.0.1 port {port}")
        await self._tell(f"set server {server} state ready")
        self._ports[slot] = port

    async def drain(self, slot: int) -> None:
        """Begin nothing new in this slot; what is under way goes on."""
        await self._tell(f"set server replicas/s{slot} state drain")

    async def lead_nowhere(self, slot: int) -> None:
        """Let nothing lead here."""
        await self._tell(f"set server replicas/s{slot} state maint")
        self._ports[slot] = 0

    async def under_way(self, slot: int) -> int:
        """Requests that this slot's replica has not answered yet."""
        return int((await self._row(f"s{slot}"))["scur"])

    async def requests(self) -> int:
        """Requests of users so far."""
        return int((await self._row("FRONTEND"))["req_tot"])

    def free_slot(self) -> int:
        """A slot that leads nowhere.

        Raises:
            ReferenceSystemError: there is none.
        """
        for slot, port in enumerate(self._ports):
            if not port:
                return slot
        raise ReferenceSystemError(f"all {SLOTS} slots of the balancer are in use")

    async def _row(self, server: str) -> dict[str, str]:
        said = await self._tell("show stat")
        rows = csv.DictReader(said.removeprefix("# ").splitlines())
        return next(row for row in rows if row["svname"] == server)

    async def _tell(self, command: str) -> str:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(_SOCKET)
            try:
                writer.write(f"{command}\n".encode())
                return (await reader.read()).decode().strip()
            finally:
                writer.close()

    @property
    def _log(self) -> Path:
        return self._folder / "haproxy.log"

    def _config(self) -> str:
        lines = [
            f"    server s{slot} 127.0.0.1:{port or 1}{'' if port else ' disabled'}"
            for slot, port in enumerate(self._ports)
        ]
        return _CONFIG.format(socket=_SOCKET, port=self.port, servers="\n".join(lines))

    async def _comes_up(self, *takes_over: str) -> bool:
        """Start the program; False if it ended, as it does when its port is taken."""
        config = self._folder / "haproxy.cfg"
        config.write_text(self._config(), encoding="utf-8")
        with self._log.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *(self._program, "-db", "-f", str(config), *takes_over),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(OSError):
                if f"Pid: {process.pid}\n" in await self._tell("show info"):
                    return True
            await asyncio.sleep(_POLL_S)
        return False
