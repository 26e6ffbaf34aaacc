"""HAProxy in front of the replicas, controlled through its runtime socket."""

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
# Relative to the working folder: the path of a socket must be short.
_SOCKET: Final = "haproxy.sock"
# No retries (`retries 0`, no `option redispatch`): users must see a request that a careless rollout
# loses, or no check could detect it. A careful rollout drains a replica first, and needs none.
# Connections to replicas are not reused (`http-server-close`), since a replica may be closing
# them; those of users are kept.
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
    """One HAProxy. Its slots are numbered from 0; each routes to one replica or is disabled."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = 0
        self._program = program
        self._folder = folder
        self._ports: list[int] = [0] * SLOTS
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it on a free port.

        Raises:
            ReferenceSystemError: it does not start.
        """
        for _ in range(_PORT_ATTEMPTS):
            self.port = free_port()
            if await self._spawn():
                return
        raise ReferenceSystemError("HAProxy exited at once", where=os.fspath(self._log))

    async def restart(self) -> None:
        """Replace the process on the same port, which closes the connections of all users.

        Raises:
            ReferenceSystemError: the new process does not start.
        """
        pid = self._process.pid if self._process else 0
        if not await self._spawn("-x", _SOCKET, "-sf", str(pid)):
            raise ReferenceSystemError("HAProxy did not restart", where=os.fspath(self._log))

    def stop(self) -> None:
        """Kill it; harmless when it has already ended."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def enable(self, slot: int, port: int) -> None:
        """Route users to the replica on this port."""
        server = f"replicas/s{slot}"
        await self._command(f"set server {server} addr 127.0.0.1 port {port}")
        await self._command(f"set server {server} state ready")
        self._ports[slot] = port

    async def drain(self, slot: int) -> None:
        """Send no new requests to this slot; open ones continue."""
        await self._command(f"set server replicas/s{slot} state drain")

    async def disable(self, slot: int) -> None:
        """Route nothing to this slot, and make it free."""
        await self._command(f"set server replicas/s{slot} state maint")
        self._ports[slot] = 0

    async def open_requests(self, slot: int) -> int:
        """Number of requests that this slot's replica has not answered yet."""
        return int((await self._row(f"s{slot}"))["scur"])

    async def requests(self) -> int:
        """Number of user requests since HAProxy started."""
        return int((await self._row("FRONTEND"))["req_tot"])

    def free_slot(self) -> int:
        """A slot without a replica.

        Raises:
            ReferenceSystemError: all are in use.
        """
        for slot, port in enumerate(self._ports):
            if not port:
                return slot
        raise ReferenceSystemError(f"all {SLOTS} slots of the balancer are in use")

    async def _row(self, server: str) -> dict[str, str]:
        table = await self._command("show stat")
        rows = csv.DictReader(table.removeprefix("# ").splitlines())
        return next(row for row in rows if row["svname"] == server)

    async def _command(self, command: str) -> str:
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

    async def _spawn(self, *options: str) -> bool:
        """Start the program and wait until it answers; False if it ended: its port was taken."""
        config = self._folder / "haproxy.cfg"
        config.write_text(self._config(), encoding="utf-8")
        with self._log.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *(self._program, "-db", "-f", str(config), *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(OSError):
                if f"Pid: {process.pid}\n" in await self._command("show info"):
                    return True
            await asyncio.sleep(_POLL_S)
        return False
