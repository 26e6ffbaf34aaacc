"""Starts the fleet beside the rest of the reference system, where HAProxy is installed."""

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
from readiness.servers.fleet import releases, store
from readiness.servers.fleet.settings import BEHAVIOUR, Settings
from readiness.servers.processes import Daemon, request_json
from readiness.servers.shop import Server

PART: Final = "fleet"
"""What it is called among the parts of the reference system that may be absent."""
COUNT: Final = 3
"""How many replicas it has."""

_TOOL: Final = Path(__file__).with_name("tool.py")
_DATABASE: Final = "fleet"
_ROLE: Final = "fleet_app"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet that runs.

    Attributes:
        url: where users go.
        release: that it was started with.
        daemon: what supervises it.
        behaviour: the file that tells what it does wrong.
    """

    url: str
    release: str
    daemon: Daemon
    behaviour: Path

    def tool(self, *asked: str) -> list[str]:
        """The command line that asks it for something."""
        # It needs nothing of ours, and is asked often: it starts in a third of the time.
        return [sys.executable, "-S", str(_TOOL), "--fleet", self.daemon.url, *asked]

    def reset(self) -> None:
        """Let it be as it was at first.

        Raises:
            ReferenceSystemError: it does not get there within two minutes.
        """
        request_json(self.daemon.port, "POST", "/reset", timeout_s=120)


def start_fleet(store_dsn: str, release: str, folder: Path, guardian: Guardian) -> Fleet | str:
    """Start it, and wait until all replicas serve; else why there is none.

    Args:
        store_dsn: where the replicas keep notes.
        release: that all replicas are.
        folder: made for its files.
        guardian: ends it when this process dies.

    Raises:
        ReferenceSystemError: HAProxy is there, and the fleet does not start.
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
    return Fleet(url, release, daemon, folder / BEHAVIOUR)


def make_store(server: Server) -> str:
    """A database of its own with a role of its own; gives how the role reaches it."""
    password = secrets.token_hex(16)
    register(password)
    role, name = sql.Identifier(_ROLE), sql.Identifier(_DATABASE)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for statement in (
            sql.SQL("create role {} login password {}").format(role, sql.Literal(password)),
            # Not from template1: somebody else may be making a database from that.
            sql.SQL("create database {} template template0").format(name),
            sql.SQL("revoke all on database {} from public").format(name),
            sql.SQL("grant connect on database {} to {}").format(name, role),
        ):
            connection.execute(statement)
    with psycopg.connect(server.dsn(_DATABASE)) as connection:
        connection.execute(sql.SQL(store.TABLE).format(role=role))
    return server.dsn(_DATABASE, _ROLE, password)
