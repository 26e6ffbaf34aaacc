"""Starts the fleet as a part of the reference system, if HAProxy is available."""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.lib.guardian import Guardian
from readiness.model.secrets import register
from readiness.servers import programs
from readiness.servers.fleet import releases
from readiness.servers.fleet.behaviour import FILE, Settings
from readiness.servers.processes import Daemon, request_json
from readiness.servers.shop import Server

PART: Final = "fleet"
"""Its name among the parts of the reference system that may be absent."""
COUNT: Final = 3
"""Number of replicas at the start."""

_TOOL: Final = Path(__file__).with_name("tool.py")
_DATABASE: Final = "fleet"
_ROLE: Final = "fleet_app"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running fleet.

    Attributes:
        url: the address that users request.
        release: the release that it was started with.
        daemon: its process.
        behaviour: the file with its faults, a `Behaviour`; may not exist.
    """

    url: str
    release: str
    daemon: Daemon
    behaviour: Path

    def tool(self, *arguments: str) -> list[str]:
        """The command line that requests something of it: see `tool`."""
        # Often run, and needs nothing but the standard library: -S takes two thirds off its start.
        return [sys.executable, "-S", str(_TOOL), "--fleet", self.daemon.url, *arguments]

    def reset(self) -> None:
        """Return to the release and the number of replicas it started with.

        Raises:
            ReferenceSystemError: it takes longer than two minutes.
        """
        request_json(self.daemon.port, "POST", "/reset", timeout_s=120)


def start_fleet(store_dsn: str, release: str, folder: Path, guardian: Guardian) -> Fleet | str:
    """Start it and wait until all replicas serve; the reason as a text if HAProxy is absent.

    Args:
        store_dsn: the database of the notes, see `make_store`.
        release: the release of all replicas.
        folder: for its files; created here.
        guardian: kills it when this process dies.

    Raises:
        ReferenceSystemError: HAProxy is available, but the fleet does not start.
    """
    try:
        program = programs.get(programs.HAPROXY)
    except programs.AbsentError as problem:
        return problem.sentence
    folder.mkdir()
    settings = Settings(release=release, count=COUNT, haproxy=program)
    daemon = Daemon(
        PART,
        lambda port: [
            *(sys.executable, "-m", "readiness.servers.fleet"),
            *(str(port), settings.model_dump_json()),
        ],
        folder,
        guardian,
        "/settled",
        {releases.DSN: store_dsn},
    ).start()
    url = str(request_json(daemon.port, "GET", "/")["url"])
    return Fleet(url, release, daemon, folder / FILE)


def make_store(server: Server) -> str:
    """Create the database of the notes and its role; returns the role's connection string."""
    password = secrets.token_hex(16)
    register(password)
    role, name = sql.Identifier(_ROLE), sql.Identifier(_DATABASE)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for statement in (
            sql.SQL("create role {} login password {}").format(role, sql.Literal(password)),
            # Not from template1: another thread may be copying that, which locks it.
            sql.SQL("create database {} template template0").format(name),
            sql.SQL("revoke all on database {} from public").format(name),
            sql.SQL("grant connect on database {} to {}").format(name, role),
        ):
            connection.execute(statement)
    with psycopg.connect(server.dsn(_DATABASE)) as connection:
        connection.execute(sql.SQL(releases.TABLE).format(role=role))
    return server.dsn(_DATABASE, _ROLE, password)
