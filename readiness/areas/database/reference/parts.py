"""What the levers on the database act on: it, its standby and the PgBouncer in front of it."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, ReferenceSystemError
from readiness.servers import programs
from readiness.servers.binaries import reachable_folder, server_account
from readiness.servers.postgres import PrivatePostgres, PrivateStandby, loopback_dsn
from readiness.servers.processes import free_port
from readiness.servers.programs import WITHOUT, refused
from readiness.servers.shop import NAME, Server, Shop

POOL_SIZE: Final = 2
"""Connections that a pool may have to the server."""

_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 10.0
_PORT_ATTEMPTS: Final = 3
_INI: Final = """\
[databases]
{name} = host=127.0.0.1 port={server_port} dbname={name} pool_size={size}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
stats_users = {monitor}
admin_users = {owner}
pool_mode = transaction
max_client_conn = 100
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
"""


@dataclass(slots=True)
class Pooler:
    """A running PgBouncer, with the roles of the shop."""

    port: int
    shop: Shop
    process: subprocess.Popen[bytes]

    @property
    def console(self) -> str:
        """The console, as the monitoring role."""
        return self._dsn(self.shop.monitor, "pgbouncer")

    @property
    def admin(self) -> str:
        """The console, as a role that may pause databases."""
        return self._dsn(self.shop.owner, "pgbouncer")

    @property
    def client(self) -> str:
        """The shop's database through the pooler, as the owner of its schema."""
        return self._dsn(self.shop.owner, NAME)

    def stop(self) -> None:
        """End it. Harmless when it has ended already."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_TIMEOUT_S)

    def _dsn(self, like: str, database: str) -> str:
        parts = urlsplit(like)
        return loopback_dsn(self.port, database, parts.username or "", parts.password or "")


def start_pooler(shop: Shop, folder: Path, guardian: Guardian) -> tuple[Pooler | None, str]:
    """Start PgBouncer in front of the shop; else the reason why there is none.

    Raises:
        ReferenceSystemError: it is installed, and does not start.
    """
    try:
        program = programs.get(programs.PGBOUNCER)
    except programs.AbsentError as problem:
        return None, problem.sentence
    home = reachable_folder(folder, server_account())
    if home != folder.resolve():
        guardian.remove(home)
    for _ in range(_PORT_ATTEMPTS):
        port = free_port()
        process = _spawn(program, _configure(shop, home, port), guardian)
        pooler = Pooler(port, shop, process)
        if _answers(pooler):
            return pooler, ""
    raise ReferenceSystemError("pgbouncer ended at once", where=str(home / "pgbouncer.log"))


def _configure(shop: Shop, folder: Path, port: int) -> Path:
    """Write its configuration, which only the account that it runs as can read."""
    account = server_account()
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    roles = {url.username: url.password for url in map(urlsplit, (shop.monitor, shop.owner))}
    users, ini = folder / "users.txt", folder / "pgbouncer.ini"
    values = {
        "name": NAME,
        "port": port,
        "server_port": urlsplit(shop.owner).port,
        "size": POOL_SIZE,
        "users": users,
        "monitor": urlsplit(shop.monitor).username,
        "owner": urlsplit(shop.owner).username,
    }
    for path, text in (
        (users, "".join(f'"{name}" "{password}"\n' for name, password in roles.items())),
        (ini, _INI.format(**values)),
    ):
        path.touch()
        account.own(path)
        path.write_text(text, encoding="utf-8")
    return ini


def _spawn(program: str, ini: Path, guardian: Guardian) -> subprocess.Popen[bytes]:
    with (ini.parent / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "--quiet", ini],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **guardian.environ},
            start_new_session=True,
            **server_account().popen,
        )
    guardian.kill(process.pid)
    return process


def _answers(pooler: Pooler) -> bool:
    """Wait until it answers; False if it ended, as it does when its port is taken."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and pooler.process.poll() is None:
        try:
            psycopg.connect(pooler.console, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


STANDBY: Final = "replica"
_SLOT: Final = "readiness_replica"


def start_standby(
    server: Server, shop: Shop, folder: Path, guardian: Guardian
) -> tuple[PrivateStandby | None, str]:
    """Start a standby, where the provider supports one; else the reason why there is none."""
    if not isinstance(server, PrivatePostgres):
        return None, "the reference system has a standby only of a server on this machine"
    if refused("pg_basebackup"):
        return None, f"pg_basebackup must not be used: ${WITHOUT} names it"
    try:
        server.binaries.program("pg_basebackup")
        dsn = f"{shop.replica}?application_name={STANDBY}"
        standby = PrivateStandby.follow(server, folder, dsn=dsn, slot=_SLOT, guardian=guardian)
    except ReadinessError as problem:
        return None, problem.sentence
    return standby, ""


@dataclass(frozen=True, slots=True)
class DatabaseParts:
    """The server, its standby and pooler, and how to reach the shop's database.

    `config` is the system's readiness.toml, `history` the file of the database's snapshots.
    """

    server: Server
    standby: PrivateStandby | None
    pooler: Pooler | None
    shop: Shop
    config: Path
    history: Path
